"""Wall time and peak memory of `signgen build-pairs` on a corpus of Phoenix-2014T's size, and whether it repeats.

    python benchmarks/corpus.py FOLDER [--scale 0.1] [--count 100000] [OPTION ...]

Writes data_tools/corpus_skeleton.py's corpus into FOLDER unless one is there (1.6 GB and a million links; delete FOLDER
afterwards), then runs build-pairs twice with the same seed, each in a process of its own: seconds, processor seconds,
peak resident memory of that process alone (wait4), and the SHA-256 of everything it wrote. Other options are
build-pairs' own, e.g. --sources-per-clip 4. The corpus has just been written or read: its files are in memory where
there is room, and a first run on a cold disk takes longer.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS, GIGABYTES = 60, 2.0  # what it may take
SKELETON = Path(__file__).resolve().parents[1] / "data_tools" / "corpus_skeleton.py"


@dataclass(frozen=True)
class Run:
    """One build-pairs."""

    wall: float
    busy: float
    peak: int  # bytes
    digest: str


def build(folder: Path, out: Path, options: list[str]) -> Run:
    """Raises SystemExit when the command fails."""
    words = ["build-pairs", str(folder), "--keypoints", str(folder / "keypoints"), "--out", str(out), *options]
    with out.with_suffix(".log").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "signgen", *words], stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
    if process.returncode:
        raise SystemExit(f"build-pairs ended with {process.returncode}:\n{log_of(out)}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, digest_of(out))


def log_of(out: Path) -> str:
    """What the command said."""
    return out.with_suffix(".log").read_text(encoding="utf-8")


def digest_of(folder: Path) -> str:
    """SHA-256 over names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips (default 1)")
    parser.add_argument("--names", type=Path, help="folder with phoenix2014T.<split>.sign")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args, more = parser.parse_known_args()
    corpus = args.folder / "corpus"
    if not corpus.exists():
        start = time.perf_counter()
        names = ["--names", str(args.names)] if args.names else []
        subprocess.run([sys.executable, SKELETON, corpus, "--scale", str(args.scale), *names], check=True)
        print(f"corpus written in {time.perf_counter() - start:.0f} s")
    options = ["--count", str(args.count), "--seed", str(args.seed), *more]
    runs = []
    for number in (1, 2):
        out = args.folder / f"pairs{number}"
        runs.append(run := build(corpus, out, options))
        print(f"run {number}: {run.wall:.1f} s ({run.busy:.1f} s of processor time), peak {run.peak / 1e9:.2f} GB")
    print(log_of(args.folder / "pairs2").strip().splitlines()[-1])
    same = runs[0].digest == runs[1].digest
    print(f"sha256 {runs[0].digest[:16]} and {runs[1].digest[:16]}: {'the same' if same else 'DIFFERENT'} bytes")
    met = same and all(run.wall <= SECONDS and run.peak <= GIGABYTES * 1e9 for run in runs)
    print(f"{'within' if met else 'NOT within'} {SECONDS} s, {GIGABYTES:g} GB and the same bytes")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
