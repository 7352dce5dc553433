"""Scores on one scale, frame sizes that files hold, and dialects of one format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseSequence, identify, read_poses
from signgen.poses.parts import seen_frames, visible
from signgen.poses.readers import read_beside
from signgen.poses.scores import ALPHAPOSE, OPENPOSE, PLAIN, on_our_scale, raw_scores
from signgen.poses.sizes import check_size, on_frame
from tests.poses.test_formats import pose_file

SIZE = (640, 480)


def points(count: int, score: float = 0.9, at: float = 100) -> np.ndarray:
    """(count, 3)."""
    index = np.arange(count)
    return np.stack([at + index, at + 2 * index % 200, np.full(count, score)], 1).astype(float)


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def flat(array: np.ndarray) -> list[float]:
    return array.ravel().tolist()


def openpose(score: float = 0.9, scale: float = 1.0, **more: object) -> dict:
    body, face, hand = points(25, score), points(70, score), points(21, score)
    for part in (body, face, hand):
        part[:, :2] *= scale
    person = {"pose_keypoints_2d": flat(body), "face_keypoints_2d": flat(face)}
    person |= {"hand_left_keypoints_2d": flat(hand), "hand_right_keypoints_2d": flat(hand)}
    return {"people": [person], **more}


class TestScores:
    @pytest.mark.parametrize("thresholds", [ALPHAPOSE, OPENPOSE, PLAIN])
    def test_the_threshold_becomes_ours_the_order_stays_and_raw_scores_come_back(self, thresholds) -> None:
        limits = thresholds.per_point()
        np.testing.assert_allclose(on_our_scale(limits, limits), 0.3)
        raw = np.linspace(0, 1.8, 50)[:, None] * np.ones(133)
        ours = on_our_scale(raw, limits)
        assert (np.diff(ours, axis=0) > 0).all()
        np.testing.assert_allclose(raw_scores(ours, limits), raw, atol=1e-12)

    def test_hrnet_scores_are_left_to_the_last_bit(self) -> None:
        scores = np.random.default_rng(0).uniform(0, 1.85, (9, 133)).astype(np.float32).astype(float)
        np.testing.assert_array_equal(on_our_scale(scores, PLAIN.per_point()), scores)

    def test_alphapose_hands_are_seen_from_its_own_threshold_on(self, tmp_path: Path) -> None:
        person = points(136, 0.8)
        person[94:, 2] = 0.15
        path = write(tmp_path / "a", [{"image_id": "0.jpg", "keypoints": flat(person), "score": 3}])
        poses = read_poses(path, size=SIZE)
        assert seen_frames(poses)["left_hand"].all()
        person[94:, 2] = 0.04
        path = write(tmp_path / "b", [{"image_id": "0.jpg", "keypoints": flat(person), "score": 3}])
        poses = read_poses(path, size=SIZE)
        assert not seen_frames(poses)["left_hand"].any()
        assert any("not seen: left hand 100%, right hand 100%" in note for note in poses.notes)
        assert seen_frames(read_poses(path, size=SIZE, seen_from=0.02))["left_hand"].all()

    def test_the_option_shifts_the_other_way_too(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", points(133, 0.5)[None])
        assert visible(read_poses(tmp_path / "a.npy", size=SIZE).keypoints).all()
        assert not visible(read_poses(tmp_path / "a.npy", size=SIZE, seen_from=0.6).keypoints).any()

    def test_alphapose_components_of_a_pose_file_are_read_as_its_json(self, tmp_path: Path) -> None:
        from pose_format.utils.alphapose import AlphaPose_Components

        person = points(136, 0.15).astype(np.float32)
        names = [(component.name, component.points) for component in AlphaPose_Components]
        binary = read_poses(pose_file(tmp_path / "a.pose", names, person[None, None]))
        text = write(tmp_path / "a.json", [{"image_id": "0.jpg", "keypoints": flat(person.astype(float)), "score": 3}])
        np.testing.assert_allclose(binary.keypoints, read_poses(text, size=SIZE).keypoints, rtol=1e-6)


class TestCocoWholeBody:
    def record(self) -> dict:
        parts = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
        return {key: flat(points(count, at=50 + count)) for key, count in parts.items()}

    def test_five_lists_make_133(self, tmp_path: Path) -> None:
        path = write(tmp_path / "r.json", [{"image_id": n, "category_id": 1, **self.record()} for n in (3, 4)])
        assert (identify(path).format, identify(path).points, identify(path).frames) == ("coco-wholebody", 133, {"": 2})
        poses = read_poses(path, size=SIZE)
        assert poses.present.all()
        np.testing.assert_allclose(poses.keypoints[0, [0, 17, 23, 91, 112], 0], [67, 56, 118, 71, 71])

    def test_a_list_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        record = {"image_id": 0, **self.record()}
        del record["face_kpts"]
        poses = read_poses(write(tmp_path / "r.json", [record]), size=SIZE)
        assert poses.present.sum() == 133 - 68
        assert "face (23-90)" in poses.notes[0]

    def test_annotations_hold_the_size_and_the_pictures_names(self, tmp_path: Path) -> None:
        images = [{"id": 9, "file_name": "7.jpg", "width": 640, "height": 480}]
        data = {"images": images, "annotations": [{"image_id": 9, **self.record()}]}
        poses = read_poses(write(tmp_path / "r.json", data), images=["6.png", "7.png"])
        assert (poses.width, poses.height, poses.has_person.tolist()) == (640, 480, [False, True])

    def test_lists_that_nobody_reads_are_named(self, tmp_path: Path) -> None:
        record = {"image_id": 0, "keypoints": flat(points(17)), "hand_kpts": flat(points(42)), "score": 1}
        poses = read_poses(write(tmp_path / "r.json", [record]), size=SIZE)
        assert "points that are not read: hand_kpts" in poses.notes


class TestSpellings:
    """Nested and flat lists of one dialect give one count and the same notes."""

    @staticmethod
    def alike(tmp_path: Path, nested: object, straight: object) -> None:
        files = [write(tmp_path / "nested.json", nested), write(tmp_path / "flat.json", straight)]
        assert identify(files[0]).points == identify(files[1]).points
        first, second = (read_poses(file, size=SIZE) for file in files)
        np.testing.assert_array_equal(first.keypoints, second.keypoints)
        assert first.notes == second.notes

    @pytest.mark.parametrize("count", [17, 133])
    def test_mmpose(self, tmp_path: Path, count: int) -> None:
        xy, scores = points(count)[:, :2], [0.9] * count
        frames = [
            [{"frame_id": 0, "instances": [{"keypoints": value, "keypoint_scores": scores}]}]
            for value in (xy.tolist(), flat(xy))
        ]
        self.alike(tmp_path, *frames)

    @pytest.mark.parametrize("count", [17, 26, 133, 136])
    def test_alphapose(self, tmp_path: Path, count: int) -> None:
        values = points(count).tolist(), flat(points(count))
        self.alike(tmp_path, *([{"image_id": "0.jpg", "keypoints": value, "score": 1}] for value in values))

    @pytest.mark.parametrize("count", [18, 25])
    def test_openpose(self, tmp_path: Path, count: int) -> None:
        values = points(count).tolist(), flat(points(count))
        self.alike(tmp_path, *({"people": [{"pose_keypoints_2d": value}]} for value in values))


class TestSizes:
    def test_the_canvas_is_the_files_own_size(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", openpose(canvas_width=640, canvas_height=480))
        poses = read_poses(path)
        assert (poses.width, poses.height) == (640, 480)
        with pytest.raises(PoseError, match="was estimated on 640x480"):
            check_size(poses, (320, 240), path)

    def test_a_list_of_frames(self, tmp_path: Path) -> None:
        frames = [openpose(canvas_width=640, canvas_height=480) for _ in range(3)]
        frames[1]["people"] = []
        path = write(tmp_path / "a.json", frames)
        assert identify(path).frames == {"": 3}
        assert read_poses(path).has_person.tolist() == [True, False, True]

    def test_two_canvases_are_refused(self, tmp_path: Path) -> None:
        frames = [openpose(canvas_width=640, canvas_height=480), openpose(canvas_width=320, canvas_height=240)]
        with pytest.raises(PoseError, match="frame 1: canvas 320x240; expected 640x480"):
            read_poses(write(tmp_path / "a.json", frames))

    def test_parts_that_are_null_were_not_estimated(self, tmp_path: Path) -> None:
        frame = openpose(canvas_width=640, canvas_height=480)
        frame["people"][0]["face_keypoints_2d"] = frame["people"][0]["hand_left_keypoints_2d"] = None
        assert read_poses(write(tmp_path / "a.json", [frame])).present.sum() == 23 + 21

    def test_scaled_to_the_video_or_refused(self) -> None:
        poses = PoseSequence(np.full((1, 133, 3), 99.5, np.float32), 640, 480)
        scaled = on_frame(poses, (320, 240), "x")
        assert (scaled.width, scaled.keypoints[0, 0, 0]) == (320, 49.5)
        assert "scaled from 640x480" in scaled.notes[0]
        with pytest.raises(PoseError, match=r"would be stretched to 210x260.*signgen poses retarget"):
            on_frame(poses, (210, 260), "x")

    @pytest.mark.parametrize(("start", "stretch"), [(0, 1), (-1, 2)])
    def test_fractions_in_every_json(self, tmp_path: Path, start: float, stretch: float) -> None:
        def fractions(count: int) -> np.ndarray:
            part = points(count)
            part[:, :2] = part[:, :2] / SIZE * stretch + start
            return part

        xy = fractions(17)
        mmpose = [{"frame_id": 0, "instances": [{"keypoints": xy[:, :2].tolist(), "keypoint_scores": [0.9] * 17}]}]
        alphapose = [{"image_id": "0.jpg", "keypoints": flat(xy), "score": 2}]
        coco = [{"image_id": 0, "keypoints": flat(xy), "foot_kpts": flat(fractions(6))}]
        for number, content in enumerate((mmpose, alphapose, coco)):
            poses = read_poses(write(tmp_path / f"{number}.json", content), size=SIZE)
            np.testing.assert_allclose(poses.keypoints[0, :17, :2], points(17)[:, :2], rtol=1e-5)
            assert any("fractions of the frame" in note for note in poses.notes)
        body = {"people": [{"pose_keypoints_2d": flat(fractions(25))}], "canvas_width": 640, "canvas_height": 480}
        poses = read_poses(write(tmp_path / "o.json", body))
        np.testing.assert_allclose(poses.keypoints[0, 0, :2], points(25)[0, :2], rtol=1e-5)


class TestDgsCorpus:
    @pytest.fixture
    def wrapper(self, tmp_path: Path) -> Path:
        def camera(name: str, scale: float) -> dict:
            frames = {str(n): openpose(scale=scale) for n in (0, 1, 3, 10)}
            return {"id": "1413451", "camera": name, "width": 1280, "height": 720, "frames": frames}

        return write(tmp_path / "w.json", [camera("a1", 1), camera("c", 2)])

    def test_a_camera_is_chosen_by_its_name(self, wrapper: Path) -> None:
        assert identify(wrapper).frames == {"a1": 11, "c": 11}
        poses = read_poses(wrapper, clip="c")
        assert (poses.width, poses.height, len(poses), poses.has_person.sum()) == (1280, 720, 11, 4)
        assert poses.keypoints[0, 0, 0] == 200
        for wrong in (None, "b"):
            with pytest.raises(PoseError, match="one of a1, c; choose one with --clip"):
                read_poses(wrapper, clip=wrong)


def test_the_cases(cases: Path) -> None:
    from signgen.video.reader import open_frames

    folder = cases / "openpose-canvas-size"
    poses = read_beside(folder / "clips/walk", open_frames(folder / "clips/walk.mp4"))
    np.testing.assert_allclose(poses.keypoints[:, 0, 0], [120, 130, 140, 150, 160], atol=0.5)
    for name in ("flat.json", "list-of-frames.json"):
        assert (read_poses(folder / name).width, read_poses(folder / name).height) == (640, 480)
    assert read_poses(cases / "coco-wholebody-results/results.json", size=SIZE).present.all()
    halpe = read_poses(cases / "halpe-low-hand-scores/alphapose-results.json", size=SIZE)
    assert all(seen.all() for seen in seen_frames(halpe).values())
