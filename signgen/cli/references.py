"""`--references`: further frames of the person in, checked, for the renderer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from signgen.cli.common import console, frame_range
from signgen.errors import ModelError, PoseError

if TYPE_CHECKING:
    from signgen.models.card import ModelCard
    from signgen.rendering.renderer import Source


@dataclass(frozen=True)
class ReferenceRequest:
    """What the command line asks for: a clip of the person, its keypoints, and which of its frames, as A:B."""

    path: Path | None
    poses: Path | None
    frames: str | None = None


def with_references(
    source: Source, request: ReferenceRequest, card: ModelCard, clean: bool
) -> tuple[Source, list[str]]:
    """The source with the frames asked for, and notes for the reader of the scores. clean: whether to clean the poses.

    Raises ModelError for a model that has no use for them, PoseError for one of the two without the other, keypoints
    for fewer frames, or none with both shoulders.
    """
    path, poses = request.path, request.poses
    if path is None and poses is None:
        if request.frames is not None:
            raise PoseError("--reference-frames without --references", expected="a clip of the person")
        return source, []
    if path is None or poses is None:
        names = ("--references", "--reference-poses")
        given, missing = names[::-1] if path is None else names
        raise PoseError(f"{given} without {missing}", expected="a clip of the person and its keypoints")
    if not card.parsed_recipe().part_warp:
        raise ModelError("--references for a model without the part warp", expected="one that was trained with it")
    from signgen.data.video import open_frames
    from signgen.poses.clean import clean as cleaned
    from signgen.poses.convert import to_skeleton
    from signgen.poses.parts import seen_frames
    from signgen.poses.readers import read_poses
    from signgen.rendering.renderer import ReferenceClip

    frames = open_frames(path)
    sequence = to_skeleton(read_poses(poses, size=(frames.width, frames.height), fps=frames.fps), card.skeleton)
    sequence = cleaned(sequence) if clean else sequence
    if len(sequence) < frames.num_frames:
        raise PoseError(
            f"{poses}: keypoints for {len(sequence)} frames, {path} has {frames.num_frames}",
            expected="one pose per frame of the references",
        )
    chosen = frame_range(request.frames, frames.num_frames)
    sequence = sequence[chosen]
    usable = int(seen_frames(sequence)["shoulders"].sum())
    if not usable:
        raise PoseError(f"{poses}: no frame has both shoulders", expected=f"keypoints of the person in {path}")
    where = "" if request.frames is None else f" ({request.frames})"
    note = (
        f"the part warp takes body and hands from the nearest of {usable} frames of {path}{where} and the source: not "
        "comparable with scores that know the first frame alone"
    )
    console.print(f"references: {note}", markup=False)
    return replace(source, references=ReferenceClip(frames, sequence, chosen.start)), [note]
