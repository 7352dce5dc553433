"""DeepFashion and Market-1501: images, lists of pairs and keypoints in, a pair set out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from signgen import __version__
from signgen.corpora.person.images import PersonImages, look_through
from signgen.corpora.person.keypoints import find_poses, pose_files
from signgen.corpora.person.resolve import (
    Resolved,
    choose_lists,
    completeness,
    drop_leaks,
    find_lists,
    left_out,
    load_frames,
)
from signgen.corpora.survey import LeftOut
from signgen.errors import PairSetError
from signgen.pairs.plan_clips import PairPlan
from signgen.pairs.plan_lists import plan_listed
from signgen.pairs.signers import shared_signers
from signgen.pairs.writer import PairSetWriter, image_list
from signgen.progress import Notes


def build_listed(
    root: Path, out: Path, lists: list[Path], keypoints: Path | None, count: int | None, seed: int, notes: Notes
) -> tuple[int, dict[str, int], tuple[LeftOut, ...]]:
    """Write the pair set; returns its clips, its triples of each split, and what was left out, and why.

    lists: those to use; empty: those among the images. keypoints: a folder or file; None: among the images too. count:
    training pairs, drawn at random; None: all. Raises PairSetError where there is no list, or no keypoints.
    """
    # images, lists and keypoints
    images = look_through(root)
    images.check_clashes()
    chosen = choose_lists(lists or find_lists(images.others), images)
    drop_leaks(chosen.values())
    poses = find_poses(images.dataset, pose_files(keypoints) if keypoints else images.others)
    if not poses.sources:
        raise PairSetError(
            f"{keypoints or root}: no 18-point keypoints", fix="name them with --keypoints FOLDER or FILE.csv"
        )
    where = poses.summary(root)
    _tell_inputs(images, chosen, where, poses.twice, notes)
    # which pairs can be used
    frames, size = load_frames(chosen, images, poses, notes.progress)
    put_aside = left_out(chosen)
    for left in put_aside:
        notes.add(f"{left.name}: {left.reason}", "put aside" if left.error else "left out")
    plan = plan_listed(chosen, frames, size, images, count, seed, where)
    plan.notes[:0] = completeness(chosen, images)
    plan.notes += shared_signers(plan.clips, plan.triples)
    for note in plan.notes:
        notes.add(note, "note")
    # the pair set
    with PairSetWriter(out) as writer:
        for clip in plan.clips:
            writer.add(clip.name, plan.poses[clip.name], image_list(clip.path, clip.images))
        meta = _meta(images, chosen, plan, count, seed, put_aside, writer.fingerprint(plan.clips))
        writer.finish(plan.clips, plan.triples, meta)
    counts = ", ".join(f"{number} {split}" for split, number in meta["triples"].items())
    notes.add(f"{len(plan.clips)} clips, triples: {counts}", str(out))
    return len(plan.clips), meta["triples"], tuple(put_aside)


def _tell_inputs(
    images: PersonImages, chosen: dict[str, Resolved], poses: str, twice: dict[Path, int], notes: Notes
) -> None:
    """Which data set it is, and which list and keypoints are used."""
    width, height = images.dataset.size
    notes.add(f"{images.dataset.title}: {len(images.images):,} images (published at {width}x{height})")
    for split, found in chosen.items():
        notes.add(f"{found.pair_list.path}: {len(found.pair_list.rows):,} pairs", split)
    notes.add(poses, "keypoints")
    for path, number in twice.items():
        notes.add(f"{path.name}: {number:,} images have keypoints elsewhere, which are used", "note")


def _meta(
    images: PersonImages,
    chosen: dict[str, Resolved],
    plan: PairPlan,
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
