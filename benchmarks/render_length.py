"""Peak memory of rendering by the length of the clip, each length in a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/render_length.py                     minutes
    OMP_NUM_THREADS=1 python benchmarks/render_length.py --truth             with scores against a filmed truth

A small untrained model renders a drawn signer at 128x128 in keypoints of 500 and of 20,000 frames. Its last line is the
figure: how much more the longer one needed. Exit code 1 where that is over 5 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peak_memory import peak_mb
from small_model import write_clip, write_model

MOST = 1.05


def render_one(folder: Path, frames: int, truth: bool) -> dict[str, float]:
    """Render a clip of so many frames in this process; peak RSS in MB, and seconds."""
    from signgen.evaluation.render import RenderRequest, render

    source, poses = folder / ("signer.mp4" if truth else "me.png"), folder / "signer.poses.npz"
    start = time.perf_counter()
    render(RenderRequest(source, poses, folder / "model", folder / "out.mp4", device="cpu", threads=1))
    return {"frames": frames, "peak_mb": peak_mb(), "seconds": time.perf_counter() - start}


def in_process(frames: int, truth: bool) -> dict[str, float]:
    """`render_one` in a fresh process, whose peak is of nothing else."""
    with tempfile.TemporaryDirectory(prefix="render-length-") as name:
        folder = Path(name)
        write_model(folder / "model")
        write_clip(folder, frames, truth)
        words = [sys.executable, __file__, "--one", str(frames), "--folder", name, *(["--truth"] if truth else [])]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", default="500,20000")
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(render_one(options.folder, options.one, options.truth)))
        return 0
    found = []
    for frames in map(int, options.frames.split(",")):
        found.append(in_process(frames, options.truth))
        print(f"{frames:>7,} frames: {found[-1]['peak_mb']:.0f} MB, {found[-1]['seconds']:.0f} s", flush=True)
    ratio = found[-1]["peak_mb"] / found[0]["peak_mb"]
    print(f"{found[-1]['frames']:,} frames need {100 * (ratio - 1):+.1f} % of the memory of {found[0]['frames']:,}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
