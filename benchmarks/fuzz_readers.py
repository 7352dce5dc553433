"""Damaged files of every kind that signgen reads in; a table of what became of them out, exit code 1 on a violation.

    python benchmarks/fuzz_readers.py --count 100000 --workers 2 --table fuzz.json [TESTDATA]

Each input must be read, or end in one SigngenError of one line (exit code 2). A violation is a traceback, a dead
process, more than 10 s or 2 GB, a process started or code of the input run, and a file changed outside --out. With
--table, a run that was interrupted goes on where it stopped. Sound files are written first, in half a minute; small
keypoint files of TESTDATA are damaged as well. TMPDIR=/dev/shm in front halves the time: commands wait for the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import sys
import tempfile
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from fuzz.keypoints import found_seeds, write_keypoints  # noqa: E402
from fuzz.kinds import Kind, all_kinds  # noqa: E402
from fuzz.table import Table  # noqa: E402
from fuzz.work import Outcome, Setting, Task, run  # noqa: E402
from fuzz.worlds import write_worlds  # noqa: E402

DONE = "done"  # in the folder of sound files, once it is whole
SHARD = 500  # inputs that are done, or done again, together


def tasks_of(kinds: dict[str, Kind], count: int, seed: int) -> list[Task]:
    """`count` tasks, of each kind its share, mixed."""
    total, names, done = sum(kind.share for kind in kinds.values()), [], 0.0
    for name, kind in kinds.items():
        done += kind.share
        names += [name] * (round(count * done / total) - len(names))
    random.Random(seed).shuffle(names)
    return [Task(number, name) for number, name in enumerate(names)]


def write_seeds(folder: Path) -> None:
    """The sound files, by a process of its own: what it leaves of threads and caches is not inherited by workers."""
    process = get_context("fork").Process(target=_write_seeds, args=(folder,))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the sound files could not be written")


def _write_seeds(folder: Path) -> None:
    write_keypoints(folder / "keypoints")
    write_worlds(folder)
    (folder / DONE).touch()


def keypoint_seeds(folder: Path, testdata: Path | None) -> dict[str, list[Path]]:
    """By format: those of `write_keypoints`, and the small ones of `testdata`."""
    seeds = found_seeds(folder / "keypoints")
    for name, paths in (found_seeds(testdata) if testdata else {}).items():
        seeds.setdefault(name, []).extend(paths)
    return seeds


def warm_up() -> None:
    """Import before the workers are forked what they need."""
    import av  # noqa: F401
    import diffusers  # noqa: F401
    import torch
    import transformers  # noqa: F401
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401

    import signgen.cli.poses
    import signgen.evaluation.compare
    import signgen.evaluation.images
    import signgen.evaluation.render
    import signgen.models.build
    import signgen.reporting.compare_report
    import signgen.study.build
    import signgen.study.score
    import signgen.training.run  # noqa: F401

    with contextlib.suppress(ImportError):
        import decord  # noqa: F401
    torch.set_num_threads(1)
    platform.platform()  # which asks a process, once


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("testdata", type=Path, nargs="?", help="a folder whose small keypoint files are seeds too")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--kinds", help="only these kinds or groups of kinds, separated by commas")
    parser.add_argument("--again", help="of the same inputs only those of these kinds, after a mend")
    parser.add_argument("--sound", action="store_true", help="instead: read every sound file as it is")
    parser.add_argument("--table", type=Path, help="JSON file of what is done; a run goes on from it")
    parser.add_argument("--seeds", type=Path, help="folder for the sound files, used again where it is there")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-violations"), help="where violating files are left")
    return parser.parse_args()


def sound_tasks(kinds: dict[str, Kind]) -> list[Task]:
    """Every sound file once, undamaged."""
    seeds = [(name, seed) for name, kind in kinds.items() for seed in kind.seeds]
    return [Task(number, name, seed) for number, (name, seed) in enumerate(seeds)]


def sound_outcome(outcome: Outcome) -> Outcome:
    """A sound file that is not read is as bad as a violation: nothing could be learned from damaging it."""
    if outcome.what in ("read", "violation"):
        return outcome
    return replace(outcome, what="violation", detail=f"{outcome.what}, though it is sound: {outcome.detail}")


def chosen(kinds: dict[str, Kind], wanted: str | None) -> dict[str, Kind]:
    """Raises SystemExit for a name that is neither a kind nor a group."""
    names = [] if wanted is None else wanted.split(",")
    known = {*kinds, *(kind.group for kind in kinds.values())}
    if unknown := sorted(set(names) - known):
        raise SystemExit(f"no kind {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return {name: kind for name, kind in kinds.items() if not names or name in names or kind.group in names}


def main() -> int:
    given = parsed()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        worlds = (given.seeds or folder / "seeds").resolve()
        if not (worlds / DONE).exists():
            write_seeds(worlds)
        kinds = chosen(all_kinds(worlds, keypoint_seeds(worlds, given.testdata)), given.kinds)
        warm_up()
        asked = {
            "count": given.count,
            "seed": given.seed,
            "kinds": given.kinds,
            "again": given.again,
            "sound": given.sound,
            "testdata": str(given.testdata),
        }
        table = Table.load(given.table, asked)
        given.keep.mkdir(exist_ok=True)
        (folder / "scratch").mkdir()
        setting = Setting(kinds, worlds, folder / "scratch", given.keep.resolve(), given.seed)
        tasks = sound_tasks(kinds) if given.sound else tasks_of(kinds, given.count, given.seed)
        if given.again is not None:
            tasks = [task for task in tasks if task.kind in chosen(kinds, given.again)]
        for start in range(0, len(tasks), SHARD):
            if start // SHARD not in table.shards:
                began = time.perf_counter()
                outcomes = list(run(tasks[start : start + SHARD], setting, given.workers))
                outcomes = list(map(sound_outcome, outcomes)) if given.sound else outcomes
                table.add(start // SHARD, outcomes, time.perf_counter() - began)
                table.save(given.table)
    with contextlib.suppress(OSError):
        given.keep.rmdir()  # only when empty
    table.print()
    return 1 if table.violations else 0


if __name__ == "__main__":
    sys.exit(main())
