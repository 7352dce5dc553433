"""`signgen build-pairs`: a data set in, a pair set out; says which keypoints belong to which video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from signgen.cli.options import BackgroundColour, Crop, Person
from signgen.console import Bars

_DATA, _TRIPLES = "Data", "Triples"

Keypoints = Annotated[
    Path | None,
    typer.Option(help="Where the keypoints are, when not beside the videos.", rich_help_panel=_DATA),
]
Pairing = Annotated[
    Path | None,
    typer.Option(
        help="CSV clip,video,keypoints (person, camera, signer) that settles ambiguous pairs.",
        rich_help_panel=_DATA,
    ),
]
Segments = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|FOLDER",
        help="Clips are segments of the videos: an .eaf of ELAN, a CSV start,end (and name, video), or a folder with"
        " X.eaf or X.csv for each X.mp4.",
        rich_help_panel=_DATA,
    ),
]
Tier = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The .eaf's tier whose annotations are the segments.", rich_help_panel=_DATA),
]
PairList = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="DeepFashion, Market-1501: a list of pairs, with train or test in its name; may be repeated.",
        show_default="those in ROOT",
        rich_help_panel=_DATA,
    ),
]
HoldoutTail = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=0.95,
        rich_help_panel=_TRIPLES,
        show_default="0.25 where there are no dev clips",
        help="Share of every training clip, at its end, kept for validation.",
    ),
]

Clean = Annotated[
    bool,
    typer.Option(
        "--clean",
        rich_help_panel=_TRIPLES,
        help="Fill short gaps of the keypoints and smooth them, as signgen poses clean; then render with --clean.",
    ),
]
LeaveSignerOut = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Clips of this signer, by name or number, are the test split; everybody else is trained on.",
        rich_help_panel=_TRIPLES,
    ),
]


def build_pairs(
    root: Annotated[
        Path,
        typer.Argument(
            help="A folder of videos with their keypoints, or the folder of Phoenix-2014T, DeepFashion or Market-1501.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The pair set: a new folder, or one to replace.", rich_help_panel=_DATA, show_default=False),
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="More names for --clips.")] = None,
    keypoints: Keypoints = None,
    pairing: Pairing = None,
    segments: Segments = None,
    crop: Crop = "auto",
    tier: Tier = None,
    pair_list: PairList = None,
    clips: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME...", help="Only these clips; several names may follow.", rich_help_panel=_DATA),
    ] = None,
    holdout_tail: HoldoutTail = None,
    leave_signer_out: LeaveSignerOut = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Training triples.",
            rich_help_panel=_TRIPLES,
            show_default="100000; of lists of pairs, all",
        ),
    ] = None,
    min_gap: Annotated[
        int,
        typer.Option(
            min=0,
            help="Least distance of source and target, in frames; 0, the paper's, excludes only the same frame.",
            rich_help_panel=_TRIPLES,
        ),
    ] = 0,
    sources_per_clip: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most different source frames of a training clip: few make the feature cache small.",
            rich_help_panel=_TRIPLES,
            show_default="no bound",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.", rich_help_panel=_TRIPLES)] = 0,
    clean: Clean = False,
    damaged: Annotated[
        Literal["aside", "skip"],
        typer.Option(help="Clips with damaged frames: put aside, or only skip those frames.", rich_help_panel=_DATA),
    ] = "aside",
    background: BackgroundColour = None,
    person: Person = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            rich_help_panel=_TRIPLES,
            help="Also write the frames that triples use, uncompressed: training reads them without decoding.",
        ),
    ] = False,
) -> None:
    """Pair videos with keypoints and write training triples (clip, source frame, target frame).

    Keypoints of X.mp4, or of a folder X of frames, are X.*, X_* and X/ beside it, recognised by content. Of several
    with as many frames as the video, the one with the most points is taken. Nothing is guessed: what has no keypoints,
    or too many, is named and left out. Phoenix-2014T is verified first, as `signgen verify ROOT` does; meta.json keeps
    what was found.

    DeepFashion and Market-1501: the lists of pairs in ROOT, or of --pair-list, are the triples, one list a split, in
    their order.

    Damaged videos: a frame that FFmpeg marks corrupt or reads with errors is named, with all up to the next key frame;
    its clip is put aside, or only those frames are left out (--damaged skip).

    Exit code 1: clips were put aside because they are damaged or ambiguous, or were named with --clips and cannot be
    used; the others are written. Videos that merely have no keypoints, and corpus clips that are not on disk, are
    named but are no error. Exit code 2: nothing was written.
    """
    from signgen.pairs.build import BuildPairsRequest, build_pairs

    if more and not clips:
        raise typer.BadParameter(f"unexpected {' '.join(more)} after {root}; names of clips follow --clips")
    built = build_pairs(
        BuildPairsRequest(
            root,
            out,
            keypoints=keypoints,
            pairing=pairing,
            pair_lists=tuple(pair_list or ()),
            clips=(*(clips or ()), *(more or ())),
            holdout_tail=holdout_tail,
            count=count,
            min_gap=min_gap,
            sources_per_clip=sources_per_clip,
            seed=seed,
            clean=clean,
            store=store,
            damaged=damaged,
            background=background,
            person=person,
            segments=segments,
            crop=crop,
            tier=tier,
            leave_signer_out=leave_signer_out,
        ),
        Bars(),
    )
    if built.put_aside:
        raise typer.Exit(1)
