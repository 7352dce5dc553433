"""Training triples as the trainer gets them: what augmentation moves, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.config import Augmentation
from signgen.models.canvas import Canvas
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.poses.draw import draw_pose
from signgen.poses.palettes import SIGNGEN_133
from signgen.poses.skeletons import COCO_WHOLEBODY_133, SKELETONS
from signgen.synthetic import Identity
from signgen.synthetic.face import landmarks
from signgen.training.data.augment import mirror_points
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset
from tests.worlds import write_world

CANVAS = Canvas(64, 64)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> PairSet:
    root = tmp_path_factory.mktemp("world")
    build_pairs(BuildPairsRequest(write_world(root / "videos"), root / "pairs", holdout_tail=0.25))
    return PairSet.load(root / "pairs")


def items(pairs: PairSet, **augmentation: float) -> dict[str, np.ndarray]:
    dataset = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, Augmentation(**augmentation), seed=0)
    return {name: np.asarray(value) for name, value in dataset[Sample(0, 3)].items()}


def test_a_mirrored_triple_is_mirrored_whole(pairs):
    plain, mirrored = items(pairs), items(pairs, mirror=1.0)
    for name in ("source", "target"):
        assert np.array_equal(mirrored[name], plain[name][..., ::-1])
        assert not np.array_equal(mirrored[name], plain[name])
    overlap = (mirrored["regions"] & plain["regions"][..., ::-1]).sum() / mirrored["regions"].sum()
    assert overlap > 0.9  # boxes are rounded outwards
    # Lines keep the colour of the side they are on: the mirrored picture is not the picture mirrored.
    lit = [item.any(0) for item in (mirrored["target_pose"], plain["target_pose"][..., ::-1])]
    assert (lit[0] & lit[1]).sum() / lit[0].sum() > 0.8
    assert not np.array_equal(mirrored["target_pose"], plain["target_pose"][..., ::-1])


@pytest.mark.parametrize("chance", [0.0, 0.5])
def test_triples_are_mirrored_as_often_as_asked(pairs, chance):
    dataset = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, Augmentation(mirror=chance), seed=0)
    plain = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, Augmentation(), seed=0)
    differs = [
        not np.array_equal(dataset[Sample(epoch, 3)]["target"], plain[Sample(epoch, 3)]["target"])
        for epoch in range(40)
    ]
    assert abs(np.mean(differs) - chance) < 0.25


def test_a_window_shows_the_neighbours_poses_behind_the_frame_s_own(pairs):
    dataset = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, Augmentation(), seed=0, window=2)
    alone = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, Augmentation(), seed=0)
    row_of = {int(target): row for row, (clip, _, target) in enumerate(alone.triples) if clip == 0}
    for frame, shown in ((4, (4, 3, 5, 2, 6)), (0, (0, 0, 1, 0, 2))):
        poses = [np.asarray(alone[Sample(0, row_of[other])]["target_pose"]) for other in shown]
        assert np.array_equal(dataset[Sample(0, row_of[frame])]["target_pose"], np.concatenate(poses))
        assert not np.array_equal(poses[0], poses[-1])


@pytest.mark.parametrize("name", SKELETONS)
def test_a_mirror_exchanges_the_sides(name):
    skeleton = SKELETONS[name]
    mirror = np.array(skeleton.mirror)
    assert np.array_equal(mirror[mirror], np.arange(skeleton.points))
    assert mirror[skeleton.left_shoulder] == skeleton.right_shoulder
    points = np.random.default_rng(0).random((skeleton.points, 3)).astype(np.float32)
    assert np.allclose(mirror_points(mirror_points(points, 64, skeleton), 64, skeleton), points, atol=1e-5)


def test_the_face_of_a_mirrored_person_is_a_face():
    """A drawn face at rest is symmetrical: each mirrored point comes to lie where the point itself was."""
    face = landmarks(Identity.random(3, "Anybody"), np.zeros((1, 8)))[0]
    points = np.zeros((133, 3))
    points[list(COCO_WHOLEBODY_133.face), :2] = face[:, :2]
    mirrored = mirror_points(points, 1, COCO_WHOLEBODY_133)
    assert np.allclose(mirrored, points, atol=1e-6)
    assert len(np.unique(np.round(face[:, :2], 6), axis=0)) > 60  # no two points that could be taken for each other


def test_a_drawn_mirrored_pose_has_left_where_right_was():
    points = np.full((133, 3), (np.nan, np.nan, 0), np.float32)
    points[[5, 7, 9]] = [(50, 20, 1), (55, 35, 1), (50, 50, 1)]  # the signer's left arm
    right = draw_pose(mirror_points(points, 64, COCO_WHOLEBODY_133), 64, 64)
    twin = np.full((133, 3), (np.nan, np.nan, 0), np.float32)
    twin[[6, 8, 10]] = [(13, 20, 1), (8, 35, 1), (13, 50, 1)]
    assert np.array_equal(right, draw_pose(twin, 64, 64))
