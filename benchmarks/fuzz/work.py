"""Numbered tasks in, what became of each out: in processes that may hang, grow or die, which are then replaced."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

import av
import cv2

from fuzz.guard import Guard, listing
from fuzz.kinds import Kind, Place, Wrong
from fuzz.mutants import write_mutant
from signgen.errors import SigngenError

LONGEST_S = 10.0
MOST_BYTES = 2 << 30
_TASKS = 400  # that one process does
_PATIENCE = 5.0  # seconds beyond LONGEST_S, after which a process that does not answer is killed


@dataclass(frozen=True)
class Task:
    """One input: `number` and the run's seed decide everything about it. sound: the seed to take, undamaged."""

    number: int
    kind: str
    sound: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """what: read, nothing, refused or violation. grown: bytes of resident memory at most."""

    number: int
    kind: str
    what: str
    detail: str = ""
    seconds: float = 0.0
    grown: int = 0


@dataclass(frozen=True)
class Setting:
    """What all tasks share. kept: where the inputs of violations are left."""

    kinds: dict[str, Kind]
    worlds: Path
    scratch: Path
    kept: Path
    seed: int


class TooLong(BaseException):
    """Not an Exception, so that no reader takes it for a damaged file."""


def _alarm(*_unused: object) -> None:
    raise TooLong


FFMPEG = "memory, says FFmpeg: "


class Worker:
    """In a process of its own: makes and reads inputs."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.folder = setting.scratch / str(os.getpid())
        self.place = Place(setting.worlds, self.folder / "out")
        self.guard = Guard()
        for name in ("in", "out", "tmp", "here"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)  # numbers of processes come again
        tempfile.tempdir = os.environ["TMPDIR"] = str(self.folder / "tmp")
        os.chdir(self.folder / "here")
        quiet = os.open(self.folder / "stderr", os.O_WRONLY | os.O_CREAT)  # what native libraries say
        os.dup2(quiet, 2)
        cv2.setNumThreads(0)  # its threads, if it has any, did not come along
        signal.signal(signal.SIGALRM, _alarm)
        warnings.simplefilter("ignore")  # libraries', which stand beside the one line

    def do(self, task: Task) -> Outcome:
        kind = self.setting.kinds[task.kind]
        target = self._input(task, kind)
        before = listing(self.folder / "in")
        outcome = self._read(task, kind, target)
        if outcome.what != "violation" and not kind.writes_in and listing(self.folder / "in") != before:
            outcome = Outcome(task.number, task.kind, "violation", "the input was changed")
        if outcome.what == "violation" and target.exists():
            shutil.move(target, self.setting.kept / target.name)
        for name in ("in", "out", "tmp"):
            for path in (self.folder / name).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return outcome

    def _input(self, task: Task, kind: Kind) -> Path:
        """The damaged file or folder."""
        rng = random.Random(f"{self.setting.seed} {task.number}")
        seed, other = rng.choice(kind.seeds), rng.choice(kind.seeds)
        if task.sound is not None:
            target = self.folder / "in" / f"m{task.number}.{task.sound.name}"
            return Path((shutil.copytree if task.sound.is_dir() else shutil.copy)(task.sound, target))
        other_file = rng.choice(sorted(p for p in other.rglob("*") if p.is_file())) if other.is_dir() else other
        target = self.folder / "in" / f"m{task.number}.{seed.name}"
        return write_mutant(seed, other_file.read_bytes(), target, rng, kind.pattern)

    def _read(self, task: Task, kind: Kind, target: Path) -> Outcome:
        allowed = [self.place.out, self.folder / "tmp", *([target] if kind.writes_in else [])]
        allowed += [self.setting.worlds / kind.caches] if kind.caches else []
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MOST_BYTES, resource.RLIM_INFINITY))
        Path("/proc/self/clear_refs").write_text("5")  # the largest memory is counted from now on
        begun, start = _peak(), time.perf_counter()
        self.guard.watch(target, *allowed)
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
        try:
            what, detail = self._judged(kind, target)
            if detail.startswith(FFMPEG):  # it says so of absurd sizes, too: how much is taken without a limit?
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                what, detail = self._judged(kind, target)
                what = "refused" if detail.startswith(FFMPEG) else what  # growth is judged below
        except TooLong:
            what, detail = "violation", f"longer than {LONGEST_S:g} s"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.guard.rest()
        seconds, grown = time.perf_counter() - start, _peak() - begun
        if self.guard.found:
            what, detail = "violation", "; ".join(self.guard.found[:3])
        if grown > MOST_BYTES:
            what, detail = "violation", f"grew by {grown >> 20} MB"
        return Outcome(task.number, task.kind, what, detail[:300], seconds, grown)

    def _judged(self, kind: Kind, target: Path) -> tuple[str, str]:
        try:
            return kind.read(target, self.place), ""
        except SigngenError as error:
            if _out_of_memory(error) and not kind.asks:
                return "violation", f"{FFMPEG if _of_ffmpeg(error) else 'memory: '}{error}"
            return ("violation", f"two lines: {error}") if "\n" in str(error) else ("refused", str(error))
        except Wrong as error:
            return "violation", str(error)
        except TooLong as error:
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "/signgen/" in f.filename]
            where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
            return "violation", f"longer than {LONGEST_S:g} s{where}"
        except BaseException as error:
            return "violation", _traced(error)


def _traced(error: BaseException) -> str:
    """The error and the last place of signgen that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/signgen/" in frame.filename]
    where = "/".join(Path(frames[-1].filename).parts[-2:]) + f":{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {where}: {str(error)[:200]}"


def _of_ffmpeg(error: BaseException) -> bool:
    """Whether FFmpeg is among its causes."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, av.FFmpegError):
        cause = cause.__cause__
    return cause is not None


def _out_of_memory(error: BaseException) -> bool:
    """By its chain of causes: memory was asked for beyond the limit, and somebody took that for a damaged file."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or "allocate memory" in str(cause):
            return True
        cause = cause.__cause__
    return False


def _peak() -> int:
    """Bytes of resident memory at most, since they were last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def _serve(setting: Setting, connection: Connection) -> None:
    worker = Worker(setting)
    for task in iter(connection.recv, None):
        connection.send(worker.do(task))


class Process:
    """A worker as its parent sees it: at most one task at a time."""

    def __init__(self, setting: Setting) -> None:
        context = get_context("fork")
        self.setting = setting
        self.connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(setting, there), daemon=True)
        self._process.start()
        there.close()
        self.task: Task | None = None
        self._since, self._done = 0.0, 0

    def give(self, task: Task) -> None:
        self.task, self._since, self._done = task, time.monotonic(), self._done + 1
        self.connection.send(task)

    def take(self) -> Outcome:
        """What became of the task; a process that died is a violation."""
        assert self.task is not None
        try:
            outcome = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            outcome = self._lost(f"the process died ({self._process.exitcode})")
        self.task = None
        return outcome

    def overdue(self) -> Outcome | None:
        """Kill it where it does not answer."""
        if self.task is None or time.monotonic() - self._since < LONGEST_S + _PATIENCE:
            return None
        self._process.kill()
        self._process.join()
        return self._lost(f"longer than {LONGEST_S:g} s, in native code")

    def _lost(self, why: str) -> Outcome:
        assert self.task is not None
        folder = self.setting.scratch / str(self._process.pid)
        for path in (folder / "in").glob("*"):
            shutil.move(path, self.setting.kept / path.name)
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome(self.task.number, self.task.kind, "violation", why, time.monotonic() - self._since)

    @property
    def fit(self) -> bool:
        """Whether it can be given another task: what leaked in earlier ones is not to be blamed on it."""
        return self._process.is_alive() and self._done < _TASKS

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


def run(tasks: list[Task], setting: Setting, workers: int) -> Iterator[Outcome]:
    """The outcomes of `tasks`, as they come."""
    waiting = list(reversed(tasks))
    processes = [Process(setting) for _ in range(workers)]
    try:
        while waiting or any(process.task for process in processes):
            for place, process in enumerate(processes):
                if process.task is None and waiting:
                    if not process.fit:
                        process.end()
                        processes[place] = process = Process(setting)
                    process.give(waiting.pop())
            busy = {process.connection: process for process in processes if process.task}
            for connection in wait(list(busy), timeout=1):
                yield busy[connection].take()  # type: ignore[index]
            for process in processes:
                if (outcome := process.overdue()) is not None:
                    process.task = None
                    yield outcome
    finally:
        for process in processes:
            process.end()
