"""DeepFashion In-shop or Market-1501, its lists of pairs and its keypoints in, Report out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from signgen.corpora.decoding import decode_all
from signgen.corpora.findings import Report
from signgen.corpora.person.images import PersonImages, look_through
from signgen.corpora.person.keypoints import PersonPoses, find_poses, pose_files
from signgen.corpora.person.pair_lists import read_pair_list
from signgen.corpora.person.resolve import Resolved, completeness, drop_leaks, find_lists, resolve
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.progress import SILENT, Progress
from signgen.video.headers import image_size

_OF_A_LIST = ("self-pair", "duplicate-pair", "across", "leak")


def verify_images(
    root: Path, keypoints: Path | None = None, full: bool = False, processes: int = 1, progress: Progress = SILENT
) -> Report:
    """Look at every image's header, every list and every annotation; full: decode every image too.

    keypoints: a folder or a file; else those in `root`. Raises PairSetError for another data set.
    """
    images = look_through(root)
    report = Report(images.dataset.name, root, full)
    lists = _lists(images, report)
    poses = find_poses(images.dataset, pose_files(keypoints) if keypoints is not None else images.others)
    _check_images(images, report, progress)
    _check_lists(lists, images, poses, report)
    _check_poses(poses, images, report, progress)
    _count(lists, images, poses, report)
    if full:
        jobs = [(images.shown(key), found.path) for key, found in images.images.items()]
        for result in progress.track(decode_all(jobs, processes), "decoding images", len(jobs)):
            for error in result.errors:
                report.find("unreadable", result.where, error)
    return report


def _lists(images: PersonImages, report: Report) -> list[Resolved]:
    """Those that can be read, by their paths."""
    found = []
    for path in find_lists(images.others):
        try:
            found.append(resolve(read_pair_list(path), images))
        except PairSetError as error:
            report.find("damaged-list", path.name, str(error))
    if not found:
        report.find("annotations", "pairs", "no list of pairs")
    return sorted(found, key=lambda each: each.pair_list.path)


def _check_images(images: PersonImages, report: Report, progress: Progress) -> None:
    """Names and headers. Images of another size than most are named; those of a resized copy are not."""
    for one, other in images.clashes:
        report.find("clash", one.name, f"{one} and {other}")
    for path in images.strays:
        report.find("stray", str(path.parent), path.name)
    sizes: dict[str, tuple[int, int]] = {}
    for key in progress.track(images.images, "looking at images", len(images.images)):
        try:
            sizes[key] = image_size(images.images[key].path)
        except VideoError as error:
            report.find("unreadable", images.shown(key), str(error))
    if not sizes:
        report.find("empty", str(images.root), "no readable image")
        return
    (width, height), _ = Counter(sizes.values()).most_common(1)[0]
    for key, size in sizes.items():
        if size != (width, height):
            report.find("size", images.shown(key), f"{size[0]}x{size[1]}, most are {width}x{height}")
    if (width, height) != images.dataset.size:
        published = f"{images.dataset.size[0]}x{images.dataset.size[1]}"
        report.notes.append(f"most images are {width}x{height}, {images.dataset.title} is published at {published}")


def _check_lists(lists: list[Resolved], images: PersonImages, poses: PersonPoses, report: Report) -> None:
    for found in lists:
        path = found.pair_list.path
        length, published = len(found.pair_list.rows), images.dataset.lists.get(path.name)
        if published not in (None, length):
            report.find("list-size", path.name, f"{length:,} pairs, published with {published:,}")
        for name, number in found.absent.items():
            report.find("absent", name, f"in {number:,} pairs of {path.name}")
        _check_pairs(found, images, poses, report)
    drop_leaks(lists)
    by_split = {found.pair_list.split: found for found in lists}
    if len(by_split) == len(lists):
        report.notes += completeness(by_split, images)
        report.notes += _people_in_both(by_split, images)
    else:
        names = ", ".join(found.pair_list.path.name for found in lists)
        report.notes.append(f"several lists of one split ({names}): build-pairs asks for --pair-list")
    for found in lists:
        for kind in _OF_A_LIST:
            for what in found.dropped.get(kind, ()):
                report.find(kind, found.pair_list.path.name, what)


def _check_pairs(found: Resolved, images: PersonImages, poses: PersonPoses, report: Report) -> None:
    """Images that pairs name: of the list's own split, and with keypoints."""
    split = found.pair_list.split
    for key in dict.fromkeys(key for pair in found.pairs for key in pair):
        folder = images.images[key].split
        if folder is not None and folder != split:
            report.find("wrong-split", images.shown(key), f"in {found.pair_list.path.name}")
        if key not in poses.sources:
            report.find("no-keypoints", images.shown(key), f"in pairs of {found.pair_list.path.name}")
        elif poses.is_empty(key):
            report.find("no-keypoints", images.shown(key), "its 18 points are all missing")


def _people_in_both(lists: dict[str, Resolved], images: PersonImages) -> list[str]:
    people = {
        split: {images.images[key].person for pair in found.pairs for key in pair} for split, found in lists.items()
    }
    both = sorted(people.get("train", set()) & people.get("test", set()))
    return [f"{len(both):,} people are in train and in test pairs, {both[0]} the first"] if both else []


def _check_poses(poses: PersonPoses, images: PersonImages, report: Report, progress: Progress) -> None:
    for path, reason in poses.damaged:
        report.find("damaged-keypoints", path.name, reason)
    for name in poses.strangers:
        report.find("no-image", name, "not a name of this data set")
    for path, number in poses.twice.items():
        report.notes.append(f"{path.name}: {number:,} images have keypoints elsewhere, which are used")
    for key, (path, name) in progress.track(poses.sources.items(), "looking at keypoints", len(poses.sources)):
        where = f"{path.name}: {name}" if name else str(path)
        if key not in images.images:
            report.find("no-image", where, "the image is not on disk")
        try:
            annotation = poses.read(key)
        except PoseError as error:
            report.find("damaged-keypoints", where, str(error))
            continue
        if annotation.non_finite:
            report.find("non-finite", where, f"{annotation.non_finite} of 36 coordinates")
        if annotation.outside:
            report.find("outside", where, f"{annotation.outside} of 18 points")


def _count(lists: list[Resolved], images: PersonImages, poses: PersonPoses, report: Report) -> None:
    """All images; then list by list its pairs, those with both images there, and the images and people they name."""
    there = sum(key in poses.sources for key in images.images)
    people = len({found.person for found in images.images.values()})
    report.count("all images", images=len(images.images), people=people, keypoints=there)
    for found in lists:
        keys = {key for pair in found.pairs for key in pair}
        label = f"{found.pair_list.split}: {found.pair_list.path.name}"
        report.count(
            label,
            images=len(keys),
            people=len({images.images[key].person for key in keys}),
            keypoints=len(keys & poses.sources.keys()),
            pairs=len(found.pair_list.rows),
            usable=len(found.pairs),
        )
