"""The library's build_pairs: a data set in, a pair set out; says which keypoints belong to which video.

Phoenix-2014T and folders of videos: clips are surveyed, their keypoints written, and triples drawn (plan_clips.py,
triples.py). DeepFashion and Market-1501: the triples are those of published lists (build_lists.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from signgen import __version__
from signgen.corpora import video_folder
from signgen.corpora.findings import Report
from signgen.corpora.matching import read_pairing
from signgen.corpora.person.images import recognise
from signgen.corpora.phoenix.layout import find_root
from signgen.corpora.phoenix.survey import survey_phoenix
from signgen.corpora.survey import Clip, LeftOut, Survey
from signgen.errors import OptionError, PairSetError, PoseError, VideoError
from signgen.pairs.build_lists import build_listed
from signgen.pairs.crops import check_wanted_crop, crop_for, followed
from signgen.pairs.frame_store import FOLDER, write_store
from signgen.pairs.pairset import PairSet
from signgen.pairs.plan_clips import PairPlan, Rule, plan_pairs
from signgen.pairs.signers import leave_out, shared_signers
from signgen.pairs.writer import Footage, PairSetWriter
from signgen.poses.clean import clean_poses
from signgen.poses.sequence import PoseSequence
from signgen.progress import SILENT, Notes, Progress
from signgen.requests import Request
from signgen.video.background import parse_background
from signgen.video.damage import damage_text

DEFAULT_COUNT = 100_000
DAMAGED = ("aside", "skip")
SHOWN = 30  # clips that are named; meta.json and clips.parquet have all
_PAIR = "name videos and keypoints with --pairing FILE.csv (clip,video,keypoints)"
_OWN_PARTS = {"triples.parquet", "clips.parquet", "meta.json", "poses", "store"}


@dataclass(frozen=True)
class BuildPairsRequest(Request):
    """A data set and how its triples are chosen.

    root: a folder of videos with their keypoints, or of Phoenix-2014T, DeepFashion or Market-1501. out: a new folder,
    or a pair set to replace. keypoints: where they are, when not beside the videos. pairing: CSV clip,video,keypoints
    that settles ambiguous pairs. pair_lists: of DeepFashion and Market-1501; those in root where empty.
    clips: only these. holdout_tail: share in [0, 0.95] of every training clip, at its end, kept for validation; None:
    0.25 where there are no dev clips. count: training triples; None: 100,000, of lists all. min_gap: least distance of
    source and target in frames. sources_per_clip: most different source frames of a clip. clean: fill short gaps of
    the keypoints and smooth them. store: also write the frames that triples use, uncompressed. damaged: "aside" puts
    a clip with damaged frames aside, "skip" leaves those frames out of all triples. background: what transparent
    pixels of videos lie over, as the command line takes it. person: who the signer is, in every clip whose line of
    `pairing` does not say it. segments: an .eaf of ELAN, a CSV or a folder of either, whose segments become the clips;
    tier: the .eaf's. leave_signer_out: a signer whose clips are the test split.
    crop: "signer" cuts each clip to one rectangle that its head and hands reach, "follow" to one that moves with the
    signer, "none" leaves frames whole, "auto" is "signer" where it is less than 60 % of the frame.
    """

    root: Path
    out: Path
    keypoints: Path | None = None
    pairing: Path | None = None
    pair_lists: tuple[Path, ...] = ()
    clips: tuple[str, ...] = ()
    holdout_tail: float | None = None
    count: int | None = None
    min_gap: int = 0
    sources_per_clip: int | None = None
    seed: int = 0
    clean: bool = False
    store: bool = False
    damaged: str = "aside"
    background: str | None = None
    person: str | None = None
    segments: Path | None = None
    tier: str | None = None
    leave_signer_out: str | None = None
    crop: str = "auto"


@dataclass(frozen=True)
class BuiltPairs:
    """folder: the pair set. clips: how many it has; triples: split -> rows. left_out: what was not used, and why.

    put_aside: whether something of that is damaged, ambiguous or was asked for. notes: everything that was said.
    """

    folder: Path
    clips: int
    triples: dict[str, int]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def put_aside(self) -> bool:
        return any(left.error for left in self.left_out)


def build_pairs(request: BuildPairsRequest, progress: Progress = SILENT) -> BuiltPairs:
    """Pair videos with keypoints and write training triples (clip, source frame, target frame).

    The same seed and data give the same bytes. Nothing is guessed: what has no keypoints, or too many, is named and
    left out. Raises PairSetError where no clip can be used; then nothing is written.
    """
    notes = Notes(progress)
    check_wanted_crop(request.crop)
    if request.damaged not in DAMAGED:
        raise OptionError(f"--damaged {request.damaged}", expected=" or ".join(DAMAGED))
    parse_background(request.background)
    check_out(request.out)
    if is_listed(request.root):
        built = _from_lists(request, notes)
    elif request.pair_lists:
        raise OptionError(f"--pair-list {request.pair_lists[0]}: {request.root} is neither DeepFashion nor Market-1501")
    else:
        built = _from_clips(request, notes)
    if request.store:
        _store(request.out, notes)
    return BuiltPairs(request.out, *built, notes.kept)


def is_listed(root: Path) -> bool:
    """Whether its triples come from lists of pairs."""
    return find_root(root) is None and recognise(root) is not None


def check_out(out: Path) -> None:
    """Refuse to write among files that are not a pair set's. Raises PairSetError."""
    if not out.exists():
        return
    if not out.is_dir():
        raise PairSetError(f"{out}: a file is there", expected="a new folder for the pair set")
    foreign = sorted(p.name for p in out.iterdir() if p.name not in _OWN_PARTS and not p.name.startswith("."))
    if foreign and not (out / "meta.json").is_file():
        raise PairSetError(f"{out}: holds other things ({', '.join(foreign[:3])})", expected="a new or empty folder")


_Built = tuple[int, dict[str, int], tuple[LeftOut, ...]]  # clips, triples of each split, left out


def _from_lists(request: BuildPairsRequest, notes: Notes) -> _Built:
    """DeepFashion and Market-1501."""
    for_clips = {
        "--pairing": request.pairing,
        "--clips": request.clips,
        "--holdout-tail": request.holdout_tail,
        "--min-gap": request.min_gap,
        "--clean": request.clean,
        "--background": request.background,
        "--person": request.person,
        "--segments": request.segments,
        "--tier": request.tier,
        "--leave-signer-out": request.leave_signer_out,
        f"--crop {request.crop}": request.crop not in ("auto", "none"),
    }
    for option, value in for_clips.items():
        if value:
            raise OptionError(f"{option} is for clips; the pairs of this data set come from its lists")
    lists = [path.resolve() for path in request.pair_lists]
    keypoints = request.keypoints.resolve() if request.keypoints else None
    return build_listed(request.root.resolve(), request.out, lists, keypoints, request.count, request.seed, notes)


def _from_clips(request: BuildPairsRequest, notes: Notes) -> _Built:
    """Phoenix-2014T, and folders of videos."""
    # what is there, and which keypoints belong to which video
    survey = _survey(request, notes.progress)
    if request.leave_signer_out is not None:
        survey.clips, without = leave_out(survey.clips, request.leave_signer_out)
        survey.left_out += without
    with PairSetWriter(request.out) as writer:
        # keypoints, clip by clip
        read = _read_poses(survey, writer, request, notes.progress)
        _tell_survey(survey, notes)
        if not survey.clips:
            raise PairSetError(
                f"{request.root}: no clip can be used ({_first_reason(survey.left_out)})",
                fix=None if request.segments or any(left.has_advice for left in survey.left_out) else _PAIR,
            )
        # triples
        rule = Rule(
            request.count or DEFAULT_COUNT,
            request.seed,
            request.min_gap,
            request.holdout_tail,
            tuple(dict.fromkeys(request.clips)),
            request.sources_per_clip,
            request.clean,
            request.crop,
        )
        plan = plan_pairs(survey, read.usable, rule)
        plan.absent = read.absent
        plan.notes += shared_signers(plan.clips, plan.triples)
        _tell_plan(plan, read, notes)
        meta = _meta(survey, plan, rule, writer.fingerprint(plan.clips))
        if read.skipped:
            meta["damaged"] = read.skipped
        writer.finish(plan.clips, plan.triples, meta)
    return _finished(request.out, len(plan.clips), meta["triples"], survey.left_out, notes)


def _finished(out: Path, clips: int, triples: dict[str, int], left_out: Iterable[LeftOut], notes: Notes) -> _Built:
    counts = ", ".join(f"{number} {split}" for split, number in triples.items())
    notes.add(f"{clips} clips, triples: {counts}", str(out))
    return clips, triples, tuple(left_out)


def _first_reason(left_out: list[LeftOut]) -> str:
    """Why, by the first example."""
    worst = sorted(left_out, key=lambda left: not left.error)
    more = f", and {len(worst) - 1} more" if worst[1:] else ""
    return f"{worst[0].name}: {worst[0].reason}{more}" if worst else "none was found"


def _survey(request: BuildPairsRequest, progress: Progress) -> Survey:
    root = request.root.resolve()
    rows = read_pairing(request.pairing.resolve(), root) if request.pairing else {}
    keypoints = request.keypoints.resolve() if request.keypoints else None
    names = list(dict.fromkeys(request.clips))
    if request.tier and not request.segments:
        raise OptionError(f"--tier {request.tier} without --segments", fix="name the .eaf with --segments")
    segments = video_folder.Segments(request.segments.resolve(), request.tier) if request.segments else None
    if not find_root(root):
        background = parse_background(request.background)
        return video_folder.survey_videos(root, keypoints, rows, names, progress, background, segments)
    if segments:
        raise OptionError("--segments is for folders of videos; Phoenix-2014T has its own clips")
    if request.background:
        raise OptionError("--background is for folders of videos; the frames of Phoenix-2014T are opaque")
    return survey_phoenix(root, keypoints, rows, names, progress)


@dataclass(frozen=True)
class _Read:
    """What is kept of every clip's keypoints. usable: name -> whole frames with a person; absent: name -> how many have
    none; skipped: name -> damaged frames that no triple uses; notes: what readers decided."""

    usable: dict[str, np.ndarray] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _read_poses(survey: Survey, writer: PairSetWriter, request: BuildPairsRequest, progress: Progress) -> _Read:
    """Write every clip's keypoints, one clip after the other; a clip whose keypoints or frames are damaged is put
    aside, or with `request.damaged` "skip" only its damaged frames."""
    read, sound, pictures = _Read(), [], Footage()
    for clip in progress.track(survey.clips, "keypoints"):
        try:
            _check_damage(clip, request.damaged == "skip")
            found = clip.poses(request.person)
            poses = clean_poses(found) if request.clean else found
            clip, poses = _cropped(clip, poses, request.crop)
        except (PoseError, VideoError) as error:
            survey.left_out.append(LeftOut.of(clip.name, error))
            continue
        writer.add(clip.name, poses, pictures(clip))
        whole = poses.has_person.copy()
        for damage in clip.damaged:
            whole[damage.start : damage.stop] = False
        read.usable[clip.name], read.notes[clip.name] = whole.nonzero()[0], (*clip.notes, *poses.notes)
        if absent := int((~poses.has_person).sum()):
            read.absent[clip.name] = absent
        if clip.damaged:
            read.skipped[clip.name] = list(map(str, clip.damaged))
        sound.append(clip)
    survey.clips = sound
    return read


def _cropped(clip: Clip, poses: PoseSequence, wanted: str) -> tuple[Clip, PoseSequence]:
    """The clip as the part of the frames that the signer reaches, where that is wanted; by default where it is small.
    Keypoints are written in pixels of the whole frame, so that they fit the video."""
    crop = followed(poses) if wanted == "follow" else crop_for([poses], wanted)
    if crop is None:
        return clip, poses
    note = f"cropped to the signer, {crop}, {crop.share:.0%} of the frame"
    return replace(clip, crop=crop, width=crop.width, height=crop.height), poses.noted(note)


def _check_damage(clip: Clip, skip: bool) -> None:
    """Raises VideoError for a clip that has damaged frames; with `skip` only where its first frame is one, which
    training samples show."""
    if clip.damaged and not (skip and clip.damaged[0].start > 0):
        again = "copy the file again, or re-encode it"
        fix = again if skip else f"{again}; --damaged skip leaves those frames out"
        raise VideoError(f"{clip.video.name}: damaged: {damage_text(clip.damaged)} of {clip.num_frames}", fix=fix)


def _tell_report(report: Report, notes: Notes) -> None:
    """How much of the data set is there, and what the quick verification found."""
    if report.size:
        notes.add(report.size)
    if report.findings:
        found = ", ".join(f"{kind} {number}" for kind, number in report.by_kind.items())
        notes.add(f"quickly: {found} (signgen verify ROOT shows them; all are in meta.json)", "verified")


def _tell_survey(survey: Survey, notes: Notes) -> None:
    """Which keypoints belong to which video, and what was left out."""
    if survey.report is not None:
        _tell_report(survey.report, notes)
    for clip in survey.clips[:SHOWN]:
        keypoints = clip.keypoints
        notes.add(
            f"{clip.name}: {clip.video.name} + {keypoints.label}"
            f" ({keypoints.file.format}, {keypoints.file.points} points, {clip.num_frames} frames)",
            "paired",
        )
    if len(survey.clips) > SHOWN:
        notes.add(f"... and {len(survey.clips) - SHOWN} more; all are in clips.parquet")
    mild = [left for left in survey.left_out if not left.error]
    for left in mild[:SHOWN]:
        notes.add(f"{left.name}: {left.reason}", "left out")
    if len(mild) > SHOWN:
        notes.add(f"... and {len(mild) - SHOWN} more left out; all are in meta.json")
    for left in survey.left_out:
        if left.error:
            notes.add(f"{left.name}: {left.reason}", "put aside")


def _tell_plan(plan: PairPlan, read: _Read, notes: Notes) -> None:
    """What readers and the rule decided."""
    for clip in plan.clips:
        for note in read.notes[clip.name]:
            notes.add(f"{clip.name}: {note}", "note")
    for name, frames in read.skipped.items():
        unseen = "other frames of it may be wrong without a trace"
        notes.add(f"{name}: damaged, in no triple: {', '.join(frames)}; {unseen}", "note")
    for note in plan.notes:
        notes.add(note, "note")
    if plan.absent:
        each = ", ".join(f"{name} {number}" for name, number in list(plan.absent.items())[:10])
        notes.add(f"{sum(plan.absent.values())} frames without a person are in no triple ({each})")


def _store(out: Path, notes: Notes) -> None:
    """Write the frames that the triples use."""
    pair_set = PairSet.load(out)
    used = pair_set.used_frames()

    size = write_store(out, pair_set.fingerprint, used, pair_set.frames, notes.progress)
    frames = sum(map(len, used.values()))
    notes.add(f"{frames:,} frames, {size / 2**30:.2f} GiB", str(out / FOLDER))


def _meta(survey: Survey, plan: PairPlan, rule: Rule, fingerprint: str) -> dict[str, Any]:
    """Everything that says how the set was made; nothing that depends on when or where it is written."""
    return {
        "signgen": __version__,
        "kind": survey.kind,
        "root": str(survey.root),
        "seed": rule.seed,
        "rule": {
            "count": rule.count,
            "min_gap": rule.min_gap,
            "sources_per_clip": rule.sources_per_clip,
            "holdout_tail": plan.holdout_tail,
            "clips": list(rule.clips),
            "clean": rule.clean,
        },
        "crop": rule.crop,
        "fingerprint": fingerprint,
        "triples": {split: len(rows) for split, rows in plan.triples.items()},
        "frames_without_person": plan.absent,
        "notes": plan.notes,
        "verified": survey.report.to_json() if survey.report else None,
        "left_out": [{"name": left.name, "reason": left.reason, "error": left.error} for left in survey.left_out],
    }
