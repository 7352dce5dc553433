"""`signgen poses extract`: a video, frame folder or image in; the keypoints an estimator sees in it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signgen.cli.options import BackgroundColour
from signgen.cli.poses.files import Out, check_out, write
from signgen.console import Bars, console
from signgen.errors import PoseError

if TYPE_CHECKING:
    from signgen.poses.sequence import PoseSequence

ESTIMATOR = "Estimator"


def extract(
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="A video, a folder of frames or an image.", show_default=False)
    ],
    out: Out,
    frames: Annotated[str | None, typer.Option(metavar="A:B", help="Only frames A to B-1 (0-based).")] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mediapipe: MediaPipe Holistic; needs the extra pose. own: the network of --posenet.",
            show_default="mediapipe",
            rich_help_panel=ESTIMATOR,
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead: a whole-body model of the RTMPose family (RTMW, DWPose); needs the extra onnx.",
            show_default=False,
            rich_help_panel=ESTIMATOR,
        ),
    ] = None,
    posenet: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Instead: a pose network: a folder of train-posenet; with --joints HRNet weights, TorchScript, ONNX.",
            show_default=False,
            rich_help_panel=ESTIMATOR,
        ),
    ] = None,
    joints: Annotated[
        str | None,
        typer.Option(
            metavar="MAP",
            help="Of a --posenet FILE: its heat maps' joints: coco17, openpose18, wholebody133 or a .json list.",
            show_default=False,
            rich_help_panel=ESTIMATOR,
        ),
    ] = None,
    enlarge: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PX",
            help="Frames whose shorter side is smaller are enlarged, by a whole factor, to about this; 0: never.",
            show_default="mediapipe 600, others 0",
            rich_help_panel=ESTIMATOR,
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            metavar="BOX",
            help="Look only at this part of the picture, x0,y0,x1,y1 in pixels, with one person in it.",
            show_default="all of it",
        ),
    ] = None,
    background: BackgroundColour = None,
) -> None:
    """Estimate the keypoints of the person in a video; says where several people are in view.

    Hands or faces that the estimator does not find stay missing. Without a detector: --onnx looks for one person in the
    whole first frame, and then around where it was.
    """
    from signgen.corpora.estimate import EstimatorChoice, estimated, parse_box
    from signgen.video.background import parse_background
    from signgen.video.damage import damage_text, damage_within
    from signgen.video.reader import frame_range, open_frames

    check_out(out, [video])
    choice = EstimatorChoice(estimator, onnx, posenet, joints)
    choice.check()
    source = open_frames(video, background=parse_background(background))
    part = frame_range(frames, source.num_frames)
    for note in source.notes:
        console.print(f"note: {note}", markup=False)
    if damage := damage_within(source.damaged, part.start, part.stop):
        console.print(f"note: {video}: damaged, keypoints may be wrong in {damage_text(damage)}", markup=False)
    box = None if person is None else parse_box(person, source.width, source.height)
    poses = estimated(source, part, choice, enlarge, Bars(), box=box, count_people=True)
    if not poses.has_person.any():
        found = f"{video}: nobody seen in {len(poses)} frames"
        way = "a small person is found with --person x0,y0,x1,y1 around it" if box is None else "try a wider --person"
        raise PoseError(found, expected="a person", fix=f"{way}; or try another model with --onnx FILE")
    for note in poses.notes:
        console.print(f"poses: {note}", markup=False)
    console.print(_shares(poses))
    write(poses, out)


def _shares(poses: PoseSequence) -> str:
    """In how many frames the person and each part was seen."""
    from signgen.poses.parts import seen_frames

    seen = {"person": poses.has_person, **seen_frames(poses)}
    shares = [f"{part.replace('_', ' ')} {found.mean():.1%}" for part, found in seen.items()]
    return f"seen in {len(poses)} frames: {', '.join(shares)}"
