"""`signgen poses`: keypoints of any format in; another format, cleaned or retargeted poses, pictures, a table out.

`extract`, which makes keypoints of a video, is a module of its own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signgen.cli.common import help_of
from signgen.cli.options import BackgroundColour, Person
from signgen.cli.poses.extract import extract
from signgen.cli.poses.files import Out, check_out, not_an_input, on_skeleton, write
from signgen.console import Bars, console
from signgen.errors import PoseError, SigngenError

if TYPE_CHECKING:
    from signgen.poses import Wanted
    from signgen.poses.sequence import PoseSequence
    from signgen.video.reader import FrameSource

INPUT = "Input"
_NO_SIZE = "does not hold the frame size"

Poses = Annotated[
    Path, typer.Argument(metavar="POSES", help="Keypoints in any format signgen reads.", show_default=False)
]
ClipName = Annotated[
    str | None, typer.Option("--clip", help="The clip's name in a file of many clips.", rich_help_panel=INPUT)
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="WxH", help="Frame size, where the format does not hold it.", rich_help_panel=INPUT),
]
Fps = Annotated[
    float | None,
    typer.Option(
        "--fps", min=0.1, help="Frames per second; poses that have another rate are resampled.", rich_help_panel=INPUT
    ),
]

SeenFrom = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=0.999,
        metavar="SCORE",
        help="The estimator's own score from which a point counts as seen; less shows more points.",
        show_default="the estimator's own",
        rich_help_panel=INPUT,
    ),
]
Camera = Annotated[
    str | None,
    typer.Option(
        help="The camera in a file of several (Public DGS Corpus).", show_default=False, rich_help_panel=INPUT
    ),
]

app = typer.Typer(
    name="poses",
    help="Estimate, convert, clean, retarget, draw and look into keypoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def convert(
    poses: Poses,
    out: Out,
    clip: ClipName = None,
    size: Size = None,
    fps: Fps = None,
    person: Person = None,
    seen_from: SeenFrom = None,
    camera: Camera = None,
) -> None:
    """Write keypoints in another format.

    Only signgen's own format holds everything; MMPose's holds neither frame size nor frame rate.
    """
    check_out(out, [poses])
    write(_read(poses, _wanted(clip, size, fps, person, seen_from, camera)), out)


def clean(
    poses: Poses,
    out: Out,
    clip: ClipName = None,
    size: Size = None,
    fps: Fps = None,
    gap: Annotated[int, typer.Option(min=0, help="Longest gap to fill, in frames; longer ones stay missing.")] = 5,
    window: Annotated[int, typer.Option(min=1, help="Frames the smoothing looks at, odd; 1: none.")] = 7,
    hand_window: Annotated[int, typer.Option(min=1, help="The same for hands: less, to keep handshapes.")] = 5,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Leave out legs, feet, face, hands, left_hand, right_hand or body; may be repeated.",
            show_default=False,
        ),
    ] = None,
    min_score: Annotated[float, typer.Option(min=0, help="Points that score less count as missing.")] = 0.0,
    person: Person = None,
    seen_from: SeenFrom = None,
    camera: Camera = None,
) -> None:
    """Fill short gaps and smooth, without lag and without inventing anything.

    Gaps between two frames are filled on a straight line; then a Savitzky-Golay filter, weighted by the scores.
    """
    from signgen.poses.clean import clean_poses, drop_doubtful, mask

    check_out(out, [poses])
    sequence = _read(poses, _wanted(clip, size, fps, person, seen_from, camera))
    cleaned = clean_poses(
        sequence, longest_gap=gap, window=window, hand_window=hand_window, without=without or (), min_score=min_score
    )
    before = drop_doubtful(mask(sequence, without or ()), min_score).present
    filled = cleaned.present & ~before
    console.print(
        f"filled {filled.sum()} points in {filled.any(1).sum()} of {len(cleaned)} frames,"
        f" left out {(sequence.present & ~before).sum()}"
    )
    write(cleaned, out)


def retarget(
    poses: Poses,
    out: Out,
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="PERSON",
            help="Whom the poses are to fit: keypoints, or a video or frame folder with its keypoints beside it.",
            show_default=False,
        ),
    ],
    clip: ClipName = None,
    size: Size = None,
    fps: Fps = None,
    to_clip: Annotated[
        str | None, typer.Option(help="The same for PERSON's keypoints.", show_default=False, rich_help_panel=INPUT)
    ] = None,
    to_size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="The same for PERSON's keypoints.", show_default=False, rich_help_panel=INPUT),
    ] = None,
    person: Person = None,
    seen_from: SeenFrom = None,
    camera: Camera = None,
) -> None:
    """Fit poses to another person: body by shoulder width, hands by palm length, face by eye distance.

    Medians over both clips give the scales (of palms, the upper quartile); the middle of the shoulders comes to lie
    where PERSON's does.
    """
    from signgen.poses.retarget import retarget as fitted
    from signgen.poses.retarget import scales

    check_out(out, [poses, to])
    whole_body = "coco-wholebody-133"
    sequence = on_skeleton(_read(poses, _wanted(clip, size, fps, person, seen_from, camera)), whole_body)
    target = on_skeleton(_person(to, to_clip, to_size), whole_body)
    fit = scales(sequence, target)
    console.print(f"{fit}; frame {target.width}x{target.height}")
    for note in fit.notes:
        console.print(f"note: {note}", markup=False)
    write(fitted(sequence, target), out)


def draw(
    poses: Poses,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="X.mp4, X.png (of one frame) or a folder (a PNG of each).", show_default=False
        ),
    ],
    clip: ClipName = None,
    size: Size = None,
    fps: Fps = None,
    palette: Annotated[
        str, typer.Option(help="signgen-133-v2 (or -v1), dwpose, fpdm-sign or fpdm-deepfashion.")
    ] = "signgen-133-v2",
    over: Annotated[
        Path | None,
        typer.Option(help="Draw over this video, frame folder or image.", show_default="on black"),
    ] = None,
    frames: Annotated[str | None, typer.Option(metavar="A:B", help="Only poses A to B-1 (0-based).")] = None,
    canvas: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of the pictures.", show_default="the poses' frame")
    ] = None,
    background: BackgroundColour = None,
    people: Annotated[bool, typer.Option("--people", help="Draw everybody, numbered as --person takes them.")] = False,
    person: Person = None,
    seen_from: SeenFrom = None,
    camera: Camera = None,
) -> None:
    """Draw poses the way a palette says, on black or over the video they belong to."""
    from signgen.poses.convert import to_skeleton
    from signgen.rendering.pose_pictures import Drawing, palette_named, write_pictures
    from signgen.video.background import parse_background
    from signgen.video.reader import frame_range, open_frames

    colours = palette_named(palette)
    video = open_frames(over, background=parse_background(background)) if over is not None else None
    if video is not None and canvas is not None:
        raise SigngenError("--canvas with --over", fix="leave one out: over a video, pictures have its size")
    not_an_input(out, [poses, *([over] if over is not None else [])])
    given = _wanted(clip, size, fps, person, seen_from, camera)
    everybody = _everybody(poses, given, video) if people else []
    sequence = everybody[0] if everybody else _read(poses, given, video)
    part = frame_range(frames, len(sequence))
    if video is not None and video.num_frames != len(sequence):
        console.print(f"over: {_unequal(len(sequence), video.num_frames)}", markup=False)
    black = _size(canvas, "--canvas") or (sequence.width, sequence.height)
    frame_size = black if video is None else (video.width, video.height)
    sequence = on_skeleton(sequence, colours.skeleton)
    others = tuple(to_skeleton(each, colours.skeleton) for each in everybody)
    drawing = Drawing(sequence, part, colours, frame_size, video, others)
    for note in drawing.notes:
        console.print(f"note: {note}", markup=False)
    with Bars().bar("drawing", part.stop - part.start) as bar:
        write_pictures(drawing, out, bar.advance)
    console.print(f"wrote {out}: {part.stop - part.start} frames of {frame_size[0]}x{frame_size[1]}", markup=False)


def _unequal(poses: int, frames: int) -> str:
    """What poses are drawn over where there are not as many frames."""
    if frames == 1:
        return f"one picture, below all {poses} poses"
    if frames < poses:
        return f"{frames} frames for {poses} poses: the last one is held from pose {frames} on"
    return f"{frames} frames for {poses} poses: those from frame {poses} on are not drawn"


def info(
    poses: Poses,
    clip: ClipName = None,
    size: Size = None,
    fps: Fps = None,
    person: Person = None,
    seen_from: SeenFrom = None,
    camera: Camera = None,
) -> None:
    """Say what a file of keypoints holds: format, frames, size, and how often body, hands and face are seen."""
    from signgen.cli.poses.pictures import clip_table, sequence_table
    from signgen.poses import open_poses, read_file
    from signgen.poses.resample import resampled
    from signgen.poses.sizes import check_size

    found = open_poses(poses)
    wanted = _wanted(clip, size, fps, person, seen_from, camera)
    if found.clips and wanted.clip is None:
        console.print(clip_table(found))
        return
    own_size = True
    try:
        sequence = read_file(found, wanted)
    except PoseError as error:
        if _NO_SIZE not in error.found:
            raise
        own_size = False
        sequence = read_file(found, replace(wanted, size=(1, 1)))
    if wanted.size is not None:
        check_size(sequence, wanted.size, poses)
    if wanted.fps is not None:
        sequence = resampled(sequence, wanted.fps)
    console.print(sequence_table(poses, found.format, sequence, own_size))


def _wanted(
    clip: str | None,
    size: str | None,
    fps: float | None = None,
    person: str | None = None,
    seen_from: float | None = None,
    camera: str | None = None,
    size_option: str = "--size",
) -> Wanted:
    """The options that every command that reads keypoints has. Raises SigngenError for a clip and a camera."""
    from signgen.poses import Wanted

    if clip is not None and camera is not None:
        raise SigngenError("--camera with --clip", fix="leave one out: a file holds several of one of them")
    name = clip if camera is None else camera
    return Wanted(name, _size(size, size_option), fps, person=person, seen_from=seen_from)


def _read(path: Path, wanted: Wanted, video: FrameSource | None = None) -> PoseSequence:
    """The whole sequence, on the frames of `video` where the poses belong to one; says what the reader noted.

    Raises PoseError for a --size that is not the file's own, or outside which most points lie.
    """
    from signgen.poses import open_poses, read_beside, read_file
    from signgen.poses.resample import resampled
    from signgen.poses.sizes import check_size

    if wanted.size is not None or video is None:
        sequence = read_file(open_poses(path), wanted)
        if wanted.size is not None:
            check_size(sequence, wanted.size, path)
    if video is not None:
        known = {"clip": wanted.clip, "person": wanted.person}
        sequence = read_beside(path, video, fps=wanted.fps, seen_from=wanted.seen_from, **known)
    if wanted.fps is not None:
        sequence = resampled(sequence, wanted.fps)
    for note in sequence.notes:
        console.print(f"poses: {note}", markup=False)
    return sequence


def _everybody(path: Path, given: Wanted, video: FrameSource | None) -> list[PoseSequence]:
    """Everybody's poses, numbered from 1; says who is who."""
    from signgen.poses import read_people
    from signgen.poses.resample import resampled
    from signgen.poses.sizes import on_frame

    wanted = given
    if video is not None:
        images = tuple(image.name for image in video.images) or None
        size, fps = given.size or (video.width, video.height), given.fps or video.fps
        wanted = replace(given, size=size, fps=fps, frames=video.num_frames, images=images)
    found = read_people(path, wanted)
    if given.fps is not None:
        found = [resampled(poses, given.fps) for poses in found]
    for number, poses in enumerate(found, start=1):
        console.print(f"person {number}: in {poses.has_person.sum()} of {len(poses)} frames", markup=False)
    if not found:
        raise PoseError(f"{path}: nobody in any frame", expected="keypoints of people")
    return found if video is None else [on_frame(poses, (video.width, video.height), path) for poses in found]


def _person(path: Path, clip: str | None, size: str | None) -> PoseSequence:
    """Whom to fit: keypoints, or those beside a video or a frame folder."""
    from signgen.corpora.beside import is_footage, poses_beside

    if not is_footage(path):
        try:
            return _read(path, _wanted(clip, size, size_option="--to-size"))
        except PoseError as error:
            raise _of_person(error) from error
    found = poses_beside(path, "--to")
    if found is None:
        raise PoseError(f"{path}: no keypoints beside it", fix="give the keypoints themselves with --to")
    return found[0]


def _of_person(error: PoseError) -> PoseError:
    """The same about PERSON's keypoints, which have options of their own."""
    names = {"size": "--to-size", "clip": "--to-clip", "camera": "--to-clip"}
    there = r"(?<!convert POSES X\.poses\.npz )--(size|clip|camera)\b"
    found, expected, fix = (
        text and re.sub(there, lambda match: names[match[1]], text) for text in (error.found, error.expected, error.fix)
    )
    return PoseError(found or "", expected=expected, fix=fix)


def _size(text: str | None, option: str) -> tuple[int, int] | None:
    """Parse WxH. Raises OptionError."""
    from signgen.video.reader import parse_size

    return None if text is None else parse_size(text, option)


for _command in (extract, convert, clean, retarget, draw, info):
    app.command(_command.__name__, help=help_of(_command), no_args_is_help=True)(_command)
