"""Every reader on small files made here, and on the real ones."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseSequence, identify, read_poses

SIZE = (200, 100)


def whole_body(shift: float = 0.0) -> np.ndarray:
    """(133, 3): point i at (i + 1 + shift, 2i + 1), score .5."""
    points = np.arange(133)
    return np.stack([points + 1 + shift, 2 * points + 1, np.full(133, 0.5)], 1).astype(np.float32)


def instance(person: np.ndarray) -> dict:
    return {"keypoints": person[:, :2].tolist(), "keypoint_scores": person[:, 2].tolist()}


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


class TestOwn:
    def test_round_trip_keeps_everything(self, tmp_path: Path) -> None:
        keypoints = np.stack([whole_body(), whole_body(5)])
        keypoints[1, 7] = (np.nan, np.nan, 0)
        PoseSequence(keypoints, 210, 260, 25.0).save(tmp_path / "renamed.bin")
        back = read_poses(tmp_path / "renamed.bin", size=(1, 1), fps=3.0)
        np.testing.assert_array_equal(back.keypoints, keypoints)
        assert (back.width, back.height, back.fps) == (210, 260, 25.0)
        assert identify(tmp_path / "renamed.bin").frames == {"": 2}

    def test_same_poses_same_bytes(self, tmp_path: Path) -> None:
        poses = PoseSequence(whole_body()[None], 10, 10)
        poses.save(tmp_path / "a.poses.npz")
        poses.save(tmp_path / "b.poses.npz")
        assert (tmp_path / "a.poses.npz").read_bytes() == (tmp_path / "b.poses.npz").read_bytes()

    def test_npz_of_others_is_not_ours(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", arr=np.zeros(3))
        assert identify(tmp_path / "x.npz") is None


class TestMMPose:
    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_frame_ids_from_0_or_1(self, tmp_path: Path, first: int, wrapped: bool) -> None:
        frames = [{"frame_id": first + i, "instances": [instance(whole_body(i))]} for i in (0, 1, 3)]
        path = write(tmp_path / "p.json", {"meta_info": {}, "instance_info": frames} if wrapped else frames)
        poses = read_poses(path, size=SIZE)
        assert len(poses) == 4
        assert poses.has_person.tolist() == [True, True, False, True]
        np.testing.assert_allclose(poses.keypoints[3], whole_body(3))
        assert identify(path).frames == {"": 4}

    def test_a_frame_without_a_person_and_points_of_score_0(self, tmp_path: Path) -> None:
        person = whole_body()
        person[91:112] = 0
        path = write(
            tmp_path / "p.json", [{"frame_id": 0, "instances": []}, {"frame_id": 1, "instances": [instance(person)]}]
        )
        poses = read_poses(path, size=SIZE)
        assert poses.has_person.tolist() == [False, True]
        assert poses.present[1].sum() == 112
        assert np.isnan(poses.keypoints[1, 91:112, :2]).all()

    def test_several_people_follows_the_one_before(self, tmp_path: Path) -> None:
        left, right = whole_body(), whole_body(1000)
        right[:, 2] = 0.9
        frames = [{"frame_id": 0, "instances": [instance(left)]}]
        frames += [{"frame_id": i, "instances": [instance(right), instance(left)]} for i in (1, 2)]
        poses = read_poses(write(tmp_path / "p.json", frames), size=SIZE)
        np.testing.assert_allclose(poses.keypoints[2], left)
        assert "2 of 3 frames" in poses.notes[0]

    def test_one_of_two_alike_has_to_be_named(self, tmp_path: Path) -> None:
        right = whole_body(1000)
        right[:, 2] = 0.9
        frames = [{"frame_id": 0, "instances": [instance(whole_body()), instance(right)]}]
        path = write(tmp_path / "p.json", frames)
        with pytest.raises(PoseError, match=r"2 people could be the signer.*--person"):
            read_poses(path, size=SIZE)
        for person in ("2", "1050,100", "990,0,1140,270"):
            np.testing.assert_allclose(read_poses(path, size=SIZE, person=person).keypoints[0], right)

    def test_one_image(self, tmp_path: Path) -> None:
        assert len(read_poses(write(tmp_path / "p.json", [instance(whole_body())]), size=SIZE)) == 1

    def test_17_points(self, tmp_path: Path) -> None:
        path = write(tmp_path / "p.json", [{"frame_id": 0, "instances": [instance(whole_body()[:17])]}])
        assert identify(path).points == 17
        assert read_poses(path, size=SIZE).present.sum() == 17

    @pytest.mark.parametrize(
        ("frames", "named"),
        [
            ([{"frame_id": 0, "instances": [instance(whole_body()[:30])]}], "30 keypoints"),
            ([{"frame_id": 0, "instances": []}, {"frame_id": 0, "instances": []}], "occurs twice"),
            ([{"frame_id": "x", "instances": []}], "frame_id 'x'"),
            ([{"frame_id": 0, "instances": []}, {"frame_id": 10**9, "instances": []}], "consecutive"),
            ([{"frame_id": 0, "instances": [{"keypoints": "no"}]}], "not numbers"),
            ([{"frame_id": 0, "instances": [{"bbox": []}]}], "no keypoints"),
        ],
    )
    def test_what_is_wrong_is_named_in_one_line(self, tmp_path: Path, frames: list, named: str) -> None:
        path = write(tmp_path / "p.json", frames)
        with pytest.raises(PoseError, match=named) as caught:
            read_poses(path, size=SIZE)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_needs_the_size(self, tmp_path: Path) -> None:
        path = write(tmp_path / "p.json", [{"frame_id": 0, "instances": [instance(whole_body())]}])
        with pytest.raises(PoseError, match="frame size"):
            read_poses(path)


def dwpose_frame(body_scores: list[float] | None = None) -> dict:
    person = {"body_keypoints": [[i / 20, i / 40] for i in range(18)], "body_scores": body_scores or list(range(18))}
    for name, count in (("face", 68), ("left_hand", 21), ("right_hand", 21)):
        person[f"{name}_keypoints"] = [[0.5, 0.25]] * count
        person[f"{name}_scores"] = [0.8] * count
    return {"num_persons": 1, "person_0": person}


class TestDWPose:
    def test_openpose_order_becomes_coco_and_fractions_pixels(self, tmp_path: Path) -> None:
        write(tmp_path / "d" / "1.json", dwpose_frame())
        write(tmp_path / "d" / "2.json", dwpose_frame())
        poses = read_poses(tmp_path / "d", size=SIZE, fps=24.0)
        assert len(poses) == 2
        assert poses.fps == 24.0
        # OpenPose 4 is the right wrist, COCO 10; OpenPose 15 the left eye, COCO 1.
        np.testing.assert_allclose(poses.keypoints[0, 10], [4 / 20 * 200, 4 / 40 * 100, 1], rtol=1e-6)
        np.testing.assert_allclose(poses.keypoints[0, 1], [15 / 20 * 200, 15 / 40 * 100, 1], rtol=1e-6)
        np.testing.assert_allclose(poses.keypoints[0, 91], [100, 25, 0.8], rtol=1e-6)
        assert not poses.present[0, 17:23].any()

    def test_minus_one_is_missing_and_real_scores_are_kept(self, tmp_path: Path) -> None:
        scores = [0.5] * 18
        scores[4] = -1.0
        poses = read_poses(write(tmp_path / "one.json", dwpose_frame(scores)), size=SIZE)
        assert not poses.present[0, 10]
        assert poses.keypoints[0, 9, 2] == 0.5

    def test_no_body_is_no_person(self, tmp_path: Path) -> None:
        assert not read_poses(write(tmp_path / "one.json", dwpose_frame([-1.0] * 18)), size=SIZE).has_person[0]

    def test_a_stray_frame_is_named(self, tmp_path: Path) -> None:
        write(tmp_path / "d" / "1.json", dwpose_frame())
        write(tmp_path / "d" / "2.json", {"people": []})
        with pytest.raises(PoseError, match=r"2\.json"):
            read_poses(tmp_path / "d", size=SIZE)


def openpose_person(points: int) -> dict:
    person = {"pose_keypoints_2d": [v for i in range(points) for v in (10 * i + 1, 5, 0.7)]}
    person["face_keypoints_2d"] = [v for i in range(70) for v in (i, 1, 0.6)]
    person["hand_left_keypoints_2d"] = [0.0] * 63
    person["hand_right_keypoints_2d"] = []
    return person


class TestOpenPose:
    @pytest.mark.parametrize(("points", "right_wrist", "left_hip"), [(25, 4, 12), (18, 4, 11)])
    def test_both_body_models(self, tmp_path: Path, points: int, right_wrist: int, left_hip: int) -> None:
        write(tmp_path / "o" / "a_000_keypoints.json", {"version": 1.3, "people": [openpose_person(points)]})
        write(tmp_path / "o" / "a_001_keypoints.json", {"version": 1.3, "people": []})
        poses = read_poses(tmp_path / "o", size=SIZE)
        assert poses.has_person.tolist() == [True, False]
        assert poses.keypoints[0, 10, 0] == 10 * right_wrist + 1
        assert poses.keypoints[0, 11, 0] == 10 * left_hip + 1
        assert poses.keypoints[0, 90, 0] == 67
        assert not poses.present[0, 91:].any()
        assert poses.present[0, 17:23].all() == (points == 25)

    def test_another_body_model_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "o" / "a.json", {"people": [openpose_person(15)]})
        with pytest.raises(PoseError, match="15 body points"):
            read_poses(tmp_path / "o", size=SIZE)


class TestPickles:
    @pytest.fixture(params=["plain", "gzip"])
    def mska(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        import torch

        clips = {
            f"train/{name}": torch.from_numpy(np.stack([whole_body(n)] * 3)) for n, name in enumerate(("ann", "bob"))
        }
        data = pickle.dumps({name: {"name": name, "num_frames": 3, "keypoint": t} for name, t in clips.items()})
        path = tmp_path / "Phoenix.train"
        path.write_bytes(gzip.compress(data) if request.param == "gzip" else data)
        return path

    def test_mska(self, mska: Path) -> None:
        file = identify(mska)
        assert (file.format, file.clips, file.points, file.half) == ("mska", ["train/ann", "train/bob"], 133, False)
        for name in ("bob", "train/bob"):
            np.testing.assert_allclose(read_poses(mska, clip=name, size=SIZE).keypoints[2], whole_body(1))

    def test_unknown_clip_names_the_nearest(self, mska: Path) -> None:
        with pytest.raises(PoseError, match="did you mean train/bob"):
            read_poses(mska, clip="train/bobb", size=SIZE)
        with pytest.raises(PoseError, match="--clip"):
            read_poses(mska, size=SIZE)

    @pytest.mark.parametrize("protocol", [2, 4, 5])
    def test_slrt_float16(self, tmp_path: Path, protocol: int) -> None:
        path = tmp_path / "keypoints.pkl"
        array = np.stack([whole_body()] * 2).astype(np.float16)
        path.write_bytes(pickle.dumps({"dev/x": {"keypoints": array}}, protocol=protocol))
        assert identify(path).half
        poses = read_poses(path, clip="x", size=SIZE)
        assert poses.keypoints.dtype == np.float32
        np.testing.assert_allclose(poses.keypoints, array.astype(np.float32))

    def test_one_name_in_two_splits(self, tmp_path: Path) -> None:
        array = np.stack([whole_body()])
        path = tmp_path / "k.pkl"
        path.write_bytes(pickle.dumps({"dev/x": {"keypoints": array}, "train/x": {"keypoints": array}}))
        with pytest.raises(PoseError, match="name the split"):
            read_poses(path, clip="x", size=SIZE)

    def test_another_shape_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "k.pkl"
        path.write_bytes(pickle.dumps({"x": {"keypoints": np.zeros((4, 42, 3))}}))
        with pytest.raises(PoseError, match=r"clip x.*\(4, 42, 3\)"):
            identify(path)


class TestOthers:
    @pytest.mark.parametrize(
        "content", [b"", b"hello", b"{}", b"[]", b"[1, 2]", b'{"a": 1}', bytes(100), b"PK\x03\x04"]
    )
    def test_other_files_are_nothing(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x").write_bytes(content)
        assert identify(tmp_path / "x") is None
        with pytest.raises(PoseError, match="not keypoints of a known format"):
            read_poses(tmp_path / "x", size=SIZE)

    def test_damaged_json_and_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text('[{"frame_id": 0, "inst')
        with pytest.raises(PoseError, match="damaged JSON"):
            identify(tmp_path / "x.json")
        with pytest.raises(PoseError, match="no such file"):
            read_poses(tmp_path / "y.json", size=SIZE)


class TestRealFiles:
    @pytest.mark.parametrize(
        ("path", "clip", "format_name", "frames"),
        [
            ("signers/football.mmpose133.json", None, "mmpose", 62),
            ("signers/human_signer_dwpose", None, "dwpose", 97),
            ("signers/openpose_sample", None, "openpose", 9),
            ("signers/how2sign_openpose/4-3", None, "openpose", 62),
            ("phoenix/keypoints/Phoenix-2014T.train", "clip_b", "mska", 97),
            ("phoenix/keypoints/Phoenix-2014T.train.gz", "clip_b", "mska", 97),
            ("phoenix/keypoints/Phoenix-2014T.test", None, "mska", 49),
            ("phoenix/keypoints/keypoints_hrnet_dark_coco_wholebody.pkl", "clip_b", "slrt", 97),
            ("phoenix/clip_b.mmpose133.json", None, "mmpose", 97),
        ],
    )
    def test_length_and_format(
        self, testdata: Path, path: str, clip: str | None, format_name: str, frames: int
    ) -> None:
        assert identify(testdata / path).format == format_name
        poses = read_poses(testdata / path, clip=clip, size=(1280, 720))
        assert len(poses) == frames
        assert poses.present.mean() > 0.8

    def test_dwpose_lies_on_the_person(self, testdata: Path) -> None:
        """Nose, shoulders, wrists of human_signer as seen in the frames (480x480)."""
        poses = read_poses(testdata / "signers/human_signer_dwpose", size=(480, 480))
        points = poses.keypoints[:96]
        np.testing.assert_allclose(points[0, 0, :2], (228, 123), atol=2)
        np.testing.assert_allclose(points[0, 5, :2], (338, 241), atol=2)  # her left shoulder is right in the picture
        left, right = points[:, 5, 0], points[:, 6, 0]
        assert ((left - right > 150) & (left - right < 260)).all()
        wrists = np.linalg.norm(points[:, [9, 10], :2] - points[:, [91, 112], :2], axis=-1)
        assert np.nanmedian(wrists) < 12
        face = points[:, 23:91, :2].mean(1)
        assert np.linalg.norm(face - points[:, 0, :2], axis=-1).max() < 40
        assert not poses.has_person[96]  # the last frame is black

    def test_containers_of_one_clip_agree(self, testdata: Path) -> None:
        folder = testdata / "phoenix"
        exact = read_poses(folder / "keypoints/Phoenix-2014T.train", size=(210, 260)).keypoints
        packed = read_poses(folder / "keypoints/Phoenix-2014T.train.gz", size=(210, 260)).keypoints
        listed = read_poses(folder / "clip_b.mmpose133.json", size=(210, 260)).keypoints
        half = read_poses(
            folder / "keypoints/keypoints_hrnet_dark_coco_wholebody.pkl", clip="clip_b", size=(210, 260)
        ).keypoints
        np.testing.assert_array_equal(exact, packed)
        np.testing.assert_allclose(exact, listed, atol=1e-3)
        np.testing.assert_allclose(exact, half, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize(
        "path",
        [
            "signers/football.mp4",
            "signers",
            "phoenix/annotations_pkl/phoenix-2014t.dev.gz.pkl",
            "phoenix/skels/dev.files",
            "deepfashion/test_pairs_data.json",
            "deepfashion/fasion-pairs-test.csv",
        ],
    )
    def test_other_files_are_nothing(self, testdata: Path, path: str) -> None:
        assert identify(testdata / path) is None
