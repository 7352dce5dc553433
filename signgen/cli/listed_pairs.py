"""`signgen build-pairs` for DeepFashion and Market-1501: images, lists of pairs and keypoints in, a pair set out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from signgen import __version__
from signgen.cli.common import console, watched
from signgen.errors import PairSetError

if TYPE_CHECKING:
    from signgen.corpora.person.images import PersonImages
    from signgen.corpora.person.resolve import Resolved
    from signgen.corpora.survey import LeftOut
    from signgen.pairs.plan_clips import Plan


def build_listed(
    root: Path, out: Path, lists: list[Path], keypoints: Path | None, count: int | None, seed: int
) -> bool:
    """Write the pair set; returns whether pairs were put aside because something they need is absent or damaged."""
    from signgen.corpora.person.images import look_through
    from signgen.corpora.person.keypoints import find_poses, pose_files
    from signgen.corpora.person.resolve import choose_lists, completeness, drop_leaks, find_lists, left_out, load_frames
    from signgen.pairs.plan_lists import plan_listed
    from signgen.pairs.writer import PairSetWriter, image_list

    images = look_through(root)
    images.check_clashes()
    chosen = choose_lists(lists or find_lists(images.others), images)
    drop_leaks(chosen.values())
    poses = find_poses(images.dataset, pose_files(keypoints) if keypoints else images.others)
    if not poses.sources:
        raise PairSetError(f"{keypoints or root}: no 18-point keypoints", fix="add --keypoints FOLDER or FILE.csv")
    where = poses.summary(root)
    _show_inputs(images, chosen, where, poses.twice)
    frames, size = load_frames(chosen, images, poses, partial(watched, what="looking at images"))
    put_aside = left_out(chosen)
    _show_left_out(put_aside)
    notes = completeness(chosen, images)
    plan = plan_listed(chosen, frames, size, images, count, seed, where)
    plan.notes[:0] = notes
    for note in plan.notes:
        console.print(f"[yellow]note[/] {escape(note)}")
    with PairSetWriter(out) as writer:
        for clip in plan.clips:
            writer.add(clip.name, plan.poses[clip.name], image_list(clip.path, clip.images))
        meta = _meta(images, chosen, plan, count, seed, put_aside, writer.fingerprint(plan.clips))
        writer.finish(plan.clips, plan.triples, meta)
    counts = ", ".join(f"{number} {split}" for split, number in meta["triples"].items())
    console.print(f"[bold]{escape(str(out))}[/]: {len(plan.clips)} clips, triples: {counts}")
    return any(left.error for left in put_aside)


def _show_inputs(images: PersonImages, chosen: dict[str, Resolved], poses: str, twice: dict[Path, int]) -> None:
    """Which data set it is, and which list and keypoints are used."""
    width, height = images.dataset.size
    console.print(f"{images.dataset.title}: {len(images.images):,} images (published at {width}x{height})")
    for split, found in chosen.items():
        console.print(f"[green]{split}[/] {escape(str(found.pair_list.path))}: {len(found.pair_list.rows):,} pairs")
    console.print(f"[green]keypoints[/] {escape(poses)}")
    for path, number in twice.items():
        note = f"{path.name}: {number:,} images have keypoints elsewhere, which are used"
        console.print(f"[yellow]note[/] {escape(note)}")


def _show_left_out(put_aside: list[LeftOut]) -> None:
    for left in put_aside:
        label = "[red]put aside[/]" if left.error else "[yellow]left out[/]"
        console.print(f"{label} {escape(left.name)}: {escape(left.reason)}")


def _meta(
    images: PersonImages,
    chosen: dict[str, Resolved],
    plan: Plan,
    count: int | None,
    seed: int,
    put_aside: list[LeftOut],
    fingerprint: str,
) -> dict[str, Any]:
    """Everything that says how the set was made; nothing that depends on when or where it is written."""
    return {
        "signgen": __version__,
        "kind": images.dataset.name,
        "root": str(images.root),
        "seed": seed,
        "rule": {"count": count, "lists": {split: str(found.pair_list.path) for split, found in chosen.items()}},
        "fingerprint": fingerprint,
        "triples": {split: len(rows) for split, rows in plan.triples.items()},
        "frames_without_person": {},
        "notes": plan.notes,
        "left_out": [{"name": left.name, "reason": left.reason, "error": left.error} for left in put_aside],
    }
