"""The states of a stage on disk: files of one step in, the newest whole one out.

RUN/state/<stage>/<step>/ holds weights.pt, one file for each optimiser, ema.pt and progress.json, which is written last
and has the length and the CRC-32 of the others. A state is written beside the others, flushed to the disk, and renamed;
then the oldest goes. 0.1 and 0.2 kept one state, whose files lie in RUN/state/<stage>/ itself: it is moved.
"""

from __future__ import annotations

import io
import os
import shutil
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from signgen.errors import ModelError
from signgen.files import atomic_path, disk_full_is_oserror, flush, make_folder, read_json, read_tensors, write_json

PROGRESS = "progress.json"
BEST, BEST_WEIGHTS = "best.json", "best.pt"
_MOST_STEPS = 1 << 40
_CHUNK = 1 << 22


@dataclass
class Progressed:
    """Where a stage stands: `step` optimiser steps are done, of `steps` (None: time decides, and has not yet);
    `seconds` were spent on it."""

    step: int = 0
    steps: int | None = None
    seconds: float = 0.0


class Damaged(Exception):
    """A state that cannot be read; the message says why."""


class Checkpoints:
    """The states of one stage of a run. keep: how many are kept at most, 1 or more."""

    def __init__(self, run: Path, stage: str, keep: int = 2) -> None:
        self.folder, self.stage, self.keep = run / "state" / stage, stage, keep
        self._bring_up_to_date()

    def steps(self) -> list[int]:
        """Steps that there are states of, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def of(self, step: int) -> Path:
        """The folder of a step's state."""
        return self.folder / f"{step:08d}"

    def write(self, progress: Progressed, files: Iterable[tuple[str, Any]]) -> None:
        """Keep a state; files: names, and what `torch.save` writes to them. A full disk leaves the older states."""
        fresh = self.folder / f".{progress.step:08d}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        make_folder(fresh)
        try:
            with disk_full_is_oserror(fresh):
                sums = {name: _save(content, fresh / name) for name, content in files}
            state = {"step": progress.step, "steps": progress.steps, "seconds": round(progress.seconds, 3)}
            write_json(fresh / PROGRESS, {**state, "files": sums})
            flush(fresh)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        place = self.of(progress.step)
        if place.exists():  # whole, and of the same step: the one written now says no less
            old = self.folder / f".{progress.step:08d}.old"
            shutil.rmtree(old, ignore_errors=True)
            place.rename(old)
            fresh.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            fresh.rename(place)
        _flush_folder(self.folder)
        for step in self.steps()[: -self.keep]:
            shutil.rmtree(self.of(step), ignore_errors=True)

    def best(self) -> dict[str, Any] | None:
        """The step and the score of the best weights; None where none were kept."""
        try:
            found = read_json(self.folder / BEST)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and (self.folder / BEST_WEIGHTS).is_file() else None

    def best_weights(self, device: Any) -> Any:
        """The weights of the best validation. Raises ModelError."""
        try:
            return read_tensors(self.folder / BEST_WEIGHTS, device)
        except (OSError, ValueError) as error:
            fix = f"delete {self.folder / BEST} to do without"
            raise ModelError(f"{self.folder / BEST_WEIGHTS} is damaged ({_first_line(error)})", fix=fix) from error

    def write_best(self, score: dict[str, Any], weights: Any) -> None:
        """Keep the weights of the best validation in place of those before."""
        make_folder(self.folder)
        (self.folder / BEST).unlink(missing_ok=True)  # first, so that no score stands beside other weights
        with disk_full_is_oserror(self.folder), atomic_path(self.folder / BEST_WEIGHTS) as temporary:
            torch.save(weights, temporary)
        write_json(self.folder / BEST, score)

    def newest(self) -> Progressed | None:
        """Where the newest state stands, its other files not looked at; None without one. Raises ModelError."""
        for step in reversed(self.steps()):
            try:
                return read_progress_file(self.of(step))
            except Damaged:
                continue
        if self.steps():
            raise self._refusal(f"{self.of(self.steps()[-1]) / PROGRESS}: cannot resume")
        return None

    def read(self, load: Callable[[Callable[[str], Any]], None], device: Any) -> tuple[Progressed, list[str]] | None:
        """Give the newest whole state to `load`, which is called with a function from a file's name to its content.

        Returns where it stands, and a line for every newer one that was damaged, which is put aside; None where there
        is none at all. Raises ModelError where all are damaged.
        """
        told: list[str] = []
        reasons: list[str] = []
        for step in reversed(self.steps()):
            folder = self.of(step)
            try:
                progress = read_progress_file(folder)
                check_files(folder)
                load(lambda name, folder=folder: _content(folder / name, device))  # type: ignore[misc]
            except Damaged as error:
                reasons.append(str(error))
                continue
            for other in (number for number in self.steps() if number > step):
                aside = self.folder / f"damaged-{other:08d}"
                shutil.rmtree(aside, ignore_errors=True)
                self.of(other).rename(aside)
            told += [f"{reason}: stage {self.stage} goes on from step {step}" for reason in reasons]
            return progress, told
        if reasons:
            raise self._refusal(f"{reasons[0]}: cannot resume")
        return None

    def _refusal(self, found: str) -> ModelError:
        return ModelError(found, fix=f"delete the folder {self.folder} to train the stage again")

    def _bring_up_to_date(self) -> None:
        """Move the one state of 0.1 and 0.2 into a folder of its step, and remove what an interrupted write left."""
        kept = self.folder.with_name(f".{self.stage}.old")
        if not self.folder.exists() and kept.exists():
            kept.rename(self.folder)  # the process died between the two renames of a swap
        if not (self.folder / PROGRESS).is_file():
            return
        try:
            place = self.of(read_progress_file(self.folder).step)
        except Damaged as error:
            raise self._refusal(f"{error}: cannot resume") from error
        files = [path for path in self.folder.iterdir() if path.is_file()]
        make_folder(place)
        for path in sorted(files, key=lambda path: path.name == PROGRESS):
            path.rename(place / path.name)


def read_progress(run: Path, stage: str) -> Progressed | None:
    """Where a stage of a run stands; None if it never saved."""
    return Checkpoints(run, stage).newest()


def read_progress_file(folder: Path) -> Progressed:
    """Where the state in `folder` stands. Raises Damaged."""
    path = folder / PROGRESS
    try:
        found = read_json(path)
        progress = Progressed(found["step"], found.get("steps"), found.get("seconds", 0.0))
        counts = (progress.step, progress.steps or 0)
        if not all(type(n) is int and 0 <= n < _MOST_STEPS for n in counts):
            raise ValueError(f"step {progress.step} of {progress.steps}")
        if type(progress.seconds) not in (int, float) or not progress.seconds >= 0:
            raise ValueError(f"seconds is {progress.seconds!r}")
        return progress
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({_first_line(error)})") from error


def check_files(folder: Path) -> None:
    """Raise Damaged for a file that is not what was written. States of before 0.3 have no sums."""
    sums = read_json(folder / PROGRESS).get("files", {})
    if not isinstance(sums, dict):
        raise Damaged(f"{folder / PROGRESS} is damaged (files is {sums!r})")
    for name, wanted in sums.items():
        path = folder / name
        try:
            if path.stat().st_size != wanted[0]:
                raise Damaged(f"{path} is damaged (it has {path.stat().st_size} bytes of {wanted[0]})")
            with path.open("rb") as handle:
                found = _crc(handle)
        except (OSError, TypeError, LookupError) as error:
            raise Damaged(f"{path} is damaged ({_first_line(error)})") from error
        if found != wanted[1]:
            raise Damaged(f"{path} is damaged (its CRC-32 is not the one written)")


def _content(path: Path, device: Any) -> Any:
    try:
        return read_tensors(path, device)
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} is damaged ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (next(iter(str(error).splitlines()), "") or type(error).__name__)[:160]


class _Summed(io.RawIOBase):
    """A file that is written from front to back, and what it holds so far: length and CRC-32."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.length, self.crc = 0, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._handle.write(data)
        self.length, self.crc = self.length + len(data), zlib.crc32(data, self.crc)
        return len(data)


def _save(content: Any, path: Path) -> tuple[int, int]:
    """`torch.save`; returns the file's length and CRC-32."""
    with path.open("wb") as handle:
        summed = _Summed(handle)
        torch.save(content, summed)  # type: ignore[arg-type]  # it only writes
        return summed.length, summed.crc


def _crc(handle: BinaryIO) -> int:
    crc = 0
    while chunk := handle.read(_CHUNK):
        crc = zlib.crc32(chunk, crc)
    return crc


def _flush_folder(folder: Path) -> None:
    """Put the names in a folder on the disk; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
