"""Further frames of the person in (another clip, or the training frames), checked, for the part warp, out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from signgen.errors import ModelError, PairSetError, PoseError
from signgen.models.card import ModelCard
from signgen.pairs.crops import crop_for, followed, within
from signgen.pairs.pairset import PairSet
from signgen.poses.clean import clean_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.parts import seen_frames
from signgen.poses.readers import read_beside
from signgen.poses.sequence import PoseSequence
from signgen.progress import Notes
from signgen.rendering.source import ReferenceClip, Source
from signgen.video.background import RGB
from signgen.video.crop import CroppedFrames
from signgen.video.reader import FrameSource, frame_range, open_frames

TRAINING = "training"


@dataclass(frozen=True)
class ReferenceRequest:
    """What the command line asks for: a clip of the person or `training`, its keypoints, and which frames, as A:B.

    background: what transparent pixels of the clip lie over; None: the median of its opaque border.
    """

    clip: str | None
    poses: Path | None = None
    frames: str | None = None
    background: RGB | None = None


@dataclass(frozen=True)
class Rendered:
    """What is rendered: the clip's name and path; the pair set that the model was trained on, where it is at hand."""

    name: str
    path: Path
    pairs: Path | None


@dataclass(frozen=True)
class _Found:
    """Frames, and poses of those from `first` on; origin: where they come from, for messages."""

    frames: FrameSource
    poses: PoseSequence
    first: int
    origin: str


def with_references(
    source: Source, request: ReferenceRequest, card: ModelCard, clean: bool, rendered: Rendered, notes: Notes
) -> tuple[Source, list[str]]:
    """The source with the frames asked for, and notes for the reader of the scores. clean: whether to clean the poses.

    Raises ModelError for a model that has no use for them, PoseError for what does not go together, for keypoints of
    fewer frames, or where none has both shoulders; PairSetError where the clip's training frames are not known.
    """
    if request.clip is None:
        for option, given in (("--reference-poses", request.poses), ("--reference-frames", request.frames)):
            if given is not None:
                raise PoseError(f"{option} without --references", expected="a clip of the person")
        return source, _advice(card, notes)
    if not card.parsed_recipe().part_warp:
        raise ModelError("--references for a model without the part warp", expected="one that was trained with it")

    found = _training(request, card, clean, rendered) if request.clip == TRAINING else _clip(request, card, clean)
    chosen = frame_range(request.frames, len(found.poses), "--reference-frames")
    found.frames.check(found.first + chosen.start, found.first + chosen.stop)
    poses = found.poses[chosen]
    usable = int(seen_frames(poses)["shoulders"].sum())
    if not usable:
        raise PoseError(f"{found.origin}: no frame has both shoulders", expected="keypoints of the person")
    where = "" if request.frames is None else f" ({request.frames})"
    note = (
        f"the part warp takes body and hands from the nearest of {usable} frames of {found.origin}{where} and the "
        "source: not comparable with scores that know the first frame alone"
    )
    notes.add(note, "references")
    frames = found.frames
    if source.crop is not None and request.clip != TRAINING:  # a pair set's clips are cropped already
        frames, poses = _cropped(frames, found.poses, source.path is not None)
        poses = poses[chosen]
    return replace(source, references=ReferenceClip(frames, poses, found.first + chosen.start)), [note]


def _cropped(frames: FrameSource, poses: PoseSequence, follow: bool) -> tuple[FrameSource, PoseSequence]:
    """References at the scale that the source is shown at: as their own signer reaches, in all frames or in each."""
    poses = poses.resized(frames.width, frames.height)
    crop = followed(poses) if follow else crop_for([poses], "signer")
    return (frames, poses) if crop is None else (CroppedFrames(frames, crop), within(poses, crop))


def _advice(card: ModelCard, notes: Notes) -> list[str]:
    """A note for a model that was trained with references in every triple, and is to do without."""
    if card.parsed_recipe().training.diffusion.augmentation.references < 1:
        return []
    note = "the model was trained with references in every triple and has none here"
    notes.add(f"{note}; --references gives them", "references")
    return [note]


def _clip(request: ReferenceRequest, card: ModelCard, clean: bool) -> _Found:
    """The clip that was named, and its keypoints."""
    if request.poses is None:
        raise PoseError("--references without --reference-poses", expected="a clip of the person and its keypoints")
    path = Path(str(request.clip))
    frames = open_frames(path, background=request.background)
    poses = to_skeleton(read_beside(request.poses, frames), card.skeleton)
    if len(poses) < frames.num_frames:
        raise PoseError(
            f"{request.poses}: keypoints for {len(poses)} frames, {path} has {frames.num_frames}",
            expected="one pose per frame of the references",
        )
    poses = clean_poses(poses) if clean else poses
    return _Found(frames, poses[: frames.num_frames], 0, str(path))


def _training(request: ReferenceRequest, card: ModelCard, clean: bool, rendered: Rendered) -> _Found:
    """The training frames of the clip that is rendered. Keypoints that build-pairs cleaned are not cleaned again."""
    if request.poses is not None:
        raise PoseError("--reference-poses with --references training", expected="the pair set's own keypoints")
    if rendered.pairs is None:
        raise PairSetError("--references training: the pair set is not at hand", fix="name it with --pairs")
    pair_set = PairSet.load(rendered.pairs)
    record = pair_set.find(rendered.name, rendered.path)
    if record is None or not record.train_frames:
        raise PairSetError(
            f"--references training: {pair_set.folder} has no training frames of {rendered.name}",
            expected="a clip that the model was trained on",
            fix="name a clip of the person with --references CLIP, or leave --references out",
        )
    poses = to_skeleton(pair_set.poses(record.name), card.skeleton)
    poses = clean_poses(poses) if clean and not pair_set.cleaned else poses
    poses = poses[record.train_frames.start : record.train_frames.stop]
    return _Found(pair_set.frames(record.name), poses, record.train_frames.start, f"{record.name}'s training part")
