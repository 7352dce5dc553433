"""Arrays of long clips: on the disk, the same numbers, and gone from memory when they are released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signgen.rendering import on_disk
from signgen.rendering.on_disk import DiskArrays
from tests.worlds import figure_poses


def resident(word: str = "VmRSS") -> int:
    """Bytes of this process in memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc here")
    return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(word))


def test_short_ones_stay_where_they_are(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert DiskArrays(tmp_path).keep(array) is array


def test_long_ones_are_the_same_and_take_no_memory_once_released(tmp_path: Path) -> None:
    stored = DiskArrays(tmp_path)
    before = resident()
    kept = stored.keep(np.arange(16_000_000, dtype=np.float32).reshape(1000, -1, 4))
    assert (kept.shape, kept.dtype, kept[7, 5, 2]) == ((1000, 4000, 4), np.float32, 7 * 16_000 + 22)
    assert float(kept.sum(dtype=np.float64)) == np.arange(16_000_000, dtype=np.float32).sum(dtype=np.float64)
    assert resident() - before > 50e6
    stored.release()
    assert resident() - before < 15e6
    assert kept[999, 3999, 3] == 15_999_999
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0, 0] = 1


def test_poses_lose_only_what_nothing_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "SMALL", 0)
    poses = figure_poses(5)
    kept = DiskArrays(tmp_path / "not there").keep_poses(poses)
    np.testing.assert_array_equal(kept.keypoints, poses.keypoints)
    assert (kept.width, kept.fps, kept.skeleton, kept.extra) == (poses.width, poses.fps, poses.skeleton, {})
    np.testing.assert_array_equal(kept[2:4].resized(32, 32).keypoints, poses[2:4].resized(32, 32).keypoints)
