"""A frame in; FFmpeg's picture of it, in an encoder's size and pixels, out: the same for the same frame, to the bit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

_EXACT = "yuv420p"  # the only conversion that is the same each time at every width
_ALIGNED = 64  # pixels


class Pictures:
    """Pictures of width x height in BT.601 of limited range; smaller frames are filled up by their last column and row.

    FFmpeg's converter to 10 bits reads beyond the right edge, whatever lies there, and the last columns depend on it:
    such frames are converted with a wider edge, which is cut off again.
    """

    def __init__(self, width: int, height: int, pixels: str) -> None:
        self._pixels, self._height = pixels, height
        self._crop: Any = None
        self._width = width
        if pixels != _EXACT:
            self._width = width + -width % _ALIGNED + _ALIGNED
            self._crop = _cropping(width, height, self._width, pixels)

    def of(self, frame: np.ndarray) -> Any:
        """frame: uint8 (h, w, 3) RGB, no larger. An av.VideoFrame without a time."""
        import av

        height, width = frame.shape[:2]
        if (width, height) != (self._width, self._height):
            frame = np.pad(frame, ((0, self._height - height), (0, self._width - width), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format=self._pixels, dst_colorspace="ITU601", dst_color_range="MPEG")
        if self._crop is None:
            return picture
        picture.pts, picture.time_base = 0, Fraction(1)
        self._crop.push(picture)
        return self._crop.pull()


def _cropping(width: int, height: int, of_width: int, pixels: str) -> Any:
    """A filter that keeps the left `width` columns."""
    import av
    from av.filter import Graph

    graph = Graph()
    given = graph.add_buffer(width=of_width, height=height, format=av.VideoFormat(pixels), time_base=Fraction(1))
    crop, left = graph.add("crop", f"{width}:{height}:0:0:exact=1"), graph.add("buffersink")
    graph.link_nodes(given, crop, left).configure()
    return graph
