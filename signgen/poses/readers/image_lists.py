"""JSON lists of people with an image_id each, as AlphaPose and COCO write them, in; people by picture out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signgen.errors import PoseError
from signgen.files import in_natural_order
from signgen.poses.numbering import Listing, numbers_in


def by_picture(path: Path, records: Sequence[Any], first: int | None) -> tuple[Listing, list[list[int]]]:
    """The pictures in order, and the record numbers of each.

    image_id is a frame number or a picture's name. Names that share no counting number are taken in natural order, or
    as they come where none has a number. first: see Listing. Raises PoseError for a record without image_id.
    """
    pictures: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get("image_id"), (str, int)):
            raise PoseError(f"{path}: record {number} has no image_id", expected="{image_id, keypoints, score, ...}")
        pictures.setdefault(str(record["image_id"]), []).append(number)
    names = list(pictures)
    named = any(isinstance(record["image_id"], str) for record in records)
    numbers = numbers_in(names) if named else tuple(int(name) for name in names)
    if numbers is None:
        names = in_natural_order(names) if any(character.isdigit() for name in names for character in name) else names
        return Listing(len(names), None, tuple(names)), [pictures[name] for name in names]
    order = sorted(range(len(names)), key=lambda index: numbers[index])
    listing = Listing(
        len(names),
        tuple(numbers[index] for index in order),
        tuple(names[index] for index in order) if named else None,
        first,
    )
    return listing, [pictures[names[index]] for index in order]


def order_note(listing: Listing) -> str:
    """A note where pictures are not numbered; empty otherwise."""
    if listing.numbers is not None or listing.count < 2:
        return ""
    return "the pictures' names hold no frame numbers: taken one after the other"
