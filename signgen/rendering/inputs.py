"""What is rendered: a request in, a checked RenderJob out. The home of "which poses, which truth, what fits what".

Everything that can be wrong with the input is found here, before a model is loaded or a frame is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from signgen.config import SamplingSettings
from signgen.corpora.beside import poses_beside
from signgen.errors import OptionError, PairSetError, PoseError, VideoError
from signgen.files import read_json
from signgen.models.card import ModelCard, read_card
from signgen.pairs.pairset import PairSet
from signgen.poses.clean import clean_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.estimators import extract, open_estimator
from signgen.poses.readers import identify, read_beside, read_poses
from signgen.poses.retarget import retarget, scales
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import on_frame, share_inside
from signgen.progress import Notes
from signgen.rates import rounded_rate, same_rate
from signgen.rendering.cropping import tell_moving, with_crop
from signgen.rendering.garment import with_garment
from signgen.rendering.outputs import Outputs
from signgen.rendering.references import TRAINING, ReferenceRequest, Rendered, with_references
from signgen.rendering.sound import sound_of
from signgen.rendering.source import Source
from signgen.requests import Request
from signgen.video.background import RGB, parse_background
from signgen.video.codecs import DEFAULT
from signgen.video.credentials import Credentials
from signgen.video.damage import damage_text, damage_within
from signgen.video.display import padding_note
from signgen.video.reader import FrameSource, frame_range, open_frames

TRUTHS = ("auto", "none")
_DEFAULT_FPS = 25.0
_RESAMPLE = "signgen poses convert POSES X.poses.npz --fps N resamples them"


@dataclass(frozen=True)
class RenderRequest(Request):
    """Who is rendered in which poses, by which model, and what is written.

    source: a video or frame folder (its first frame), or an image. poses: keypoints in any format; clip: the name in a
    split pickle. out: a video, or a PNG or WebP for a single pose. frames: A:B of the poses, all where None. clean:
    fill short gaps and smooth, as build-pairs does. source_poses: keypoints of the source. references: another clip of
    the person, or "training"; reference_poses, reference_frames: its keypoints, and which of its frames.
    garment: an image of another person (of a video its first frame), whose clothes are worn; garment_poses: its
    keypoints.
    retarget: "auto" fits poses of another clip to the source's person, as `poses retarget` does; "none" takes them as
    they are.
    truth: "auto" (the source's own frames if count, fps and size agree), "none", or a path. needs_truth: it is an error
    where there is none. pairs: pair set of nearest-pose; None: that of the run the model lies in. side_by_side: also
    OUT.side-by-side.mp4; skeleton_overlay: also OUT.skeleton.mp4. save_frames: folder for every frame as an image of
    frames_format, "png" or "webp". codec: a name of `signgen.video.codecs`. audio: "keep", the sound of the poses' own
    clip, or a file; None: no sound. fps: of the video; None: the poses'.
    background: what transparent pixels of the source and truth lie over, as the command line takes it; keep: the
    source's background is composited back in, one of the sampling's cures of flicker.
    sampling: values that replace the recipe's, by the names of SamplingSettings. seed: of the noise.
    person: who of several people in the poses: N, x,y or x0,y0,x1,y1. lora: the folder of an adapter of the model.
    credentials: certificates and key, PEM, that videos are signed with. resume: go on with an interrupted rendering.
    dry_run: say what would happen, and stop. crop: "signer" shows the model only what the signer reaches, "follow"
    only a rectangle that moves with the signer, "none" the whole frame, "auto" what the model was trained on.
    """

    source: Path
    poses: Path
    model: Path
    out: Path
    clip: str | None = None
    frames: str | None = None
    clean: bool = False
    source_poses: Path | None = None
    references: str | None = None
    reference_poses: Path | None = None
    reference_frames: str | None = None
    garment: Path | None = None
    garment_poses: Path | None = None
    retarget: str = "none"
    truth: str = "auto"
    needs_truth: bool = False
    pairs: Path | None = None
    side_by_side: bool = False
    save_frames: Path | None = None
    fps: float | None = None
    background: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    person: str | None = None
    lora: Path | None = None
    codec: str = DEFAULT
    frames_format: str = "png"
    audio: str | None = None
    skeleton_overlay: bool = False
    credentials: tuple[Path, Path] | None = None
    resume: bool = False
    dry_run: bool = False
    crop: str = "auto"


@dataclass(frozen=True)
class RenderJob:
    """A request whose parts were found and fit together.

    source: the person. poses: the whole sequence on the model's skeleton, frames without a person held; part: those
    that are rendered. keypoints: the sequence as it was given, for scores. truth: real frames, frame i belongs to pose
    i; None where there are none. pairs: pair set of nearest-pose and of training references, where it is at hand.
    clip: the name that scores and pair sets know the clip by. notes: for the reader of the scores.
    own_source: whether the source is frame 0 of the truth.
    """

    source: Source
    poses: PoseSequence
    part: slice
    keypoints: PoseSequence
    truth: FrameSource | None
    pairs: Path | None
    clip: str
    sampling: SamplingSettings
    outputs: Outputs
    notes: tuple[str, ...]
    own_source: bool = False

    @property
    def rendered(self) -> PoseSequence:
        """The poses of `part`."""
        return self.poses[self.part]

    @property
    def frames(self) -> range:
        """The numbers of the frames that are rendered."""
        return range(self.part.start, self.part.stop)


def prepare(request: RenderRequest, notes: Notes) -> RenderJob:
    """Find and check everything that the request names. notes: receives what was decided.

    Raises PoseError, VideoError, ModelError, PairSetError or OptionError for what does not fit.
    """
    # poses
    card = read_card(request.model)
    background = parse_background(None if request.background == "keep" else request.background)
    video = open_frames(request.source, background=background)
    _tell(video, "source", notes)
    video.check(0, 1)
    sequence = _read_poses(request, video, card.skeleton, notes)
    if card.data.get("cleaned") and not request.clean:
        notes.add("the model was trained on cleaned keypoints; --clean cleans these, too", "poses")
    part = frame_range(request.frames, len(sequence))
    differences = _differences(video, sequence)
    source = _source(request, video, sequence, own=not differences, notes=notes)
    if differences:
        sequence = _fitted(request, sequence, source, notes)
    held = _held(sequence, request.poses, notes)
    source, about_garment = _dressed(request, source, card, notes)
    source = with_crop(source, held, part, request.crop, card, not differences, notes)
    # outputs
    outputs = _outputs(request, video, sequence, part, notes)
    # truth
    truth = _truth_frames(request, video, sequence, differences, part, background, notes)
    own = video if not differences else truth
    if own is not None:
        tell_moving(source, own, part.stop - 1, notes)
    outputs = replace(outputs, times=_times(own, sequence, part, request.fps, notes))
    if request.audio is not None:
        filmed = truth if truth is not None else own
        outputs = replace(outputs, sound=sound_of(request.audio, filmed, part, outputs.fps, sequence.fps, notes))
    _tell_padding(video, part, notes)
    if request.needs_truth and truth is None:
        raise VideoError("--report without the truth", fix="name the real frames with --truth")
    # further frames of the person
    wants_pairs = truth is not None or request.references == TRAINING
    pairs = request.pairs or (trained_on(request.model, card, notes) if wants_pairs else None)
    source, about_references = with_references(
        source,
        ReferenceRequest(request.references, request.reference_poses, request.reference_frames, background),
        card,
        request.clean,
        Rendered(request.clip or request.source.stem, request.source, pairs),
        notes,
    )
    return RenderJob(
        source=source,
        poses=held,
        part=part,
        keypoints=sequence,
        truth=truth,
        pairs=pairs,
        clip=request.clip or (truth.path.stem if truth is not None else request.source.stem),
        sampling=_sampling(request, card),
        outputs=outputs,
        notes=(*about_garment, *about_references),
        own_source=truth is not None and truth.path.resolve() == request.source.resolve(),
    )


def _dressed(request: RenderRequest, source: Source, card: ModelCard, notes: Notes) -> tuple[Source, list[str]]:
    """The source in the clothes that the request names, and notes on them. Raises OptionError for what does not go
    together, PoseError where keypoints are not known."""
    if request.garment is None:
        if request.garment_poses is not None:
            raise OptionError("--garment-poses without --garment", expected="an image of another person")
        return source, []
    if request.references is not None:
        raise OptionError(
            "--garment with --references, which shows the person in their own clothes", fix="choose one of the two"
        )
    garment = read_source(request.garment, request.garment_poses, card.skeleton, notes, "garment")
    return with_garment(source, garment, card, notes)


def _outputs(request: RenderRequest, video: FrameSource, poses: PoseSequence, part: slice, notes: Notes) -> Outputs:
    """Where it goes, checked; times, sound and description are not known yet."""
    fps = request.fps or poses.fps or video.fps or _DEFAULT_FPS
    if request.fps and poses.fps and not same_rate(poses.fps, fps):
        speed = f"play at {fps / poses.fps:.2g} times their speed"
        notes.add(f"the poses' {poses.fps:g} frames per second {speed}; {_RESAMPLE}", "output")
    outputs = Outputs(
        request.out,
        fps,
        request.side_by_side,
        request.save_frames,
        video.sample_aspect,
        codec=request.codec,
        frames_format=request.frames_format,
        skeleton=request.skeleton_overlay,
        credentials=None if request.credentials is None else Credentials(*request.credentials),
    )
    named = [] if request.truth in TRUTHS else [Path(request.truth)]
    outputs.check(part.stop - part.start, [request.source, request.poses, *named], (video.width, video.height))
    return outputs


def _read_poses(request: RenderRequest, video: FrameSource, skeleton: str, notes: Notes) -> PoseSequence:
    """The whole sequence on the model's skeleton. Raises PoseError for points of a frame of another size."""
    found = _found(request, video)
    if rounded_rate(found.fps, video.fps) and len(found) == video.num_frames:
        rates = f"{found.fps:g} frames per second in {request.poses}, {video.fps:g} in {video.path}"
        notes.add(f"{rates}: the format holds whole numbers; the video's is used", "poses")
        found = replace(found, fps=video.fps)
    sequence = to_skeleton(found, skeleton)
    sequence = clean_poses(sequence) if request.clean else sequence
    for note in sequence.notes:
        notes.add(note, "poses")
    if share_inside(sequence) < 0.5:
        raise PoseError(
            f"{request.poses}: most points lie outside {sequence.width}x{sequence.height}",
            expected="keypoints in pixels of a clip of the source's size",
            fix="give them their own size first: signgen poses convert POSES X.poses.npz --size WxH",
        )
    return sequence


def _fitted(request: RenderRequest, poses: PoseSequence, source: Source, notes: Notes) -> PoseSequence:
    """Poses of another clip: retargeted, or taken as they are. Raises PoseError where the source's own pose is not
    known to retarget to."""
    if request.retarget == "auto":
        if source.pose is None:
            raise PoseError(
                "--retarget auto, but the source's own pose is not known",
                expected="keypoints beside the source",
                fix="name them with --source-poses",
            )
        notes.add(str(scales(poses, source.pose)), "retarget")
        fitted = retarget(poses, source.pose)
        for note in fitted.notes[len(poses.notes) :]:
            notes.add(note, "retarget")
        return fitted
    notes.add("they are taken as they are; --retarget auto fits them to the source's person", "poses")
    return poses


def _sampling(request: RenderRequest, card: ModelCard) -> SamplingSettings:
    sampling = card.sampling(request.sampling)
    if request.background != "keep" or "background" in sampling.steady:
        return sampling
    return sampling.model_copy(update={"steady": (*sampling.steady, "background")})


def _tell_padding(video: FrameSource, part: slice, notes: Notes) -> None:
    if part.stop - part.start > 1 and (padded := padding_note(video.width, video.height)):
        notes.add(padded, "output")


def _tell(video: FrameSource, about: str, notes: Notes) -> None:
    """What was decided about a source's pictures."""
    for note in video.notes:
        notes.add(note, about)


def _times(
    clip: FrameSource | None, poses: PoseSequence, part: slice, fps: float | None, notes: Notes
) -> np.ndarray | None:
    """Seconds of the frames of `part`, where those of the poses' own clip come unevenly and no rate was asked for."""
    if clip is None or clip.times is None or clip.num_frames != len(poses):
        return None
    if fps is not None:
        notes.add(f"--fps {fps:g}: the uneven frame times of {clip.path} are not kept", "output")
        return None
    notes.add(f"frames come unevenly in {clip.path}; the output keeps their times", "output")
    return clip.times[part]


def _found(request: RenderRequest, video: FrameSource) -> PoseSequence:
    """The poses in the source's pixels; those that its name says are its own, on its frames.

    Raises PoseError for another aspect ratio than the source's.
    """
    name = request.source.stem if request.source.is_file() else request.source.name
    if request.poses.name == name or request.poses.name.startswith((f"{name}.", f"{name}_")):
        return read_beside(request.poses, video, clip=request.clip, person=request.person)
    size = (video.width, video.height)
    found = read_poses(request.poses, clip=request.clip, size=size, fps=video.fps, person=request.person)
    return (
        found if request.retarget == "auto" else on_frame(found, size, request.poses, "fit them with --retarget auto")
    )


def hold_missing(poses: PoseSequence) -> tuple[PoseSequence, list[int]]:
    """Frames without a person get the pose of the nearest earlier frame that has one (later, at the start).

    Returns the filled sequence and the frames that were filled. Raises PoseError when no frame has a person.
    """
    there = poses.has_person
    if not there.any():
        raise PoseError("no frame of the poses has a person", expected="keypoints of one signer")
    if there.all():
        return poses, []
    known = np.flatnonzero(there)
    place = np.maximum(np.searchsorted(known, np.arange(len(poses)), side="right") - 1, 0)
    return poses.with_points(poses.all_points[known[place]]), np.flatnonzero(~there).tolist()


def _held(sequence: PoseSequence, path: Path, notes: Notes) -> PoseSequence:
    """Frames without a person filled, each such frame named."""
    filled, missing = hold_missing(sequence)
    if missing:
        notes.add(f"no person in {_ranges(missing)} of {path}: the pose before is held there")
    return filled


def _ranges(frames: list[int]) -> str:
    """`frame 3` or `frames 3, 7-9`."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"frame{'s' if len(frames) > 1 else ''} {text}"


def _differences(video: FrameSource, poses: PoseSequence) -> str:
    """Why the poses cannot be the source's own clip; empty when count, fps and size agree."""
    if video.num_frames == 1:
        return "it is a single image"
    pairs = (
        ("frames", len(poses), video.num_frames),
        ("fps", *((None, None) if same_rate(poses.fps, video.fps) else (poses.fps, video.fps))),
        ("size", f"{poses.width}x{poses.height}", f"{video.width}x{video.height}"),
    )
    return "; ".join(
        f"{name} {of_poses} and {of_video}"
        for name, of_poses, of_video in pairs
        if of_poses is not None and of_video is not None and of_poses != of_video
    )


def _truth_frames(
    request: RenderRequest,
    video: FrameSource,
    poses: PoseSequence,
    differences: str,
    part: slice,
    background: RGB | None,
    notes: Notes,
) -> FrameSource | None:
    """The frames to score against, or None; notes which and why."""
    truth = request.truth
    if truth == "none":
        return None
    if truth == "auto" and request.garment is not None:
        notes.add(f"none; {video.path} does not show the garment; --truth names frames that do", "truth")
        return None
    if truth == "auto" and differences:
        notes.add(f"none; {video.path} is not the poses' own clip ({differences})", "truth")
        return None
    if truth == "auto" and (bad := damage_within(video.damaged, part.start, part.stop)):
        notes.add(f"none; {video.path} is damaged: {damage_text(bad)}", "truth")
        return None
    if truth == "auto":
        agree = "count, fps and size agree with the poses"
        notes.add(f"the frames of {video.path} ({agree}); --truth none disables", "truth")
        return video
    frames = open_frames(Path(truth), background=background)
    _tell(frames, "truth", notes)
    frames.check(part.start, min(part.stop, frames.num_frames))
    if frames.num_frames < len(poses):
        raise VideoError(f"{truth}: {frames.num_frames} frames", expected=f"one for each of {len(poses)} poses")
    if (frames.width, frames.height) != (video.width, video.height):
        raise VideoError(
            f"{truth} is {frames.width}x{frames.height}", expected=f"{video.width}x{video.height}, as the source"
        )
    return frames


def _source(request: RenderRequest, video: FrameSource, poses: PoseSequence, own: bool, notes: Notes) -> Source:
    """The first frame and, where it can be found, its pose.

    From source_poses (of a file with several clips, the one with the source's name); from `poses` if they are its own;
    else from keypoints beside the source; else estimated, where an estimator is installed.
    """
    frame, name = video.read(0, 1)[0], video.path.stem
    found: PoseSequence | None
    if request.source_poses is not None:
        found = _named_poses(request.source_poses, name, video)
    elif own:
        found = poses
    else:
        found = _poses_of_source(request.source, frame, notes)
    if found is not None and found is not poses:
        found = to_skeleton(found, poses.skeleton)
        found = clean_poses(found) if request.clean else found
    return _with_pose(frame, found, name, notes)


def read_source(path: Path, poses: Path | None, skeleton: str, notes: Notes, what: str = "source") -> Source:
    """The first frame of a video or frame folder, or an image, and its pose: from `poses`, from keypoints beside it, or
    estimated, where an estimator is installed. what: it is called, `source` or `garment`. Raises VideoError or
    PoseError for what cannot be read."""
    video = open_frames(path)
    _tell(video, what, notes)
    video.check(0, 1)
    frame, name = video.read(0, 1)[0], video.path.stem
    found = _named_poses(poses, name, video) if poses is not None else _poses_of_source(path, frame, notes, what)
    if found is None and what != "source":
        return Source(frame, None, name)
    return _with_pose(frame, None if found is None else to_skeleton(found, skeleton), name, notes)


def _with_pose(frame: np.ndarray, found: PoseSequence | None, name: str, notes: Notes) -> Source:
    if found is not None and found[0:1].has_person[0]:
        first = found[0:1]
        return Source(frame, first.with_points(first.all_points.copy()), name)  # of its own: all others may go
    notes.add(
        "the source's own pose is not known: nothing of its face, hands and clothes can be moved to the new pose; "
        "--source-poses gives it"
    )
    return Source(frame, None, name)


def _named_poses(path: Path, name: str, video: FrameSource) -> PoseSequence:
    found = identify(path)
    clip = name if found is not None and len(found.clips) > 1 else None
    return read_poses(path, clip=clip, size=(video.width, video.height), fps=video.fps)


def _poses_of_source(path: Path, frame: np.ndarray, notes: Notes, what: str = "source") -> PoseSequence | None:
    """Keypoints beside the source, or what an installed estimator sees in its first frame; None without either."""
    beside = poses_beside(path, f"--{what}-poses")
    if beside is not None:
        poses, file = beside
        notes.add(f"its pose is that of {file}", what)
        return poses
    try:
        estimator = open_estimator(None, None)
    except PoseError:  # not installed
        return None
    with closing(estimator):
        poses = extract([frame], estimator)
    notes.add("its pose was estimated by MediaPipe, since no keypoints are beside it", what)
    return poses


def trained_on(model: Path, card: ModelCard, notes: Notes) -> Path | None:
    """The pair set of the run that the model folder lies in, if it is still the one the model was trained on."""
    try:
        folder = Path(read_json(model / ".." / "run.json")["pairs"])
        pair_set = PairSet.load(folder)
    except (OSError, ValueError, KeyError, TypeError, PairSetError):
        return None
    if pair_set.fingerprint != card.data["fingerprint"]:
        return None
    gone = [clip.path for clip in pair_set.clips if not clip.path.exists()]
    if gone:
        notes.add(f"nearest-pose is left out: {gone[0]} of {folder} is not there any more")
        return None
    return folder
