"""`signgen synthesize`: seeds in; a corpus of drawn signers with exact keypoints out, as Phoenix's or as videos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from signgen.console import Bars, console

if TYPE_CHECKING:
    from signgen.progress import Bar
    from signgen.synthetic import SyntheticClip, Take

CORPUS, KEYPOINTS = "What is drawn", "Keypoints as an estimator would have seen them"


def synthesize(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.", show_default=False)],
    signers: Annotated[
        int, typer.Option(min=1, help="Signers of the training split; test has one more.", rich_help_panel=CORPUS)
    ] = 4,
    clips: Annotated[int, typer.Option(min=1, help="Training clips of each.", rich_help_panel=CORPUS)] = 4,
    frames: Annotated[int, typer.Option(min=2, help="Frames of a clip, at 25 fps.", rich_help_panel=CORPUS)] = 120,
    width: Annotated[int, typer.Option(min=32, rich_help_panel=CORPUS, help="Of a frame.")] = 210,
    height: Annotated[int, typer.Option(min=32, rich_help_panel=CORPUS, help="Of a frame.")] = 260,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.", rich_help_panel=CORPUS)] = 0,
    gaps: Annotated[
        float, typer.Option(min=0, help="How often hands go missing; 0: never.", rich_help_panel=KEYPOINTS)
    ] = 1.0,
    jitter: Annotated[
        float, typer.Option(min=0, help="Noise of hand points in pixels; 0: exact.", rich_help_panel=KEYPOINTS)
    ] = 0.6,
    layout: Annotated[
        Literal["phoenix", "videos"],
        typer.Option(help="Phoenix-2014T's folders with MSKA's keypoint pickles, or mp4 with MMPose JSON."),
    ] = "phoenix",
    cross: Annotated[
        bool,
        typer.Option("--cross", help="Also OUT/cross: every signer's test clip performed by the next signer."),
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = os.cpu_count() or 1,
) -> None:
    """Draw a corpus of signers who do not exist, with their exact 133 keypoints.

    The phoenix layout is read by `build-pairs OUT --keypoints OUT/keypoints`; OUT/keypoints holds what an estimator
    would have seen, OUT/keypoints_exact the true points.
    """
    from signgen.synthetic import Observation, plan_cross, plan_takes

    plan = plan_takes(
        seed, signers=signers, clips=clips, frames=frames, size=(width, height), observation=Observation(jitter, gaps)
    )
    places = {out: plan}
    if cross:
        places[out / "cross"] = {"test": plan_cross(plan["test"])}
    total = sum(len(take.motion) for splits in places.values() for takes in splits.values() for take in takes)
    with Bars().bar("drawing", total, keep=True) as bar:
        for folder, splits in places.items():
            _write(folder, splits, layout, processes, bar)
    console.print(f"wrote {out}: {total} frames of {signers + 1} signers")


def _write(folder: Path, plan: dict[str, list[Take]], layout: str, processes: int, bar: Bar) -> None:
    from signgen.synthetic import render_takes, write_phoenix, write_videos

    def drawn(takes: Iterable[Take]) -> Iterator[SyntheticClip]:
        for clip in render_takes(takes, processes):
            bar.advance(len(clip.frames))
            yield clip

    splits = {split: drawn(takes) for split, takes in plan.items()}
    if layout == "phoenix":
        write_phoenix(folder, splits)
        return
    for split, members in splits.items():
        write_videos(folder / split, members, exact=False)
