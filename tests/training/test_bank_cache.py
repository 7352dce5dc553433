"""Banks beside a pair set: the same bits as fresh ones, built once, and anew where a file is not what it should be."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import numpy as np
import pytest

from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.training.data import caches as bank_cache
from signgen.training.data.caches import BankCache
from signgen.training.data.frames import CanvasFrames
from signgen.training.data.part_warps import PartWarps
from signgen.warp import bank_file
from signgen.warp.anatomy import SIDES
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.compose import part_warp
from tests.warp.signers import CANVAS, clip
from tests.worlds import write_world


@pytest.fixture
def cache(tmp_path) -> BankCache:
    return BankCache(tmp_path, CANVAS)


@pytest.fixture
def built(monkeypatch) -> list[int]:
    """Grows by one whenever a bank is built."""
    times: list[int] = []

    def build(frame, keypoints):
        times.append(len(times))
        return source_bank(frame, keypoints)

    monkeypatch.setattr(bank_cache, "source_bank", build)
    return times


def first(signer: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A drawn signer's first frame and its keypoints."""
    _, frames, points = clip(signer)
    return frames[0], points[0]


def assert_same(one: SourceBank, other: SourceBank) -> None:
    for name in ("background", "filled", "person"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    pairs = [(one.trunk, other.trunk)]
    pairs += [
        (part[side], like[side]) for part, like in ((one.arms, other.arms), (one.hands, other.hands)) for side in SIDES
    ]
    for layer, like in pairs:
        assert (layer is None) == (like is None)
        if layer is not None and like is not None:
            assert layer.box == like.box
            assert np.array_equal(layer.rgba, like.rgba)


def files(cache: BankCache) -> list[Path]:
    return [path for path in cache.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("hidden", [slice(0), slice(91, 112), slice(7, 133)], ids=["all", "no left hand", "no arms"])
def test_a_bank_from_its_file_is_the_fresh_one_bit_for_bit(cache, built, hidden):
    frame, points = first()
    points = points.copy()
    points[hidden, 2] = 0
    fresh = source_bank(frame, points)
    banks = [cache.bank("a", 0, frame, points) for _ in range(2)]
    assert len(built) == 1
    for bank in banks:
        assert_same(bank, fresh)
        assert np.array_equal(part_warp(bank, clip(0)[2][9]).channels(), part_warp(fresh, clip(0)[2][9]).channels())
    assert [path.relative_to(cache.folder).as_posix() for path in files(cache)] == ["a/0.npz"]


def test_another_process_finds_it_and_other_frames_and_canvases_have_files_of_their_own(cache, built, tmp_path):
    frame, points = first()
    cache.bank("group/a", 3, frame, points)
    assert_same(BankCache(tmp_path, CANVAS).bank("group/a", 3, frame, points), source_bank(frame, points))
    assert len(built) == 1
    cache.bank("group/a", 4, *first(1))
    assert BankCache(tmp_path, type(CANVAS)(128, 128, "pad")).folder != cache.folder
    assert len(files(cache)) == len(built) == 2


@pytest.mark.parametrize("what", ["pixels", "keypoints", "version", "opencv"])
def test_what_a_bank_depends_on_makes_it_anew_in_the_same_place(cache, built, what, monkeypatch):
    frame, points = first()
    cache.bank("a", 0, frame, points)
    if what == "pixels":
        frame = frame.copy()
        frame[0, 0, 0] ^= 1
    elif what == "keypoints":
        points = points + np.float32([0, 0.5, 0])
    elif what == "version":
        monkeypatch.setattr(bank_file, "VERSION", bank_file.VERSION + 1)
    else:
        monkeypatch.setattr(bank_file.cv2, "__version__", "0")
    for _ in range(2):
        assert_same(cache.bank("a", 0, frame, points), source_bank(frame, points))
    assert len(built) == 2
    assert len(files(cache)) == 1


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


def _pickled(path: Path) -> None:
    with path.open("wb") as handle:
        np.savez(handle, key=np.array([{}], object), allow_pickle=True)


def _changed(path: Path, **arrays: np.ndarray) -> None:
    """Other arrays under the right key."""
    with np.load(path) as stored:
        kept = dict(stored)
    np.savez(path, **{**kept, **arrays})


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(_flipped(path.read_bytes())),
        lambda path: np.save(path.open("wb"), np.zeros(3)),
        lambda path: np.savez(path, other=np.zeros(3)),
        _pickled,
        lambda path: _changed(path, trunk_box=np.array(3)),
        lambda path: _changed(path, trunk_box=np.array([0, 0, 999, 999])),
        lambda path: _changed(path, background=np.zeros((4, 4), np.float32)),
        lambda path: _changed(path, person=np.zeros((3, 3), np.uint8)),
        lambda path: _changed(path, filled=np.zeros((2, 2), np.float64)),
    ],
    ids=["empty", "cut", "one byte", "npy", "foreign", "pickle", "box", "large", "pixels", "person", "filled"],
)
def test_a_damaged_or_foreign_file_is_replaced(cache, built, harm, caplog):
    frame, points = first()
    cache.bank("a", 0, frame, points)
    harm(files(cache)[0])
    for _ in range(2):
        assert_same(cache.bank("a", 0, frame, points), source_bank(frame, points))
    assert len(built) == 2
    assert not caplog.records


def test_without_shoulders_there_is_no_bank_and_no_file(cache):
    frame, points = first()
    points = points.copy()
    points[5] = np.nan
    assert cache.bank("a", 0, frame, points) is None
    assert not cache.folder.exists()


def test_where_nothing_can_be_written_banks_are_there_all_the_same(tmp_path, built):
    (tmp_path / "cache").write_text("in the way")
    cache = BankCache(tmp_path, CANVAS)
    assert not cache.writable
    frame, points = first()
    assert_same(cache.bank("a", 0, frame, points), source_bank(frame, points))
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_disk_that_fills_up_is_told_once(cache, built, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bank_cache, "write_bank", full)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            assert cache.bank("a", number, *first()) is not None
    assert [record.getMessage() for record in caplog.records] == [
        f"{cache.folder}: source banks are kept in memory only ([Errno 28] No space left on device)"
    ]
    assert not cache.writable


def test_training_data_use_it(tmp_path, monkeypatch, built):
    build_pairs(BuildPairsRequest(write_world(tmp_path / "videos"), tmp_path / "pairs", holdout_tail=0.25, count=6))
    pairs = PairSet.load(tmp_path / "pairs")
    name = pairs.clips[0].name
    warps = [PartWarps(CanvasFrames(pairs, CANVAS))(name, 0, target) for target in (1, 1, 2)]
    assert np.array_equal(warps[0], warps[1])
    assert len(built) == 1
    assert (pairs.folder / "cache" / "banks" / "128x128-squash" / name / "0.npz").is_file()
    assert PairSet.load(pairs.folder).fingerprint == pairs.fingerprint
