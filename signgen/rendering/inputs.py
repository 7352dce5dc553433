"""What is rendered: a request in, a checked RenderJob out. The home of "which poses, which truth, what fits what".

Everything that can be wrong with the input is found here, before a model is loaded or a frame is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from signgen.config import SamplingSettings
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.models.card import ModelCard, read_card
from signgen.pairs.pairset import PairSet
from signgen.poses.clean import clean_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.readers import identify, read_beside, read_poses
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import on_frame, share_inside
from signgen.progress import Notes
from signgen.rendering.output import Outputs
from signgen.rendering.references import TRAINING, ReferenceRequest, Rendered, with_references
from signgen.rendering.source import Source
from signgen.requests import Request
from signgen.video.reader import FrameSource, frame_range, open_frames

TRUTHS = ("auto", "none")
_DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class RenderRequest(Request):
    """Who is rendered in which poses, by which model, and what is written.

    source: a video or frame folder (its first frame), or an image. poses: keypoints in any format; clip: the name in a
    split pickle. out: an mp4, or a PNG for a single pose. frames: A:B of the poses, all where None. clean: fill short
    gaps and smooth, as build-pairs does. source_poses: keypoints of the source. references: another clip of the person,
    or "training"; reference_poses, reference_frames: its keypoints, and which of its frames.
    truth: "auto" (the source's own frames if count, fps and size agree), "none", or a path. needs_truth: it is an error
    where there is none. pairs: pair set of nearest-pose; None: that of the run the model lies in. side_by_side: also
    OUT.side-by-side.mp4. save_frames: folder for every frame as PNG. fps: of the video; None: the poses'.
    sampling: values that replace the recipe's, by the names of SamplingSettings. seed: of the noise.
    person: who of several people in the poses: N, x,y or x0,y0,x1,y1.
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
    truth: str = "auto"
    needs_truth: bool = False
    pairs: Path | None = None
    side_by_side: bool = False
    save_frames: Path | None = None
    fps: float | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    person: str | None = None


@dataclass(frozen=True)
class RenderJob:
    """A request whose parts were found and fit together.

    source: the person. poses: the whole sequence on the model's skeleton, frames without a person held; part: those
    that are rendered. keypoints: the sequence as it was given, for scores. truth: real frames, frame i belongs to pose
    i; None where there are none. pairs: pair set of nearest-pose and of training references, where it is at hand.
    clip: the name that scores and pair sets know the clip by. notes: for the reader of the scores.
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
    video = open_frames(request.source)
    sequence = _read_poses(request, video, card.skeleton, notes)
    if card.data.get("cleaned") and not request.clean:
        notes.add("the model was trained on cleaned keypoints; --clean cleans these, too", "poses")
    part = frame_range(request.frames, len(sequence))
    held = _held(sequence, request.poses, notes)
    # outputs
    fps = request.fps or sequence.fps or video.fps or _DEFAULT_FPS
    outputs = Outputs(request.out, fps, request.side_by_side, request.save_frames)
    named = [] if request.truth in TRUTHS else [Path(request.truth)]
    outputs.check(part.stop - part.start, [request.source, request.poses, *named])
    # truth
    differences = _differences(video, sequence)
    truth = _truth_frames(request.truth, video, sequence, differences, notes)
    if request.needs_truth and truth is None:
        raise VideoError("--report without the truth", fix="name the real frames with --truth")
    # the person, and further frames of the person
    source = _source(request, video, sequence, own=not differences, notes=notes)
    wants_pairs = truth is not None or request.references == TRAINING
    pairs = request.pairs or (trained_on(request.model, card, notes) if wants_pairs else None)
    source, about_references = with_references(
        source,
        ReferenceRequest(request.references, request.reference_poses, request.reference_frames),
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
        sampling=card.sampling(**request.sampling),
        outputs=outputs,
        notes=tuple(about_references),
    )


def _read_poses(request: RenderRequest, video: FrameSource, skeleton: str, notes: Notes) -> PoseSequence:
    """The whole sequence on the model's skeleton. Raises PoseError for points of a frame of another size."""
    found = _found(request, video)
    sequence = to_skeleton(found, skeleton)
    sequence = clean_poses(sequence) if request.clean else sequence
    for note in sequence.notes:
        notes.add(note, "poses")
    if share_inside(sequence) < 0.5:
        raise PoseError(
            f"{request.poses}: most points lie outside {sequence.width}x{sequence.height}",
            expected="keypoints in pixels of a clip of the source's size",
            fix="scale the source, or the keypoints, to one size",
        )
    return sequence


def _found(request: RenderRequest, video: FrameSource) -> PoseSequence:
    """The poses in the source's pixels; those that its name says are its own, on its frames.

    Raises PoseError for another aspect ratio than the source's.
    """
    name = request.source.stem if request.source.is_file() else request.source.name
    if request.poses.name == name or request.poses.name.startswith((f"{name}.", f"{name}_")):
        return read_beside(request.poses, video, clip=request.clip, person=request.person)
    size = (video.width, video.height)
    found = read_poses(request.poses, clip=request.clip, size=size, fps=video.fps, person=request.person)
    return on_frame(found, size, request.poses)


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
    return replace(poses, keypoints=poses.keypoints[known[place]]), np.flatnonzero(~there).tolist()


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
        ("fps", poses.fps, video.fps),
        ("size", f"{poses.width}x{poses.height}", f"{video.width}x{video.height}"),
    )
    return "; ".join(
        f"{name} {of_poses} and {of_video}"
        for name, of_poses, of_video in pairs
        if of_poses is not None and of_video is not None and of_poses != of_video and not _close(of_poses, of_video)
    )


def _close(of_poses: Any, of_video: Any) -> bool:
    return isinstance(of_poses, float) and isinstance(of_video, float) and abs(of_poses - of_video) < 0.01


def _truth_frames(
    truth: str, video: FrameSource, poses: PoseSequence, differences: str, notes: Notes
) -> FrameSource | None:
    """The frames to score against, or None; notes which and why."""
    if truth == "none":
        return None
    if truth == "auto" and differences:
        notes.add(f"none; {video.path} is not the poses' own clip ({differences})", "truth")
        return None
    if truth == "auto":
        agree = "count, fps and size agree with the poses"
        notes.add(f"the frames of {video.path} ({agree}); --truth none disables", "truth")
        return video
    frames = open_frames(Path(truth))
    if frames.num_frames < len(poses):
        raise VideoError(f"{truth}: {frames.num_frames} frames", expected=f"one for each of {len(poses)} poses")
    if (frames.width, frames.height) != (video.width, video.height):
        raise VideoError(
            f"{truth} is {frames.width}x{frames.height}", expected=f"{video.width}x{video.height}, as the source"
        )
    return frames


def _source(request: RenderRequest, video: FrameSource, poses: PoseSequence, own: bool, notes: Notes) -> Source:
    """The first frame and, where known, its pose: from source_poses, or from `poses` if they are its own.

    Of a file with several clips, source_poses is the one with the source's name.
    """
    frame, name = video.read(0, 1)[0], video.path.stem
    path = request.source_poses
    if path is not None:
        found = identify(path)
        clip = name if found is not None and len(found.clips) > 1 else None
        skeleton = poses.skeleton
        poses = to_skeleton(read_poses(path, clip=clip, size=(video.width, video.height), fps=video.fps), skeleton)
        poses = clean_poses(poses) if request.clean else poses
    if (own or path is not None) and poses.has_person[0]:
        return Source(frame, poses[0:1], name)
    notes.add("the source's own pose is not known to the model; --source-poses gives it")
    return Source(frame, None, name)


def trained_on(model: Path, card: ModelCard, notes: Notes) -> Path | None:
    """The pair set of the run that the model folder lies in, if it is still the one the model was trained on."""
    try:
        folder = Path(json.loads((model / ".." / "run.json").read_text(encoding="utf-8"))["pairs"])
        pair_set = PairSet.load(folder)
    except (OSError, ValueError, KeyError, PairSetError):
        return None
    if pair_set.fingerprint != card.data["fingerprint"]:
        return None
    gone = [clip.path for clip in pair_set.clips if not clip.path.exists()]
    if gone:
        notes.add(f"nearest-pose is left out: {gone[0]} of {folder} is not there any more")
        return None
    return folder
