"""RWTH-PHOENIX-Weather-2014T in its release layout, with keypoint pickles or per-clip files, in; Survey out."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from signgen.data.frame_folder import look_into
from signgen.data.survey import (
    Candidate,
    Clip,
    LeftOut,
    PairingRow,
    Progress,
    Survey,
    Unpaired,
    check_wanted,
    choose,
    identify_all,
    settle,
)
from signgen.data.video import FrameSource, open_frames
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.poses import PoseFile

SPLITS = ("train", "dev", "test")
# (clips, frames) of the whole corpus, as its authors and the FPDM paper count them.
PUBLISHED = {"train": (7_096, 827_354), "dev": (519, 55_775), "test": (642, 64_627)}
FPS = 25.0
FRAMES = Path("features/fullFrame-210x260px")
_INNER = "PHOENIX-2014-T"


@dataclass(frozen=True)
class Listed:
    """One line of a corpus CSV."""

    name: str
    split: str
    signer: str


def find_root(root: Path) -> Path | None:
    """The folder that holds annotations/ and features/: `root` or PHOENIX-2014-T inside it; None for other data."""
    for folder in (root, root / _INNER, *sorted(root.glob(f"*/{_INNER}"))):
        if any(corpus_csv(folder, split).is_file() for split in SPLITS):
            return folder
    return None


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
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle, delimiter="|", quoting=csv.QUOTE_NONE)
            if not {"name", "speaker"} <= set(reader.fieldnames or ()):
                found = f"{path}: columns {reader.fieldnames}"
                raise PairSetError(found, expected="name|video|start|end|speaker|orth|translation")
            clips += [Listed(row["name"], split, row["speaker"] or "") for row in reader]
    return clips


def survey_phoenix(
    root: Path, keypoints: Path | None, pairing: dict[str, PairingRow], wanted: list[str], watch: Progress = lambda x: x
) -> Survey:
    """Pair every listed clip that is on disk with its keypoints in `keypoints`, a folder or one file.

    wanted: clip names to restrict to; empty means all. Raises PairSetError for missing keypoints or an unknown clip.
    """
    folder = find_root(root)
    if folder is None:
        raise PairSetError(f"{root}: no corpus CSVs", expected="annotations/manual/PHOENIX-2014-T.*.corpus.csv")
    if keypoints is None or not keypoints.exists():
        found = f"{root}: Phoenix-2014T without keypoints" if keypoints is None else f"{keypoints}: no such folder"
        raise PairSetError(found, fix="add --keypoints FOLDER with the MSKA or SLRT pickles")
    survey = Survey(root, "phoenix")
    listed = listed_clips(folder)
    check_wanted([*wanted, *pairing], {clip.name: None for clip in listed}, root)
    files = identify_all(sorted(keypoints.iterdir()) if keypoints.is_dir() else [keypoints], survey.left_out)
    index = _Index(files)
    seen: dict[str, str] = {}
    for clip in watch([clip for clip in listed if not wanted or clip.name in wanted]):
        try:
            found_clip = _clip(clip, folder, index, pairing.get(clip.name))
            if clip.name in seen:
                raise Unpaired(f"on disk in {seen[clip.name]} and in {clip.split}; the latter is left out")
            seen[clip.name] = clip.split
            survey.clips.append(found_clip)
        except Unpaired as error:
            survey.left_out.append(LeftOut(f"{clip.split}/{clip.name}", str(error), error=error.error))
        except (PoseError, VideoError) as error:
            survey.left_out.append(LeftOut(f"{clip.split}/{clip.name}", str(error), error=True))
    survey.left_out += [
        LeftOut(name, "asked for with --clips, not usable", error=True) for name in wanted if name not in seen
    ]
    return survey


class _Index:
    """Which files hold which clip."""

    def __init__(self, files: list[PoseFile]) -> None:
        self._packed: dict[str, list[Candidate]] = {}
        self._single = [file for file in files if not file.clips]
        for file in files:
            for clip in file.clips:
                self._packed.setdefault(clip, []).append(Candidate(file, clip))

    def candidates(self, clip: Listed) -> list[Candidate]:
        """By the name with its split; by the bare name in a file of that split (or of no split); by file name."""
        bare = [c for c in self._packed.get(clip.name, []) if split_of_file(c.file.path) in (None, clip.split)]
        single = [Candidate(f) for f in self._single if f.path.name.startswith((f"{clip.name}.", f"{clip.name}_"))]
        return self._packed.get(f"{clip.split}/{clip.name}", []) + bare + single


def split_of_file(path: Path) -> str | None:
    """The split that a file name mentions, whatever the case."""
    mentioned = [split for split in SPLITS if split in path.name.lower()]
    return mentioned[0] if len(mentioned) == 1 else None


def _clip(clip: Listed, folder: Path, index: _Index, row: PairingRow | None) -> Clip:
    source = open_frames(row.video) if row and row.video else _frames(clip, folder)
    if row is not None:
        chosen = settle(row, clip.name, source)
    else:
        candidates = index.candidates(clip)
        if not candidates:
            raise Unpaired("no keypoints in the files of --keypoints", error=False)
        chosen = choose(clip.name, candidates, source)
    size = (source.num_frames, source.width, source.height)
    return Clip(clip.name, clip.split, clip.signer, source.path, chosen, *size, FPS)


def place_of(clip: Listed, folder: Path) -> Path | None:
    """The clip's frame folder, or a video of its name; None when neither is there."""
    place = folder / FRAMES / clip.split / clip.name
    places = (place, *(place.with_name(f"{clip.name}{suffix}") for suffix in (".mp4", ".avi")))
    return next((path for path in places if path.exists()), None)


def _frames(clip: Listed, folder: Path) -> FrameSource:
    """Raises Unpaired when the clip is not there, or frames are missing in its middle."""
    place = place_of(clip, folder)
    if place is None:
        raise Unpaired(f"listed in the {clip.split} corpus, not on disk", error=False)
    if place.is_dir() and (gap := look_into(place).gap):
        raise Unpaired(gap, fix="signgen verify names everything that is missing or damaged")
    return open_frames(place)
