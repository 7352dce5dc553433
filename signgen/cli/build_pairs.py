"""`signgen build-pairs`: a data set in, a pair set out; says which keypoints belong to which video."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from signgen import __version__
from signgen.cli.common import console, watched
from signgen.cli.listed_pairs import build_listed
from signgen.errors import PairSetError, PoseError

if TYPE_CHECKING:
    import numpy as np

    from signgen.corpora.findings import Report
    from signgen.corpora.survey import Survey
    from signgen.pairs.plan_clips import Plan, Rule
    from signgen.pairs.writer import PairSetWriter

_DATA, _TRIPLES = "Data", "Triples"
_SHOWN = 30
DEFAULT_COUNT = 100_000
_OWN_PARTS = {"triples.parquet", "clips.parquet", "meta.json", "poses", "store"}


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
    keypoints: Annotated[
        Path | None,
        typer.Option(help="Where the keypoints are, when not beside the videos.", rich_help_panel=_DATA),
    ] = None,
    pairing: Annotated[
        Path | None,
        typer.Option(help="CSV clip,video,keypoints that settles ambiguous pairs.", rich_help_panel=_DATA),
    ] = None,
    pair_list: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="DeepFashion, Market-1501: a list of pairs, with train or test in its name; may be repeated.",
            show_default="those in ROOT",
            rich_help_panel=_DATA,
        ),
    ] = None,
    clips: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME...", help="Only these clips; several names may follow.", rich_help_panel=_DATA),
    ] = None,
    holdout_tail: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.95,
            rich_help_panel=_TRIPLES,
            show_default="0.25 where there are no dev clips",
            help="Share of every training clip, at its end, kept for validation.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Training triples.",
            rich_help_panel=_TRIPLES,
            show_default=f"{DEFAULT_COUNT}; of lists of pairs, all",
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
    clean: Annotated[
        bool,
        typer.Option(
            "--clean",
            rich_help_panel=_TRIPLES,
            help="Fill short gaps of the keypoints and smooth them, as signgen poses clean; then render with --clean.",
        ),
    ] = False,
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

    Keypoints of X.mp4, or of a folder X of frames, are X.*, X_* and X/ beside it, told apart by content. Of several
    with as many frames as the video, the one with the most points is taken. Nothing is guessed: what has no keypoints,
    or too many, is named and left out. Phoenix-2014T is verified first, as by `signgen verify --quick`; meta.json keeps
    what was found.

    DeepFashion and Market-1501: the lists of pairs in ROOT, or of --pair-list, are the triples, one list a split, in
    their order.

    Exit code 1: clips were put aside because they are damaged or ambiguous, or were named with --clips and cannot be
    used; the others are written. Videos that merely have no keypoints, and corpus clips that are not on disk, are
    named but are no error. Exit code 2: nothing was written.
    """
    from signgen.pairs.plan_clips import Rule
    from signgen.pairs.writer import PairSetWriter

    names = _names(root, clips, more)
    _check_out(out)
    if _is_listed(root):
        _refuse_options(pairing=pairing, clips=names, holdout_tail=holdout_tail, min_gap=min_gap, clean=clean)
        lists = [path.resolve() for path in pair_list or ()]
        aside = build_listed(root.resolve(), out, lists, keypoints.resolve() if keypoints else None, count, seed)
        return _finish(out, store, aside)
    if pair_list:
        raise typer.BadParameter(f"--pair-list {pair_list[0]}: {root} is neither DeepFashion nor Market-1501")
    survey = _survey(root.resolve(), keypoints, pairing, names)
    with PairSetWriter(out) as writer:
        read = _read_poses(survey, writer, clean)
        _show_survey(survey)
        if not survey.clips:
            raise PairSetError(f"{root}: no clip can be used", fix="see above why; --pairing FILE.csv names keypoints")
        rule = Rule(count or DEFAULT_COUNT, seed, min_gap, holdout_tail, tuple(names), sources_per_clip, clean)
        _write(out, survey, read, writer, rule)
    _finish(out, store, any(left.error for left in survey.left_out))


def _is_listed(root: Path) -> bool:
    """Its triples come from lists of pairs."""
    from signgen.corpora.person.images import recognise
    from signgen.corpora.phoenix.layout import find_root

    return find_root(root) is None and recognise(root) is not None


def _refuse_options(**given: Any) -> None:
    """Options that say how frames of clips are chosen have no meaning where a list chooses."""
    for name, value in given.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{option} is for clips; the pairs of this data set come from its lists")


def _names(root: Path, clips: list[str] | None, more: list[str] | None) -> list[str]:
    """--clips A B: the names after the first arrive as further arguments."""
    if more and not clips:
        raise typer.BadParameter(f"unexpected {' '.join(more)} after {root}; names of clips follow --clips")
    return list(dict.fromkeys([*(clips or []), *(more or [])]))


def _check_out(out: Path) -> None:
    """Refuse to write among files that are not a pair set's."""
    if not out.exists():
        return
    if not out.is_dir():
        raise PairSetError(f"{out}: a file is there", expected="a new folder for the pair set")
    foreign = sorted(p.name for p in out.iterdir() if p.name not in _OWN_PARTS and not p.name.startswith("."))
    if foreign and not (out / "meta.json").is_file():
        raise PairSetError(f"{out}: holds other things ({', '.join(foreign[:3])})", expected="a new or empty folder")


def _survey(root: Path, keypoints: Path | None, pairing: Path | None, names: list[str]) -> Survey:
    from signgen.corpora import video_folder as videos
    from signgen.corpora.matching import read_pairing
    from signgen.corpora.phoenix import layout as phoenix
    from signgen.corpora.phoenix.survey import survey_phoenix

    rows = read_pairing(pairing.resolve(), root) if pairing else {}
    look = survey_phoenix if phoenix.find_root(root) else videos.survey_videos
    watch = partial(watched, what="looking at clips")
    return look(root, keypoints.resolve() if keypoints else None, rows, names, watch)


@dataclass(frozen=True)
class _Read:
    """What is kept of every clip's keypoints. usable: name -> frames with a person; notes: what a reader decided."""

    usable: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _read_poses(survey: Survey, writer: PairSetWriter, clean: bool) -> _Read:
    """Write every clip's keypoints, one clip after the other; a clip whose keypoints are damaged is put aside."""
    from signgen.corpora.survey import LeftOut
    from signgen.pairs.writer import footage
    from signgen.poses.clean import clean as cleaned

    read, sound = _Read(), []
    for clip in watched(survey.clips, "keypoints"):
        try:
            poses = cleaned(clip.poses()) if clean else clip.poses()
        except PoseError as error:
            survey.left_out.append(LeftOut(clip.name, str(error), error=True))
            continue
        writer.add(clip.name, poses, footage(clip.video, clip.first_image))
        read.usable[clip.name], read.notes[clip.name] = poses.has_person.nonzero()[0], poses.notes
        sound.append(clip)
    survey.clips = sound
    return read


def _show_report(report: Report) -> None:
    """How much of the data set is there, and what the quick verification found."""
    if report.size:
        console.print(report.size)
    if report.findings:
        found = ", ".join(f"{kind} {number}" for kind, number in report.by_kind.items())
        console.print(f"[yellow]verified[/] quickly: {found} (signgen verify shows them; all are in meta.json)")


def _show_survey(survey: Survey) -> None:
    """Which keypoints belong to which video, and what was left out."""
    if survey.report is not None:
        _show_report(survey.report)
    for clip in survey.clips[:_SHOWN]:
        keypoints = clip.keypoints
        console.print(
            f"[green]paired[/] {escape(clip.name)}: {escape(clip.video.name)} + {escape(keypoints.label)}"
            f" ({keypoints.file.format}, {keypoints.file.points} points, {clip.num_frames} frames)"
        )
    if len(survey.clips) > _SHOWN:
        console.print(f"... and {len(survey.clips) - _SHOWN} more; all are in clips.parquet")
    mild = [left for left in survey.left_out if not left.error]
    for left in mild[:_SHOWN]:
        console.print(f"[yellow]left out[/] {escape(left.name)}: {escape(left.reason)}")
    if len(mild) > _SHOWN:
        console.print(f"... and {len(mild) - _SHOWN} more left out; all are in meta.json")
    for left in survey.left_out:
        if left.error:
            console.print(f"[red]put aside[/] {escape(left.name)}: {escape(left.reason)}")


def _write(out: Path, survey: Survey, read: _Read, writer: PairSetWriter, rule: Rule) -> None:
    from signgen.pairs.plan_clips import plan_pairs

    plan = plan_pairs(survey, read.usable, rule)
    meta = _meta(survey, plan, rule, writer.fingerprint(plan.clips))
    for clip in plan.clips:
        for note in read.notes[clip.name]:
            console.print(f"[yellow]note[/] {escape(clip.name)}: {escape(note)}")
    for note in plan.notes:
        console.print(f"[yellow]note[/] {escape(note)}")
    if plan.absent:
        each = ", ".join(f"{name} {number}" for name, number in list(plan.absent.items())[:10])
        console.print(f"{sum(plan.absent.values())} frames without a person are in no triple ({escape(each)})")
    writer.finish(plan.clips, plan.triples, meta)
    counts = ", ".join(f"{number} {split}" for split, number in meta["triples"].items())
    console.print(f"[bold]{escape(str(out))}[/]: {len(plan.clips)} clips, triples: {counts}")


def _finish(out: Path, store: bool, aside: bool) -> None:
    """Store frames where asked to; exit code 1 where something was put aside."""
    if store:
        _store(out)
    if aside:
        raise typer.Exit(1)


def _store(out: Path) -> None:
    """The frames that the triples use."""
    from signgen.pairs.frame_store import FOLDER, write_store
    from signgen.pairs.pairset import PairSet

    pairs = PairSet.load(out)
    used = pairs.used_frames()
    size = write_store(out, pairs.fingerprint, used, pairs.frames, partial(watched, what="storing frames"))
    frames = sum(map(len, used.values()))
    console.print(f"[bold]{escape(str(out / FOLDER))}[/]: {frames:,} frames, {size / 2**30:.2f} GiB")


def _meta(survey: Survey, plan: Plan, rule: Rule, fingerprint: str) -> dict[str, Any]:
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
        "fingerprint": fingerprint,
        "triples": {split: len(rows) for split, rows in plan.triples.items()},
        "frames_without_person": plan.absent,
        "notes": plan.notes,
        "verified": survey.report.to_json() if survey.report else None,
        "left_out": [{"name": left.name, "reason": left.reason, "error": left.error} for left in survey.left_out],
    }
