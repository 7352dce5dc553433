"""How much damage is found: small clips of several codecs, each with a few wrong bytes many times; a table out.

    python benchmarks/damage.py                       # 25 files a codec, 5 bytes each; about a minute
    python benchmarks/damage.py --files 200 --bytes 1

A file counts where it decodes to other pixels than the whole one. found: `open_frames` names damage in it, or refuses
it; by marks: a packet or frame is marked corrupt, without the decoder's log; frames: of those that are wrong, how many
lie in what is named. Headers and index stay whole.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from signgen.errors import VideoError
from signgen.video.probe import decoded
from signgen.video.reader import open_frames
from tests.video.making import flipped, textured, write

# name -> file name, PyAV's encoder, pixel format, options: groups of 12 frames where the codec has groups
CODECS = {
    "H.264": ("a.mp4", "libx264", "yuv420p", {"g": "12"}),
    "HEVC": ("a.mp4", "libx265", "yuv420p", {"x265-params": "log-level=none:keyint=12"}),
    "VP9": ("a.webm", "libvpx-vp9", "yuv420p", {"g": "12"}),
    "MJPEG": ("a.avi", "mjpeg", "yuvj420p", {}),
    "MPEG-4": ("a.avi", "mpeg4", "yuv420p", {"g": "12"}),
}


@dataclass
class Found:
    """Counts over the files of a codec."""

    different: int = 0
    found: int = 0
    marked: int = 0
    wrong: int = 0  # frames
    named: int = 0


def pixels(path: Path) -> list[np.ndarray] | None:
    """Every frame by PyAV alone; None where it gives up. Whether any is marked corrupt is asked for elsewhere."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            return [frame.to_ndarray(format="rgb24") for frame in decoded(container, stream)]
    except av.FFmpegError:
        return None


def is_marked(path: Path) -> bool:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            if packet.is_corrupt or any(frame.is_corrupt for frame in frames):
                return True
    return False


def look(path: Path, whole: list[np.ndarray], found: Found) -> None:
    """Count one damaged file."""
    shown = pixels(path)
    same_length = shown is not None and len(shown) == len(whole)
    wrong = {n for n in range(len(whole)) if not (same_length and np.array_equal(shown[n], whole[n]))}
    if not wrong:
        return
    found.different += 1
    found.wrong += len(wrong)
    found.marked += is_marked(path)
    try:
        damage = open_frames(path).damaged
    except VideoError:
        found.found += 1
        found.named += len(wrong)
        return
    found.found += bool(damage)
    found.named += len(wrong & {n for each in damage for n in range(each.start, each.stop)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=25, help="of each codec")
    parser.add_argument("--bytes", type=int, default=5, help="wrong in each")
    parser.add_argument("--frames", type=int, default=40)
    arguments = parser.parse_args()
    frames = textured(arguments.frames, 128, 96)
    print("| codec | files that show other pixels | found | by marks alone | wrong frames | named |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, encoder, pix_fmt, options) in CODECS.items():
            path = write(Path(folder) / name / file, frames, encoder, pix_fmt=pix_fmt, options=options)
            whole, found = pixels(path), Found()
            assert whole is not None
            assert open_frames(path).damaged == (), f"{name}: the whole file is taken for damaged"
            for seed in range(arguments.files):
                look(flipped(path, path.with_stem("damaged"), arguments.bytes, seed), whole, found)
            share = f"{found.named / max(found.wrong, 1):.0%}"
            row = (name, found.different, found.found, found.marked, found.wrong, share)
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
