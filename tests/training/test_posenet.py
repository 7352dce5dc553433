"""A pose network of our own: its loss, its augmentation, a tiny training, its card, and the command's refusals."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.corpora.estimate import EstimatorChoice
from signgen.errors import ModelError, OptionError, PairSetError
from signgen.metrics.pose.accuracy import joint_errors
from signgen.models.canvas import Canvas
from signgen.models.heat_maps import gaussian_targets
from signgen.models.posenet_card import load_posenet
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.poses.estimators import extract
from signgen.poses.joints import JOINT_MAPS, POSENET_JOINTS, mirror_of
from signgen.poses.skeletons import COCO_WHOLEBODY_133, OPENPOSE_18
from signgen.synthetic import Take, render_takes
from signgen.synthetic.corpus import write_videos
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.training.data.batches import Sample
from signgen.training.posenet.frames import PoseFrames, mirrored, whole_body
from signgen.training.posenet.recipe import PoseAugmentation, load_posenet_recipe
from signgen.training.posenet.run import PoseNetRequest, PoseNetResult, train_posenet
from signgen.training.posenet.score import part_accuracy
from signgen.training.posenet.stage import PoseModule, heat_map_loss
from tests.line import Command

TINY = (
    *("canvas.width=64", "canvas.height=64", "network.channels=[16, 32, 32]", "training.batch_size=8"),
    *("training.steps=60", "training.warmup=5", "training.validations=6", "training.ema=0.9"),
    *("augmentation.rotate=0", "augmentation.scale=0", "augmentation.shift=2", "heat_maps.sigma=1.0"),
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drawn signer, 24 frames with exact keypoints, the last 6 held out."""
    root = tmp_path_factory.mktemp("posenet")
    take = Take("signer", Identity.random(1, "Signer"), Motion.random(5, 24), (96, 96))
    write_videos(root / "videos", render_takes([take], 1), exact=True)
    build_pairs(BuildPairsRequest(root / "videos", root / "pairs", holdout_tail=0.25))
    return root / "pairs"


@pytest.fixture(scope="module")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> PoseNetResult:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("trained") / "net"
    return train_posenet(PoseNetRequest(pairs, out, overrides=TINY, device="cpu"))


class TestJoints:
    def test_there_are_body_face_and_the_ends_of_all_fingers(self) -> None:
        assert len(set(POSENET_JOINTS)) == len(POSENET_JOINTS) == 13 + 6 + 2 * 11
        tips = {hand.start + tip for hand in (COCO_WHOLEBODY_133.left_hand, COCO_WHOLEBODY_133.right_hand)
                for tip in (4, 8, 12, 16, 20)}  # fmt: skip
        assert tips <= set(POSENET_JOINTS)

    def test_openpose_is_mapped_as_its_mirror_says(self) -> None:
        """Both skeletons know their own left and right."""
        known = JOINT_MAPS["openpose18"]
        for point, joint in enumerate(known):
            if joint >= 0:
                assert known[OPENPOSE_18.mirror[point]] == COCO_WHOLEBODY_133.mirror[joint]
        assert known[OPENPOSE_18.left_shoulder] == COCO_WHOLEBODY_133.left_shoulder
        assert known[0] == 0

    def test_mirroring_exchanges_left_and_right(self) -> None:
        joints = (0, 9, 10, 91 + 8, 112 + 8)
        points = np.array([(20, 5, 1), (3, 7, 1), (50, 9, 0.5), (1, 1, 1), (60, 2, 1)], np.float32)
        image = np.zeros((8, 64, 3), np.uint8)
        image[7, 3] = 255  # the left wrist
        flipped, found = mirrored(image, points, mirror_of(joints))
        expected = [(43, 5, 1), (13, 9, 0.5), (60, 7, 1), (3, 2, 1), (62, 1, 1)]
        np.testing.assert_array_equal(found, np.array(expected, np.float32))
        assert flipped[7, 60].all()  # where the right wrist of the mirrored image is
        np.testing.assert_array_equal(mirrored(flipped, found, mirror_of(joints))[1], points)

    def test_eighteen_points_have_no_hands(self) -> None:
        found = whole_body(np.arange(54, dtype=np.float32).reshape(18, 3))
        np.testing.assert_array_equal(found[9], [21, 22, 23])  # the left wrist is OpenPose's 7
        assert np.isnan(found[91:, :2]).all()


class TestLoss:
    def test_a_missing_joint_contributes_nothing_to_loss_and_gradient(self) -> None:
        torch.manual_seed(0)
        points = torch.tensor([[[10.0, 12.0, 1.0], [30.0, 9.0, 1.0]]])
        missing = points.clone()
        missing[0, 1] = torch.tensor([float("nan"), float("nan"), 0.0])
        maps = torch.rand(1, 2, 8, 8, requires_grad=True)
        loss = heat_map_loss(maps, *gaussian_targets(missing, (8, 8), 4, 1.0), 20.0)
        loss.backward()
        assert maps.grad is not None
        assert not maps.grad[0, 1].any()
        assert maps.grad[0, 0].all()
        alone = heat_map_loss(maps[:, :1], *gaussian_targets(points[:, :1], (8, 8), 4, 1.0), 20.0)
        assert loss.item() == pytest.approx(alone.item())

    def test_it_is_0_where_all_are_missing(self) -> None:
        maps = torch.rand(1, 2, 8, 8, requires_grad=True)
        loss = heat_map_loss(maps, *gaussian_targets(torch.full((1, 2, 3), float("nan")), (8, 8), 4, 1.0), 20.0)
        loss.backward()
        assert loss.item() == 0
        assert maps.grad is not None
        assert not maps.grad.any()

    def test_it_is_the_weighted_mean_of_squares(self) -> None:
        targets, maps = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]]), torch.tensor([[[[0.0, 0.0], [0.5, 0.0]]]])
        loss = heat_map_loss(maps, targets, torch.ones(1, 1, dtype=torch.bool), 4.0)
        assert loss.item() == pytest.approx((5 * 1 + 3 * 0.25 + 1 * 0.25) / 4)


class TestFrames:
    def frames(self, pairs: Path, **augmentation: float) -> PoseFrames:
        return PoseFrames(PairSet.load(pairs), "train", Canvas(64, 64), PoseAugmentation(**augmentation), 0)

    def test_training_and_held_out_frames_share_none(self, pairs: Path) -> None:
        train = self.frames(pairs)
        val = PoseFrames(train.pairs, "val", Canvas(64, 64), PoseAugmentation(), 0, train.joints)
        record = train.pairs.clips[0]
        assert set(train.rows[:, 1]) <= set(record.train_frames)
        assert len(val) > 0
        assert set(val.rows[:, 1]) <= set(record.held_out)
        assert train.joints == POSENET_JOINTS

    def test_points_move_with_the_image(self, pairs: Path) -> None:
        """A network that saw the plain frame's drawing would find the moved points where the marks went."""
        frames = self.frames(pairs, shift=6, rotate=15, scale=0.2, mirror=1.0)
        plain = self.frames(pairs)
        clip, frame = plain.rows[3]
        marked = np.zeros((64, 64, 3), np.uint8)
        wrist = plain.joints.index(9)
        x, y = plain[Sample(0, 3)]["points"][wrist, :2].round().int().tolist()
        marked[y, x] = 255
        frames.images = lambda *_: marked  # type: ignore[assignment]
        frames.points_of = lambda *_: plain.points_of(clip, frame)  # type: ignore[method-assign]
        item = frames[Sample(0, 3)]
        seen = item["image"][0].float()
        row, column = divmod(int(seen.argmax()), 64)
        expected = item["points"][plain.joints.index(10), :2]  # mirrored: it is the right one now
        assert np.hypot(column - expected[0], row - expected[1]) < 1.5

    def test_items_repeat_by_epoch_and_row(self, pairs: Path) -> None:
        frames = self.frames(pairs, shift=6, mirror=0.5, brightness=0.3, contrast=0.3)
        first, again, other = (frames[Sample(epoch, 2)]["image"] for epoch in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


class TestTraining:
    def test_the_loss_falls_and_pck_rises(self, trained: PoseNetResult) -> None:
        def column(kind: str, name: str) -> list[float]:
            with (trained.network / "logs" / f"posenet-{kind}.csv").open() as file:
                return [float(row[name]) for row in csv.DictReader(file)]

        losses, found = column("train", "loss"), column("validation", "hands_found")
        assert losses[-1] < losses[0] / 2
        assert found[-1] > found[0] + 0.2

    def test_its_card_says_what_it_is_and_how_good(self, trained: PoseNetResult, pairs: Path) -> None:
        network, card = load_posenet(trained.network)
        assert card.digest == network.digest
        assert network.joints == card.joints == POSENET_JOINTS
        assert card.data["fingerprint"] == PairSet.load(pairs).fingerprint
        assert (card.steps, card.seed, card.frames, card.signers, card.unseen_signers) == (60, 0, 6, 1, 0)
        assert "shoulder width" in card.definition
        assert card.licence
        assert set(card.accuracy) == {"body", "hands", "face"}
        assert card.accuracy["body"]["found"] > 0.4

    def test_its_numbers_are_those_of_the_pose_metrics(self, trained: PoseNetResult, pairs: Path) -> None:
        """Estimated frame by frame, compared as `evaluate` compares."""
        pair_set = PairSet.load(pairs)
        clip, truth = pair_set.clips[0], pair_set.poses("signer").keypoints
        frames = PoseFrames(pair_set, "val", Canvas(64, 64, "squash", "lanczos"), PoseAugmentation(), 0)
        with closing(EstimatorChoice(posenet=trained.network).open()) as estimator:
            poses = extract(list(pair_set.frames("signer").read(0, clip.num_frames)), estimator)
        errors = joint_errors(poses.keypoints, truth)[frames.rows[:, 1]]
        body = [joint for joint in POSENET_JOINTS if joint < 17]
        known = errors[:, body][np.isfinite(errors[:, body])]
        found = part_accuracy(load_posenet(trained.network)[0], frames, 100)["body"]
        assert found.pck == pytest.approx((known <= 0.1).mean())
        assert found.seen == pytest.approx(known.size / found.points)

    def test_it_goes_on_where_it_was(self, trained: PoseNetResult, pairs: Path, tmp_path: Path) -> None:
        out = Path(shutil.copytree(trained.network, tmp_path / "net"))
        with pytest.raises(ModelError, match="add --resume"):
            train_posenet(PoseNetRequest(pairs, out, device="cpu"))
        with pytest.raises(ModelError, match="differs from the recipe"):
            train_posenet(PoseNetRequest(pairs, out, overrides=("seed=3",), resume=True, device="cpu"))
        again = train_posenet(PoseNetRequest(pairs, out, resume=True, device="cpu"))
        assert again.card == trained.card

    def test_a_seed_gives_other_weights(self, trained: PoseNetResult, pairs: Path, tmp_path: Path) -> None:
        short = (*TINY, "training.steps=2")
        digests = [
            train_posenet(PoseNetRequest(pairs, tmp_path / str(i), overrides=(*short, f"seed={seed}"), device="cpu"))
            for i, seed in enumerate((0, 0, 1))
        ]
        first, same, other = (each.card.digest for each in digests)
        assert first == same != other

    def test_a_damaged_folder_is_named(self, trained: PoseNetResult, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(trained.network, tmp_path / "net"))
        card = json.loads((folder / "posenet.json").read_text())
        (folder / "posenet.json").write_text(json.dumps({**card, "digest": "posenet:0"}))
        with pytest.raises(ModelError, match="as its card says"):
            load_posenet(folder)
        (folder / "posenet.json").write_text("{}")
        with pytest.raises(ModelError, match="is damaged"):
            load_posenet(folder)
        (folder / "posenet.json").unlink()
        with pytest.raises(ModelError, match=r"lacks posenet\.json"):
            load_posenet(folder)
        with pytest.raises(ModelError, match="no such folder"):
            load_posenet(tmp_path / "nothing")


class TestEstimator:
    def test_points_come_back_in_frame_pixels(self, trained: PoseNetResult, pairs: Path) -> None:
        """A frame shown at twice its size gives points twice as far out; what the network does not know is missing."""
        frame = PairSet.load(pairs).frames("signer").read(3, 4)[0]
        twice = frame.repeat(2, 0).repeat(2, 1)
        with closing(EstimatorChoice("own", posenet=trained.network).open()) as estimator:
            small, large = (extract([picture], estimator).keypoints[0] for picture in (frame, twice))
        seen = small[:, 2] >= 0.3
        assert seen.sum() > 10
        np.testing.assert_allclose(large[seen, :2] + 0.5, 2 * (small[seen, :2] + 0.5), atol=4)
        unknown = [point for point in range(133) if point not in POSENET_JOINTS]
        assert np.isnan(small[unknown, :2]).all()
        assert not small[unknown, 2].any()

    def test_options_that_do_not_go_together(self, trained: PoseNetResult) -> None:
        for choice, reason in (
            (EstimatorChoice("own"), "without --posenet"),
            (EstimatorChoice("mediapipe", posenet=trained.network), "--posenet with --estimator mediapipe"),
            (EstimatorChoice(onnx=Path("x"), posenet=trained.network), "--posenet with --onnx"),
            (EstimatorChoice("mediapipe", joints="coco17"), "--joints without --posenet"),
            (EstimatorChoice(posenet=trained.network, joints="coco17"), "its card says them"),
        ):
            with pytest.raises(OptionError, match=reason):
                choice.open()

    def test_a_network_that_taught_a_model_does_not_judge_it(self, trained: PoseNetResult) -> None:
        from signgen.evaluation.clip_poses import PoseRequest

        request = PoseRequest(None, "own", posenet=trained.network)
        assert request.choice.fingerprint() == trained.card.digest
        assert request.estimates
        refused = request.judging("MODEL", (trained.card.digest,))
        assert not refused.estimates
        assert trained.card.digest in refused.refused
        assert request.judging("MODEL", ("posenet:another",)).estimates


class TestCommands:
    def test_extract_and_evaluate(
        self, trained: PoseNetResult, pairs: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
        video = pairs.parent / "videos" / "signer.mp4"
        said = command.works(
            *("poses", "extract", video, tmp_path / "p.poses.npz", "--estimator", "own"),
            *("--posenet", trained.network, "--frames", "0:4"),
        )
        assert "the pose network knows 41 of 133 points" in " ".join(said.split())
        command.works(
            *("evaluate", video, video, "--frames", "0:4", "--out", tmp_path / "r", "--posenet", trained.network)
        )
        mean = json.loads((tmp_path / "r" / "metrics.json").read_text())["mean"]
        assert (mean["body_joint_error"], mean["pck_10"]) == (0, 1)
        call = ("evaluate", video, video, "--frames", "0:4", "--out", tmp_path / "other")
        assert "--joints without --posenet" in command.refuses(*call, "--joints", "coco17")
        assert "no such file or folder" in command.refuses(*call, "--posenet", tmp_path / "nothing")
        assert not (tmp_path / "other").exists()

    def test_a_tiny_training_and_its_refusals(self, pairs: Path, command: Command, tmp_path: Path) -> None:
        settings = [word for override in (*TINY, "training.steps=2") for word in ("--set", override)]
        said = command.works("train-posenet", pairs, "--out", tmp_path / "net", "--device", "cpu", *settings)
        assert f"pose network: {tmp_path / 'net'}" in said.replace("\n", "")
        call = ("train-posenet", pairs, "--out", tmp_path / "other", "--device", "cpu")
        assert "did you mean posenet-nano" in command.refuses(*call, "--config", "posenet-nan")
        assert "did you mean sigma" in command.refuses(*call, "--set", "heat_maps.sigm=1")
        assert "training.share is not of a pose network's" in command.refuses(*call, "--set", "training.share=0.2")
        assert "no multiple of 16" in command.refuses(*call, "--set", "canvas.width=100")
        assert not (tmp_path / "other").exists()

    def test_a_pair_set_without_keypoints_or_held_out_frames(self, pairs: Path, tmp_path: Path) -> None:
        whole = PairSet.load(pairs)
        canvas, none = Canvas(64, 64), PoseAugmentation()
        empty = replace(whole, _table={**whole._table, "val": whole._table["val"][:0]})
        with pytest.raises(PairSetError, match="no val frames"):
            PoseFrames(empty, "val", canvas, none, 0)
        blank = Path(shutil.copytree(pairs, tmp_path / "blank"))
        poses = whole.poses("signer")
        replace(poses, keypoints=np.full_like(poses.keypoints, (np.nan, np.nan, 0))).save(
            blank / "poses" / "signer.poses.npz"
        )
        with pytest.raises(PairSetError, match="no keypoints are seen in its train frames"):
            train_posenet(PoseNetRequest(blank, tmp_path / "net", overrides=TINY, device="cpu"))
        assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("name", ["posenet-nano", "posenet-256"])
def test_shipped_recipes(name: str) -> None:
    recipe = load_posenet_recipe(name)
    assert recipe.name == name
    assert recipe.licence


def test_the_module_takes_what_the_dataset_gives(pairs: Path) -> None:
    from signgen.training.posenet.run import build_posenet

    recipe = load_posenet_recipe("posenet-nano", TINY)
    frames = PoseFrames(PairSet.load(pairs), "train", Canvas(64, 64), recipe.augmentation, 0)
    batch = torch.utils.data.default_collate([frames[Sample(0, row)] for row in range(3)])
    loss = PoseModule(build_posenet(recipe, frames.joints), recipe.heat_maps)(batch)["loss"]
    assert 0 < loss.item() < 1
