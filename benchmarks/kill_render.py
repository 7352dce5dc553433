"""`kill.py render`: kills a long rendering at random moments, and compares what comes out with an uninterrupted one's.

A small untrained model renders a drawn signer, scores it against the filmed truth, and writes a side-by-side video
beside. The process gets SIGKILL again and again and goes on with --resume: between its segments, in one of them, while
one is closed, or while all are joined. Videos and per_frame.csv are compared byte by byte, metrics.json without the
date and the command.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from small_model import write_clip, write_model

FILES = ("out.mp4", "out.side-by-side.mp4", "out.per_frame.csv")
JOINING = 0.7  # of the kills come before all segments are there
LONGEST = 1800.0  # seconds for one leg; it is a failure to hang


def rendered(folder: Path, out: Path, resume: bool) -> None:
    """One leg, in a process of its own."""
    from signgen.evaluation.render import RenderRequest, render

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  as long as the process
    source, poses = folder / "signer.mp4", folder / "signer.poses.npz"
    more = {"side_by_side": True, "resume": resume, "device": "cpu", "threads": 1}
    render(RenderRequest(source, poses, folder / "model", out / "out.mp4", **more))


def outcome(out: Path) -> dict[str, bytes]:
    """All that a rendering says."""
    metrics = json.loads((out / "out.metrics.json").read_text())
    del metrics["provenance"]
    return {name: (out / name).read_bytes() for name in FILES} | {"metrics": json.dumps(metrics).encode()}


def moment(out: Path, process: ForkServerProcess) -> str:
    """What the process is doing, by what lies on the disk."""
    parts = out / "out.parts"
    if list(out.glob(f".out.*.{process.pid}.tmp")):
        return "joining"
    if not list(parts.glob("*.json")):
        return "the beginning"
    last = max((path.name.partition(".")[0] for path in parts.glob("[0-9]*.mp4")), default="")
    return "closing" if last and not (parts / f"{last}.json").exists() else "a segment"


def killed(process: ForkServerProcess, out: Path, phase: str, longest: float, rng: random.Random) -> str | None:
    """Kill the process in this phase, at a random moment; which one that was, or None where it ended before."""
    began = time.monotonic()
    at = began + rng.uniform(0.05, longest if phase != "joining" else 0.1)
    while process.is_alive() and time.monotonic() - began < LONGEST:
        if time.monotonic() > at and (phase == "anything" or moment(out, process) == phase):
            time.sleep(rng.uniform(0, 0.02))
            found = moment(out, process)
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            return found
        time.sleep(0.002)
    process.join(1)
    if process.is_alive():
        process.kill()
        raise SystemExit(f"a leg hung for {LONGEST:.0f} s in {out}")
    return None


def legs(
    context: ForkServerContext, folder: Path, out: Path, kills: int, longest: float, rng: random.Random
) -> Counter:
    """Render to the end through `kills` kills; how many there were, by moment. One that ends early begins anew."""
    found: Counter = Counter()
    while True:
        process = context.Process(target=rendered, args=(folder, out, (out / "out.parts").exists()))
        process.start()
        phase = "joining" if found.total() >= JOINING * kills else rng.choice(("closing", "anything"))
        at = killed(process, out, phase, longest, rng) if found.total() < kills else process.join()
        if at is None and process.exitcode:
            raise SystemExit(f"a leg ended with exit code {process.exitcode} in {out}")
        if at is None and found.total() == kills:
            return found
        if at is not None:
            found[at] += 1


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="kill.py render", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the counts")
    options = parser.parse_args(words)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["signgen.evaluation.render", "diffusers.models.unets.unet_2d_condition"])
    rng, began = random.Random(options.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as name:
        folder = Path(name)
        write_model(folder / "model")
        write_clip(folder, options.frames, filmed=True)
        legs(context, folder, folder / "whole", 0, 0, rng)
        took = time.monotonic() - began
        found = legs(context, folder, folder / "killed", options.kills, 2 * took / options.kills, rng)
        expected, got = outcome(folder / "whole"), outcome(folder / "killed")
        left = sorted(set(os.listdir(folder / "killed")) - set(os.listdir(folder / "whole")))
    differing = [what for what in expected if got[what] != expected[what]]
    seconds = round(time.monotonic() - began)
    if options.json:
        counts = {"frames": options.frames, "kills": found, "differing": differing, "left": left, "seconds": seconds}
        options.json.write_text(json.dumps(counts))
    moments = ", ".join(f"{count} in {name}" for name, count in sorted(found.items()))
    print(
        f"{options.frames:,} frames, {found.total()} kills ({moments}): {len(differing)} of {len(expected)} outputs"
        f" differ {differing}, left behind {left}, {seconds} s"
    )
    return 1 if differing or left else 0
