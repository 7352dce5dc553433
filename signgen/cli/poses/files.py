"""What the `poses` commands share: poses in; a file in the format that its name says out, or why not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signgen.console import console
from signgen.errors import PoseError
from signgen.files import check_folder

if TYPE_CHECKING:
    from signgen.poses.sequence import PoseSequence

Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="X.poses.npz (signgen's own), X.json (MMPose) or X.pose (pose-format).", show_default=False
    ),
]


def on_skeleton(poses: PoseSequence, skeleton: str) -> PoseSequence:
    """Converted, where a palette or a format is for another skeleton; says what that changes."""
    from signgen.poses.convert import to_skeleton

    converted = to_skeleton(poses, skeleton)
    for note in converted.notes[len(poses.notes) :]:
        console.print(f"poses: {note}", markup=False)
    return converted


def write(poses: PoseSequence, out: Path) -> None:
    """In the format that the name ends with; says so."""
    from signgen.poses.sequence import FILE_SUFFIX
    from signgen.poses.writers import write_poses

    if poses.extra and not out.name.endswith(FILE_SUFFIX):
        console.print(f"poses: left out, since only {FILE_SUFFIX} holds them: {', '.join(poses.extra)}", markup=False)
    write_poses(poses if out.name.endswith(FILE_SUFFIX) else on_skeleton(poses, "coco-wholebody-133"), out)
    console.print(f"wrote {out}: {len(poses)} frames", markup=False)


def check_out(out: Path, inputs: Iterable[Path]) -> None:
    """Raises PoseError, before anything is computed, for a name without a format and for that of an input, and OSError
    where none can be written."""
    from signgen.poses.writers import writer_for

    writer_for(out)
    not_an_input(out, inputs)
    check_folder(out.parent)


def not_an_input(out: Path, inputs: Iterable[Path]) -> None:
    """Raises PoseError where writing `out` would overwrite what is read."""
    for given in inputs:
        if out.exists() and given.exists() and out.samefile(given):
            raise PoseError(f"{out} is an input, and would be overwritten", fix="choose another OUT")
