"""Clips in; what of them cannot be decoded, on all cores, out."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from signgen.errors import VideoError
from signgen.video.damage import damage_text
from signgen.video.frame_folder import look_into
from signgen.video.reader import open_frames, read_image


@dataclass(frozen=True)
class Decoded:
    """One clip, decoded. errors: a line for every frame that cannot be, or is of another size than the first."""

    where: str
    frames: int
    errors: tuple[str, ...]


def decode_all(clips: Iterable[tuple[str, Path]], processes: int) -> Iterator[Decoded]:
    """Decode every frame of (name, folder or video) pairs, clip by clip, in the order given."""
    if processes <= 1:
        yield from map(_decode, clips)
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit other libraries' threads
    with ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(_decode, clips, chunksize=4)


def _decode(job: tuple[str, Path]) -> Decoded:
    where, place = job
    if not place.is_dir():
        try:
            video = open_frames(place)  # which decodes it once
            damage = (f"{place}: damaged: {damage_text(video.damaged)}",) if video.damaged else ()
            return Decoded(where, video.num_frames, damage)
        except VideoError as error:
            return Decoded(where, 0, (str(error),))
    names = look_into(place).names
    errors, size = [], None
    for name in names:
        try:
            height, width, _ = read_image(place / name).shape
        except VideoError as error:
            errors.append(str(error))
            continue
        size = size or (width, height)
        if (width, height) != size:
            errors.append(f"{place / name}: {width}x{height}, the clip's first frame {size[0]}x{size[1]}")
    return Decoded(where, len(names), tuple(errors))
