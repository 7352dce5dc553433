"""Frame times: which are uneven, how they are kept, and which rates agree."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from signgen.errors import VideoError
from signgen.rates import rounded_rate, same_rate
from signgen.video.reader import open_frames
from signgen.video.timing import uneven
from signgen.video.writer import VideoWriter
from tests.video.making import ramp, write

PAUSED = [0, 0.04, 0.08, 4.08, 4.12, 4.16]


def shown_at(path: Path) -> list[float]:
    """Seconds at which an mp4's frames are shown, by its packets."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.size)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_uneven_times_are_read_and_written(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    source = open_frames(write(tmp_path / name, ramp(6, 64, 64), codec, times=PAUSED))
    assert source.times == pytest.approx(PAUSED, abs=1e-3)
    with VideoWriter(tmp_path / "o.mp4", 64, 64, source.fps or 25, times=source.times) as writer:
        for frame in source.read():
            writer.write(frame)
    assert shown_at(tmp_path / "o.mp4") == pytest.approx(PAUSED, abs=2e-3)
    assert open_frames(tmp_path / "o.mp4").times == pytest.approx(PAUSED, abs=2e-3)


@pytest.mark.parametrize("rate", [25, 24, 30, "30000/1001", "24000/1001", 60])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_even_times_are_none(tmp_path: Path, rate: int | str, name: str) -> None:
    """Matroska rounds to milliseconds."""
    assert open_frames(write(tmp_path / name, ramp(20, 64, 64), rate=Fraction(rate))).times is None


def test_what_counts_as_uneven() -> None:
    even = np.arange(100) / 25
    assert uneven(even, 1e-3) is None
    assert uneven(np.round(even, 2), 0.01) is None
    for place in (1, 50, 98):
        dropped = np.delete(np.arange(101) / 25, place)
        assert uneven(dropped, 1e-3) is not None, place
    assert uneven([0.0, 0.04], 1e-3) is None
    assert uneven([], 1e-3) is None


def test_times_that_do_not_ascend_or_do_not_suffice(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="do not ascend"):
        VideoWriter(tmp_path / "o.mp4", 64, 64, 25, times=[0, 0.04, 0.04])
    first, second = ramp(2, 64, 64)
    with VideoWriter(tmp_path / "o.mp4", 64, 64, 25, times=[0]) as writer:
        writer.write(first)
        with pytest.raises(VideoError, match="more than 1 frames"):
            writer.write(second)


@pytest.mark.parametrize(
    ("of_poses", "of_video", "same", "rounded"),
    [
        (29.0, 29.97, True, True),
        (30.0, 29.97, True, True),
        (24.0, 23.976, True, True),
        (23.0, 23.976, True, True),
        (59.0, 59.94, True, True),
        (29.97, 30000 / 1001, True, False),
        (25.0, 25.0, True, False),
        (None, 25.0, True, False),
        (25.0, None, True, False),
        (25.0, 24.0, False, False),
        (30.0, 25.0, False, False),
        (25.0, 29.97, False, False),
        (29.5, 29.97, False, False),
    ],
)
def test_rates(of_poses: float | None, of_video: float | None, same: bool, rounded: bool) -> None:
    assert same_rate(of_poses, of_video) is same
    assert rounded_rate(of_poses, of_video) is rounded
