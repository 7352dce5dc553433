"""RWTH-PHOENIX-Weather-2014T in its release layout: which clips are listed, and where frames and keypoints lie."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from signgen.corpora.survey import Candidate
from signgen.errors import PairSetError
from signgen.files import read_csv, stays_inside, there_is
from signgen.poses import PoseFile

SPLITS = ("train", "dev", "test")
# (clips, frames) of the whole corpus, as its authors and the FPDM paper count them.
PUBLISHED = {"train": (7_096, 827_354), "dev": (519, 55_775), "test": (642, 64_627)}
FPS = 25.0
FRAMES = Path("features/fullFrame-210x260px")
_COLUMNS = "name|video|start|end|speaker|orth|translation"
_INNER = "PHOENIX-2014-T"


@dataclass(frozen=True)
class Listed:
    """One line of a corpus CSV."""

    name: str
    split: str
    signer: str

    @property
    def where(self) -> str:
        """How reports name it."""
        return f"{self.split}/{self.name}"


def find_root(root: Path) -> Path | None:
    """The folder that holds annotations/ and features/: `root` or PHOENIX-2014-T inside it; None for other data."""
    for folder in (root, root / _INNER, *sorted(root.glob(f"*/{_INNER}"))):
        if any(corpus_csv(folder, split).is_file() for split in SPLITS):
            return folder
    return None


def corpus_folder(root: Path) -> Path:
    """`find_root`, or PairSetError where there is no corpus."""
    folder = find_root(root)
    if folder is None:
        raise PairSetError(f"{root}: no corpus CSVs", expected="annotations/manual/PHOENIX-2014-T.*.corpus.csv")
    return folder


def corpus_csv(folder: Path, split: str) -> Path:
    """Where a split's list of clips lies."""
    return folder / "annotations" / "manual" / f"PHOENIX-2014-T.{split}.corpus.csv"


def listed_clips(folder: Path) -> list[Listed]:
    """Every line of the corpus CSVs, in order. Raises PairSetError for a CSV of another form."""
    clips = []
    for split in SPLITS:
        path = corpus_csv(folder, split)
        if not path.is_file():
            continue
        try:
            columns, read = read_csv(path, delimiter="|", quoting=csv.QUOTE_NONE)
        except (OSError, ValueError) as error:
            raise PairSetError(f"{path}: cannot be read ({error})", expected=_COLUMNS, fix="copy it again") from error
        if not {"name", "speaker"} <= set(columns):
            raise PairSetError(f"{path}: columns {columns}", expected=_COLUMNS)
        rows = [Listed(row["name"], split, row["speaker"]) for row in read]
        for line, clip in enumerate(rows, start=2):
            if not stays_inside(clip.name) or "/" in clip.name:
                raise PairSetError(
                    f"{path}: line {line}: clip {clip.name[:80]!r}", expected="the name of a folder beside others"
                )
        clips += rows
    return clips


class KeypointIndex:
    """Which files hold which clip."""

    def __init__(self, files: list[PoseFile]) -> None:
        self._packed: dict[str, list[Candidate]] = {}
        self._single = [file for file in files if not file.clips]
        for file in files:
            for clip in file.clips:
                self._packed.setdefault(clip, []).append(Candidate(file, clip))

    def candidates(self, clip: Listed) -> list[Candidate]:
        """A clip's keypoints: by the name with its split; by the bare name in a file of that split (or of no split);
        by file name."""
        bare = [c for c in self._packed.get(clip.name, []) if split_of_file(c.file.path) in (None, clip.split)]
        single = [Candidate(f) for f in self._single if f.path.name.startswith((f"{clip.name}.", f"{clip.name}_"))]
        return self._packed.get(f"{clip.split}/{clip.name}", []) + bare + single


def split_of_file(path: Path) -> str | None:
    """The split that a file name mentions, whatever the case."""
    mentioned = [split for split in SPLITS if split in path.name.lower()]
    return mentioned[0] if len(mentioned) == 1 else None


def place_of(clip: Listed, folder: Path) -> Path | None:
    """The clip's frame folder, or a video of its name; None when neither is there."""
    place = folder / FRAMES / clip.split / clip.name
    places = (place, *(place.with_name(f"{clip.name}{suffix}") for suffix in (".mp4", ".avi")))
    return next((path for path in places if there_is(path)), None)
