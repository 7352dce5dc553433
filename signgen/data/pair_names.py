"""Triples of a pair set in; one name for each of their frames and pairs out, which tell them apart in any folder."""

from __future__ import annotations

from signgen.data.image_pairs import image_key
from signgen.data.pairset import ClipRecord


def frame_name(clip: ClipRecord, frame: int) -> str:
    """`CLIP-000012`; an image of DeepFashion or Market-1501 has the name that all spellings of it share."""
    if clip.images:
        return image_key((clip.path / clip.images[frame]).as_posix()).replace("/", "-")
    return f"{clip.name.replace('/', '-')}-{frame:06d}"


def pair_name(clip: ClipRecord, source: int, target: int) -> str:
    """`SOURCE_to_TARGET`, as `signgen evaluate --protocol` reads it (rule pcdms)."""
    return f"{frame_name(clip, source)}_to_{frame_name(clip, target)}"
