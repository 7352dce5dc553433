"""What the tests of signgen.parallel do in each process: `torchrun ... group_of_two.py OUT WHAT`.

Every process writes OUT/<process>.json with what it found.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from signgen import parallel
from signgen.errors import PairSetError
from signgen.progress import Bar, Progress


class Counted(Progress):
    """Remembers how far the bar came."""

    def __init__(self) -> None:
        self.most, self.bars = 0, 0

    @contextmanager
    def bar(self, what: str, total: int | None = None, keep: bool = False):
        self.bars += 1
        shown = Bar()
        shown.update = self._update  # type: ignore[method-assign]
        yield shown

    def _update(self, completed: int, total: int | None = None, note: str = "") -> None:
        self.most = max(self.most, completed)


def rank() -> int:
    return int(os.environ["RANK"])


def squares(shard: list[int], tick: Callable[[], None]) -> list[int]:
    """Squares of the shard's numbers, and which process computed them."""
    for _ in shard:
        tick()
    return [rank(), *(number**2 for number in shard)]


def take(slow: int, tick: Callable[[], None]) -> list[int]:
    """The numbers that this process is dealt, of twelve; process `slow` takes long for each."""
    found = []
    for number in parallel.dealt(12):
        found.append(number)
        time.sleep(0.3 if rank() == slow else 0.03)
        tick()
    return found


def fail(shard: int, tick: Callable[[], None]) -> None:
    """Process 1 fails, process 0 would work for a minute."""
    for _ in range(600):
        time.sleep(0.1)
        if rank() == 1:
            raise PairSetError("clip7 is damaged", fix="leave it out")
        tick()


def everything(out: Path) -> dict[str, Any]:
    """Results of shards, more and fewer than processes, a shared folder, and numbers dealt out."""
    progress, found = Counted(), dict[str, Any]()
    found["processes"] = parallel.processes()
    found["squares"] = parallel.in_processes(squares, [[1, 2], [3], [4]], 4, "squares", progress)
    found["counted"] = (progress.most, progress.bars)
    found["one"] = parallel.in_processes(squares, [[5]], 1, "one")
    found["from first"] = parallel.from_first(lambda: f"of {rank()}")
    with parallel.shared_folder("signgen-test-") as folder:
        (folder / f"{rank()}").touch()
        found["folder"] = str(folder)
        seen = parallel.in_processes(lambda _shard, _tick: sorted(p.name for p in folder.iterdir()), [0, 1], 0, "x")
    found["seen"] = seen
    found["taken"] = parallel.in_processes(take, [1, 1], 12, "taking")
    found["threads"] = parallel.threads_of(2, None)
    return found


def main(out: Path, what: str) -> None:
    if what == "everything":
        found = everything(out)
        (out / f"{rank()}.json").write_text(json.dumps(found))
        parallel.in_first([])
        (out / "first.json").write_text("{}")
        return
    try:
        if what == "before" and rank() == 1:
            raise PairSetError("no pair set on this machine")
        parallel.in_processes(fail, [0, 1], 2, "failing")
    except (PairSetError, parallel.StoppedElsewhere) as error:
        says = parallel.says(error)
        parallel.said()
        (out / f"{rank()}.json").write_text(json.dumps([type(error).__name__, error.exit_code, str(error), says]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
