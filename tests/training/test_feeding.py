"""What feeds the trainer: the order of triples, frames in runs, and the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from signgen.config import Augmentation
from signgen.errors import PairSetError, VideoError
from signgen.models.canvas import Canvas
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.poses.palettes import SIGNGEN_133
from signgen.training.data import frames as canvas_frames
from signgen.training.data.batches import FEW, LANES, OPEN, Sample, StepBatches, in_lanes
from signgen.training.data.caches import array_cache
from signgen.training.data.dataset import TripleDataset
from signgen.training.data.frames import CanvasFrames
from signgen.video.reader import FrameSource
from tests.worlds import write_world

CANVAS = Canvas(32, 32)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> PairSet:
    root = tmp_path_factory.mktemp("world")
    build_pairs(BuildPairsRequest(write_world(root / "videos"), root / "pairs", holdout_tail=0.25, count=6, store=True))
    return PairSet.load(root / "pairs")


@pytest.fixture
def plain(stored, tmp_path) -> PairSet:
    """The same pair set without its store."""
    for name in ("triples.parquet", "clips.parquet", "meta.json", "poses"):
        (tmp_path / name).symlink_to(stored.folder / name)
    return PairSet.load(tmp_path)


class TestOrder:
    clips = np.repeat(np.arange(1000), np.random.default_rng(0).integers(1, 30, 1000))

    def order(self, seed: int = 0, batch_size: int = 10) -> np.ndarray:
        return in_lanes(self.clips, batch_size, np.random.default_rng(seed))

    def test_every_triple_once_and_another_order_each_time(self):
        assert np.array_equal(np.sort(self.order()), np.arange(len(self.clips)))
        assert not np.array_equal(self.order(0), self.order(1))
        assert np.array_equal(self.order(2), self.order(2))

    @pytest.mark.parametrize("workers", [1, 2, 4, 8])
    def test_each_clip_is_decoded_once_by_one_worker(self, workers):
        """Loader processes take batches in turn; each keeps what it used last, half as much again as is open."""
        batches = self.clips[self.order()][: len(self.clips) // 10 * 10].reshape(-1, 10)
        decoded = 0
        for worker in range(workers):
            at_hand: dict[int, None] = {}
            for clip in batches[worker::workers].ravel().tolist():
                decoded += clip not in at_hand
                at_hand.pop(clip, None)
                at_hand[clip] = None
                if len(at_hand) > LANES // workers * OPEN * 3 // 2:
                    at_hand.pop(next(iter(at_hand)))
        assert decoded <= 1.06 * 1000  # at the very end lanes shift

    def test_batches_mix_clips_as_a_permutation_does(self):
        """Phoenix-2014T: 7,096 clips, 100,000 triples, 48 in a batch."""
        rng = np.random.default_rng(0)
        frames = rng.integers(20, 300, 7096)
        clips = np.sort(rng.choice(7096, 100_000, p=frames / frames.sum()))
        order = in_lanes(clips, 48, rng)
        distinct = [len(np.unique(batch)) for batch in clips[order][: 100_000 // 48 * 48].reshape(-1, 48)]
        assert np.mean(distinct) > 47
        assert np.mean(np.array(distinct) >= 40) > 0.95

    def test_few_clips_are_a_plain_permutation(self):
        clips = np.repeat(np.arange(FEW), 5)
        expected = np.random.default_rng(3).permutation(len(clips))
        assert np.array_equal(in_lanes(clips, 10, np.random.default_rng(3)), expected)

    def test_a_step_depends_on_the_seed_alone(self):
        everything = list(StepBatches(self.clips, 10, 0, 0, 40))
        assert list(StepBatches(self.clips, 10, 0, 25, 40)) == everything[25:]
        assert all(len(batch) == 10 for batch in everything)


class TestCache:
    def test_what_was_used_longest_ago_goes_first(self):
        loads: list[str] = []

        def load(key: str) -> np.ndarray:
            loads.append(key)
            return np.zeros(100, np.uint8)

        cache = array_cache(limit=300)
        for key in ("a", "b", "c", "a", "d", "a", "b"):
            cache.get(key, lambda key=key: load(key))
        assert loads == ["a", "b", "c", "d", "b"]
        assert len(cache) == 3

    def test_one_array_larger_than_the_limit_is_kept(self):
        cache = array_cache(limit=10)
        assert len(cache.get("a", lambda: np.zeros(100, np.uint8))) == 100
        assert len(cache) == 1


class CountingFrames(CanvasFrames):
    def __init__(self, pairs: PairSet) -> None:
        super().__init__(pairs, CANVAS)
        self.reads: list[list[int]] = []

    def _read(self, clip: str, frames: np.ndarray) -> np.ndarray:
        self.reads.append(frames.tolist())
        return super()._read(clip, frames)


def test_of_videos_the_used_frames_of_a_run_are_read_together_and_stored_ones_one_by_one(plain, stored, monkeypatch):
    monkeypatch.setattr(canvas_frames, "RUN", 4)
    clip = plain.clips[0].name
    used = stored.used_frames()[clip]
    videos, singles = CountingFrames(plain), CountingFrames(stored)
    for frame in used:
        assert np.array_equal(videos(clip, frame), singles(clip, frame))
    runs = [[frame for frame in used if frame // 4 == run] for run in dict.fromkeys(used // 4)]
    assert videos.reads == runs
    assert singles.reads == [[frame] for frame in used]


def test_a_frame_that_no_triple_uses_is_read_alone(plain):
    clip = plain.clips[0]
    unused = min(set(range(clip.num_frames)) - set(plain.used_frames()[clip.name].tolist()))
    frames = CountingFrames(plain)
    assert np.array_equal(
        frames(clip.name, unused), CANVAS.fit_frame(plain.frames(clip.name).read(unused, unused + 1)[0])
    )
    assert frames.reads == [[unused]]


def test_the_store_holds_exactly_what_triples_use(plain, stored):
    assert plain.store is None
    assert stored.store is not None
    for number, clip in enumerate(stored.clips):
        rows = [rows[rows["clip"] == number] for rows in map(stored.triples, ("train", "val", "test"))]
        wanted = {0, *(int(frame) for part in rows for name in ("source", "target") for frame in part[name])}
        frames, original = stored.training_frames(clip.name), plain.frames(clip.name)
        assert (frames.num_frames, frames.width, frames.height) == (clip.num_frames, clip.width, clip.height)
        for frame in range(clip.num_frames):
            if frame in wanted:
                assert np.array_equal(frames.read(frame, frame + 1), original.read(frame, frame + 1))
            else:
                with pytest.raises(VideoError, match="not all stored"):
                    frames.read(frame, frame + 1)
    assert any(len(stored.store.rows[clip.name]) < clip.num_frames for clip in stored.clips)


def test_training_items_are_the_same_from_store_and_video(plain, stored):
    augmentation = Augmentation(shift=2, scale=0.02, rotate=1.5, mirror=0.5, first_source=0.5)
    first, second = (TripleDataset(p, "train", CANVAS, SIGNGEN_133, augmentation, 0) for p in (plain, stored))
    for row in range(len(first)):
        ours, theirs = first[Sample(1, row)], second[Sample(1, row)]
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_workers_gives_the_same_batches(plain, workers):
    """Readers were opened in this process before the fork; a worker must not hang on them."""
    dataset = TripleDataset(plain, "train", CANVAS, SIGNGEN_133, Augmentation(shift=2), 0)
    dataset[Sample(0, 0)]
    batches = StepBatches(dataset.order_by, 4, 0, 0, 6)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, timeout=60 if workers else 0)
    targets = [batch["target"].numpy() for batch in loader]
    again = [np.stack([dataset[sample]["target"] for sample in batch]) for batch in batches]
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(targets, again, strict=True))


def test_an_incomplete_or_foreign_store_is_named(stored, tmp_path):
    for name in ("triples.parquet", "clips.parquet", "meta.json", "poses"):
        (tmp_path / name).symlink_to(stored.folder / name)
    (tmp_path / "store").mkdir()
    with pytest.raises(PairSetError, match=r"index\.parquet is missing"):
        PairSet.load(tmp_path)
    (tmp_path / "store").rmdir()
    for clips, named in (None, "other frames"), ([stored.clips[0].name], "other data"):
        other = tmp_path / named
        build_pairs(
            BuildPairsRequest(
                Path(stored.meta["root"]), other, clips=clips or (), holdout_tail=0.25, count=3, store=True
            )
        )
        (tmp_path / "store").symlink_to(other / "store")
        with pytest.raises(PairSetError, match=named):
            PairSet.load(tmp_path)
        (tmp_path / "store").unlink()


def test_building_again_without_a_store_removes_the_old_one(stored, tmp_path):
    root, out = Path(stored.meta["root"]), tmp_path / "pairs"
    build_pairs(BuildPairsRequest(root, out, holdout_tail=0.25, count=5, store=True))
    assert (out / "store" / "index.parquet").is_file()
    build_pairs(BuildPairsRequest(root, out, holdout_tail=0.25, count=9))
    assert not (out / "store").exists()
    assert isinstance(PairSet.load(out).training_frames(stored.clips[0].name), FrameSource)
