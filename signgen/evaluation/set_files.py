"""A layout and a clip's pairs in; the files that they become, and the record that says that these are whole, out."""

from __future__ import annotations

import glob
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import OptionError, PairSetError, nearest
from signgen.files import make_folder, read_json, write_json
from signgen.pairs.pairset import ClipRecord, PairSet, frame_name
from signgen.rendering.pairs import PairJob
from signgen.video.reader import FrameSource, write_png
from signgen.video.writer import VideoWriter, sample_aspect

LAYOUTS = ("mp4", "phoenix", "frames")
# How a tool calls what it generates; CFLD's own program writes no images, and its lists are spelled as PIDM's.
NAMES = {
    "pidm": "{source}_2_{target}_vis.png",
    "cfld": "{source}_2_{target}_vis.png",
    "pcdms": "{source}_to_{target}.png",
    "fpdm": "{source}.jpg_2_{target}.jpg.png",
}
RECORDS = "records"
_DEFAULT_FPS = 25.0
_VIEW = re.compile(r"^(\d+_\d+)_(?=[a-z])")
Write = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Item:
    """Pairs that are rendered and kept as one: those of a clip, or of a listed image, and one source frame.

    name: of its record and its row, one for each. path: below the set's folder, what is written: an mp4, or a folder;
    of a list the set's folder itself. files: of each pair; of an mp4 none.
    """

    name: str
    job: PairJob
    path: Path
    files: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """Of each pair: its file below the set's folder, of an mp4 with the number of its frame in it."""
        if not self.files:
            return [f"{self.path.as_posix()}#{number}" for number in range(len(self.job.targets))]
        return [(self.path / file).as_posix() for file in self.files]


def items_of(pair_set: PairSet, jobs: list[PairJob], layout: str | None, names: str | None, split: str) -> list[Item]:
    """An item for each job, in their order. Raises OptionError for a layout of clips with a list, names with clips, and
    for unknown ones."""
    for option, value, known in (("--layout", layout, LAYOUTS), ("--names", names, tuple(NAMES))):
        if value is not None and value not in known:
            raise OptionError(f"{option} {value}", expected=f"one of {', '.join(known)}", fix=_meant(value, known))
    if pair_set.listed:
        if layout is not None:
            raise OptionError(f"--layout {layout} with lists of pairs, which are images", fix="use --names")
        return [_listed_item(pair_set.clips[job.clip_index], job, NAMES[names or "pcdms"]) for job in jobs]
    if names is not None:
        raise OptionError(f"--names {names} with clips", expected="lists of pairs", fix="use --layout frames")
    counts = Counter(job.clip_index for job in jobs)
    found = []
    for job in jobs:
        clip = pair_set.clips[job.clip_index]
        if clip.name.split("/")[0] == RECORDS:
            raise PairSetError(
                f"{pair_set.folder}: a clip called {clip.name}", expected="another name: a folder has it"
            )
        name = f"{clip.name}-from-{job.source:06d}" if counts[job.clip_index] > 1 else clip.name
        found.append(_clip_item(clip, job, name, layout or "mp4", split))
    return found


def _meant(word: str, known: tuple[str, ...]) -> str | None:
    found = nearest(word, list(known))
    return None if found is None else f"did you mean {found}?"


def _listed_item(clip: ClipRecord, job: PairJob, form: str) -> Item:
    source = flat_name(clip, job.source)
    files = tuple(form.format(source=source, target=flat_name(clip, target)) for target in job.targets)
    return Item(f"{frame_name(clip, job.source)}", job, Path(), files)


def _clip_item(clip: ClipRecord, job: PairJob, name: str, layout: str, split: str) -> Item:
    if layout == "mp4":
        return Item(name, job, Path(f"{name}.mp4"))
    files = tuple(f"images{target + 1:04d}.png" for target in job.targets)
    if layout == "frames":
        return Item(name, job, Path(name), files)
    width, height = clip.frame_size if clip.pasted else (clip.width, clip.height)
    there = {"val": "dev"}.get(split, split)
    return Item(name, job, Path(f"fullFrame-{width}x{height}px", there, name), files)


def flat_name(clip: ClipRecord, image: int) -> str:
    """An image's name as lists of DeepFashion spell it, fashionWOMENDressesid0000713204_4full; of others its own."""
    path = (clip.path / clip.images[image]).with_suffix("")
    section = next((n for n, part in enumerate(path.parts) if part in ("MEN", "WOMEN")), None)
    if section is None:
        return path.name
    folders = "".join(path.parts[section:-1]).replace("id_", "id")
    view = _VIEW.sub(r"\1", path.name)
    return f"fashion{folders}{view}"


# ---- writing


@contextmanager
def written(
    out: Path, item: Item, size: tuple[int, int], frames: FrameSource | None, fps: float | None, description: str
) -> Iterator[Write]:
    """A function that takes the target's number and its frame, uint8 (height, width, 3), in the item's order. What it
    has written is at its place when the block ends, and only then; of a list each image at once.

    size: width and height. frames: the clip's own, whose pixels and times the output has; None for another signer's.
    """
    if not item.path.parts:
        names = dict(zip(item.job.targets, item.files, strict=True))
        yield lambda target, frame: write_png(out / names[target], frame, description)
    elif not item.files:
        aspect = sample_aspect(*size, None if frames is None else frames.sample_aspect)
        times = None if frames is None or frames.times is None else frames.times[list(item.job.targets)]
        path = out / item.path
        with VideoWriter(path, *size, fps or _DEFAULT_FPS, aspect, times, description) as video:
            yield lambda _, frame: video.write(frame)
        video.partial_path.unlink(missing_ok=True)  # of an interruption before
    else:
        with _folder(out / item.path) as folder:
            names = dict(zip(item.job.targets, item.files, strict=True))
            yield lambda target, frame: write_png(folder / names[target], frame, description)


def remove_unfinished(out: Path, item: Item) -> None:
    """What a process that was killed has left beside the item's place, and why it was put aside before."""
    place = out / item.path
    _problem_path(out, item).unlink(missing_ok=True)
    if not item.path.parts:
        return
    for temporary in place.parent.glob(f".{glob.escape(place.name)}.*.tmp"):
        temporary.unlink(missing_ok=True)
    shutil.rmtree(_unfinished(place), ignore_errors=True)


def _unfinished(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A folder beside `path`, which takes its place when the block ends."""
    unfinished = _unfinished(path)
    shutil.rmtree(unfinished, ignore_errors=True)
    yield make_folder(unfinished)
    shutil.rmtree(path, ignore_errors=True)
    unfinished.replace(path)


# ---- records


@dataclass(frozen=True)
class Record:
    """What is kept of an item that is whole. held: frames without a person, in which the pose before is held.
    scores: what FrameScorer says; None without the truth."""

    source: int
    targets: tuple[int, ...]
    seconds: float
    held: int
    scores: dict[str, Any] | None

    def fits(self, item: Item) -> bool:
        """Whether it is of the item's pairs."""
        return (self.source, self.targets) == (item.job.source, item.job.targets)


def write_record(out: Path, item: Item, record: Record) -> None:
    """The last thing that is written of an item."""
    write_json(_record_path(out, item), asdict(record))


def write_problem(out: Path, item: Item, problem: str) -> None:
    """Why an item is put aside."""
    write_json(_problem_path(out, item), {"problem": problem})


def read_problem(out: Path, item: Item) -> str:
    """What `write_problem` wrote."""
    return str(read_json(_problem_path(out, item))["problem"])


def read_record(out: Path, item: Item) -> Record | None:
    """None where the item is not whole: it has to be rendered. Raises PairSetError for a record that is damaged."""
    path = _record_path(out, item)
    try:
        found = read_json(path)
        record = Record(**{**found, "targets": tuple(found["targets"])})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise PairSetError(f"{path}: damaged ({error})", fix="delete it, and its clip is rendered again") from error
    there = all((out / item.path / file).is_file() for file in item.files or ("",))
    return record if there and record.fits(item) else None


def _problem_path(out: Path, item: Item) -> Path:
    return out / RECORDS / f"{item.name}.problem.json"


def _record_path(out: Path, item: Item) -> Path:
    return out / RECORDS / f"{item.name}.json"
