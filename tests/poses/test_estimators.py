"""From frames to keypoints: enlarging and bringing back, MediaPipe's landmarks, and SimCC models with known answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import read_poses
from signgen.poses.estimators import ESTIMATORS, extract, open_estimator
from signgen.poses.estimators.base import enlargement
from signgen.poses.estimators.holistic import BODY_LANDMARKS, MAPPING, Holistic, keypoints_of
from signgen.poses.estimators.simcc import MEAN, STD, Crop, SimccModel, decode, followed_box
from signgen.poses.mappings import FACE_68_FROM_MESH
from signgen.poses.parts import part_distances, seen_frames
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.video.reader import open_frames
from tests.poses.estimating import Brightest, dots, spot, write_model


class TestExtract:
    def test_small_frames_are_enlarged_and_coordinates_brought_back(self) -> None:
        """The middle pixel of an enlarged one is its centre, which is that of the pixel itself."""
        estimator = Brightest()
        poses = extract([spot(3, 5), spot(16, 20)], estimator, fps=25)
        assert estimator.sizes == [(60, 78)] * 2
        np.testing.assert_allclose(poses.keypoints[:, 0], [[3, 5, 0.9], [16, 20, 0.9]], rtol=1e-6)
        assert (poses.width, poses.height, poses.fps, poses.notes) == (20, 26, 25, ("a note",))

    def test_other_sizes(self) -> None:
        for side, factor in ((0, 1), (20, 1), (29, 1), (31, 2), (10_000, 8)):
            estimator = Brightest()
            extract([spot(3, 5)], estimator, short_side=side)
            assert estimator.sizes == [(20 * factor, 26 * factor)]
        assert enlargement(1280, 720, 600) == 1

    def test_what_is_not_seen_is_missing(self) -> None:
        poses = extract([spot(3, 5), spot(3, 5, value=90)], Brightest())
        hand = list(LAYOUT.left_hand)
        assert np.isfinite(poses.keypoints[0]).all()
        assert np.isnan(poses.keypoints[1, hand, :2]).all()
        assert (poses.keypoints[1, hand, 2] == 0).all()
        assert poses.present[1].sum() == 133 - 21

    def test_no_frames(self) -> None:
        with pytest.raises(PoseError, match="no frames"):
            extract([], Brightest())


class TestOpening:
    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(PoseError, match="did you mean mediapipe"):
            open_estimator("mediapip")
        with pytest.raises(PoseError, match="one of the two"):
            open_estimator("mediapipe", tmp_path / "x.onnx")
        with pytest.raises(PoseError, match="no such file"):
            open_estimator(model=tmp_path / "x.onnx")

    def test_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(ESTIMATORS, "mediapipe", Brightest)
        assert isinstance(open_estimator(), Brightest)

    def test_without_the_extras(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("mediapipe", "mediapipe.python", "mediapipe.python.solutions", "onnxruntime"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(PoseError, match=r"pip install 'signgen\[pose\]'"):
            open_estimator()
        (tmp_path / "x.onnx").write_bytes(b"x")
        with pytest.raises(PoseError, match=r"pip install 'signgen\[onnx\]'"):
            open_estimator(model=tmp_path / "x.onnx")


def landmarks(count: int, first: float, **more: Any) -> SimpleNamespace:
    """`count` landmarks at x = (first + i) / 1000, y = x / 2."""
    values = (first + np.arange(count)) / 1000
    return SimpleNamespace(landmark=[SimpleNamespace(x=value, y=value / 2, **more) for value in values])


class TestHolistic:
    @pytest.fixture
    def found(self) -> SimpleNamespace:
        return SimpleNamespace(
            pose_landmarks=landmarks(33, 0, visibility=0.7),
            face_landmarks=landmarks(468, 100, visibility=0.0),
            left_hand_landmarks=landmarks(21, 600),
            right_hand_landmarks=landmarks(21, 700),
        )

    @pytest.fixture
    def graph(self, monkeypatch: pytest.MonkeyPatch) -> type:
        """Stands in for MediaPipe's class: notes what it is asked, returns its `found`, talks once as it starts."""

        class Graph:
            calls: ClassVar[list] = []

            def __init__(self, **options: object) -> None:
                self.calls.append(options)
                os.write(2, b"a thread says something\n")

            def process(self, frame: np.ndarray) -> SimpleNamespace:
                self.calls.append(frame.shape)
                return self.found

            def close(self) -> None:
                self.calls.append("closed")

        solutions = ModuleType("mediapipe.python.solutions")
        solutions.holistic = SimpleNamespace(Holistic=Graph)
        for name in ("mediapipe", "mediapipe.python"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, "mediapipe.python.solutions", solutions)
        return Graph

    def test_every_part_has_its_place(self, found: SimpleNamespace) -> None:
        """Fractions of a 1000x2000 frame: x is a landmark's number, less the half pixel to its centre."""
        points = keypoints_of(found, 1000, 2000)
        numbers = points[:, 0] + 0.5
        np.testing.assert_allclose(points[MAPPING.carried, 1], points[MAPPING.carried, 0])
        places = [BODY_LANDMARKS.index(name) for name in ("NOSE", "LEFT_SHOULDER", "RIGHT_WRIST", "LEFT_HEEL")]
        np.testing.assert_allclose(numbers[[0, 5, 10, 19]], places)
        np.testing.assert_allclose(numbers[list(LAYOUT.face)], [100 + np.mean(v) for v in FACE_68_FROM_MESH])
        np.testing.assert_allclose(numbers[list(LAYOUT.left_hand)], 600 + np.arange(21))
        np.testing.assert_allclose(numbers[list(LAYOUT.right_hand)], 700 + np.arange(21))
        assert np.isnan(points[[18, 21], 0]).all()
        np.testing.assert_allclose(points[:17, 2], 0.3 + 0.7 * (0.7 - 0.5) / (1 - 0.5))  # drawn from .5 on
        np.testing.assert_allclose(points[23:, 2], 1)

    @pytest.mark.parametrize(
        ("part", "points"),
        [
            ("pose_landmarks", range(23)),
            ("face_landmarks", LAYOUT.face),
            ("left_hand_landmarks", LAYOUT.left_hand),
            ("right_hand_landmarks", LAYOUT.right_hand),
        ],
    )
    def test_a_part_that_was_not_found_is_missing(self, found: SimpleNamespace, part: str, points: range) -> None:
        setattr(found, part, None)
        there = np.isfinite(keypoints_of(found, 100, 100)[:, 0])
        assert not there[list(points)].any()
        assert there.sum() == 131 - len(points) + (2 if part == "pose_landmarks" else 0)

    def test_names_are_those_of_files(self, testdata: Path) -> None:
        """pose-format writes them from MediaPipe's own enum."""
        from pose_format.pose_header import PoseHeader
        from pose_format.utils.reader import BufferReader

        data = (testdata / "signers/football.mediapipe.pose").read_bytes()
        components = {part.name: part.points for part in PoseHeader.read(BufferReader(data)).components}
        assert tuple(components["POSE_LANDMARKS"]) == BODY_LANDMARKS
        assert [len(components[part]) for part in ("FACE_LANDMARKS", "LEFT_HAND_LANDMARKS")] == [468, 21]

    def test_how_mediapipe_is_used(
        self, found: SimpleNamespace, graph: type, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """In video mode with the model it carries; what its threads say as they start is not shown."""
        estimator = Holistic()
        graph.found = found
        for _ in range(2):
            np.testing.assert_array_equal(
                estimator.estimate(np.zeros((20, 10, 3), np.uint8)), keypoints_of(found, 10, 20)
            )
        estimator.close()
        assert graph.calls == [{"static_image_mode": False, "model_complexity": 1}, (20, 10, 3), (20, 10, 3), "closed"]
        assert capfd.readouterr().err == ""

    def test_what_mediapipe_says_is_shown_where_it_fails(self, graph: type, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(AttributeError):
            Holistic().estimate(np.zeros((20, 10, 3), np.uint8))
        assert "a thread says something" in capfd.readouterr().err

    def test_a_real_signer(self, testdata: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Enlarged as always, against MMPose's keypoints; MediaPipe's own messages stay off the terminal."""
        pytest.importorskip("mediapipe", reason="needs the extra pose: pip install -e '.[pose]'")
        from mediapipe.python.solutions.holistic import PoseLandmark

        assert tuple(landmark.name for landmark in PoseLandmark) == BODY_LANDMARKS
        video = open_frames(testdata / "signers/football.mp4")
        estimator = open_estimator()
        found = extract(video.read(0, 6), estimator, video.fps)
        estimator.close()
        reference = read_poses(testdata / "signers/football.mmpose133.json", size=(640, 360))[:6]
        distances = part_distances(found, reference)
        assert distances["body"] < 0.06
        assert distances["hands"] < 0.08
        assert distances["face"] < 0.02
        assert seen_frames(found)["face"].all()
        assert capfd.readouterr().err == ""


class TestCrop:
    @pytest.mark.parametrize("box", [(0, 0, 640, 360), (100.5, 20, 180, 300)])
    def test_is_the_warp_of_mmpose(self, box: tuple[float, float, float, float]) -> None:
        """There: box to centre and size, size padded and brought to the aspect, three points give the matrix."""
        width, height = 192, 256
        x0, y0, x1, y1 = box
        centre, size = np.array([x0 + x1, y0 + y1]) / 2, np.array([x1 - x0, y1 - y0]) * 1.25
        aspect = width / height
        size = np.array([size[0], size[0] / aspect] if size[0] > size[1] * aspect else [size[1] * aspect, size[1]])
        source = [centre, centre - (0, size[0] / 2), centre - (size[0] / 2, size[0] / 2)]
        target = [(width / 2, height / 2), (width / 2, height / 2 - width / 2), (0, height / 2 - width / 2)]
        matrix = cv2.getAffineTransform(np.float32(source), np.float32(target))
        crop = Crop.around(box, width, height)
        found = np.array([[crop.scale, 0, crop.shift[0]], [0, crop.scale, crop.shift[1]]])
        np.testing.assert_allclose(found, matrix, atol=2e-3)
        points = np.random.default_rng(0).uniform(0, 190, (133, 2))
        np.testing.assert_allclose(crop.to_frame(points), points / (width, height) * size + centre - size / 2)

    def test_decoding(self) -> None:
        x, y = np.zeros((2, 8), np.float32), np.zeros((2, 12), np.float32)
        x[0, 3], y[0, 10], x[1, 7], y[1, 0] = 0.9, 0.4, 0.2, 1.2
        np.testing.assert_allclose(decode(x, y, 2), [[1.5, 5, 0.4], [3.5, 0, 0.2]], rtol=1e-6)

    def test_the_box_that_follows(self) -> None:
        points = np.full((133, 3), (np.nan, np.nan, 0))
        points[5], points[6], points[0] = (60, 40, 0.9), (20, 40, 0.9), (40, 10, 0.31)
        points[91], points[13] = (90, 40, 0.2), (300, 40, 0.9)  # doubted; outside the frame
        assert followed_box(points, 100, 50) == (15, 6.25, 65, 43.75)
        points[1] = (1, 45, 0.9)
        assert followed_box(points, 100, 50) == (0, 5.625, 67.375, 49.375)
        points[6, 2] = 0.1
        assert followed_box(points, 100, 50) is None


class TestSimccModel:
    """A 150x200 input sees a 60x80 frame at twice its size, 15 and 20 px from the corner: pixels are hit exactly."""

    @pytest.fixture(autouse=True)
    def runtime(self) -> None:
        pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")

    def test_known_dots_come_back(self, tmp_path: Path) -> None:
        model = SimccModel(write_model(tmp_path / "m.onnx", 150, 200))
        places = [(7, 11), (50, 23), (31, 70)]
        points = model.estimate(dots(60, 80, *places))
        expected = np.array([places[k % 3] for k in range(133)])
        np.testing.assert_allclose(points[:, :2], expected, atol=1e-6)
        brightest = (255 - MEAN) / STD  # red first
        np.testing.assert_allclose(points[:, 2], brightest[np.arange(133) % 3], rtol=1e-5)

    @pytest.mark.parametrize("size", [(210, 260), (640, 360), (33, 47)])
    def test_at_any_size_within_what_the_input_resolves(self, tmp_path: Path, size: tuple[int, int]) -> None:
        width, height = size
        model = SimccModel(write_model(tmp_path / "m.onnx", 288, 384, input_shape=(1, 3, 384, 288)))
        places = [(width // 3, height // 4), (width // 2, height // 2), (3 * width // 4, 2 * height // 3)]
        frame = cv2.dilate(dots(width, height, *places), np.ones((5, 5), np.uint8))
        frame = cv2.GaussianBlur(frame, (9, 9), 2)
        points = model.estimate(frame)
        pixel = max(1, 1.25 * max(width / 288, height / 384))
        np.testing.assert_allclose(points[:3, :2], places, atol=pixel)

    def test_the_next_frame_is_searched_around_the_person(self, tmp_path: Path) -> None:
        """Shoulders 5 and 6 are the blue and the red dot; a brighter pixel far off is not looked at any more."""
        model = SimccModel(write_model(tmp_path / "m.onnx", 150, 200))
        places = [(20, 20), (28, 30), (36, 36)]
        dim = [cv2.dilate(dots(60, 80, *places, value=240), np.ones((3, 3), np.uint8)) for _ in range(2)]
        dim[1][70:, 50:] = 255
        followed = [model.estimate(frame) for frame in dim][1]
        afresh = SimccModel(tmp_path / "m.onnx").estimate(dim[1])
        np.testing.assert_allclose(followed[:3, :2], places, atol=1.6)
        assert (afresh[:3, 0] >= 49).all()

    @pytest.mark.parametrize(
        ("made", "words"),
        [
            ({"points": 17}, "a model of 17 points"),
            ({"names": ("simcc_x",)}, "two outputs"),
            ({"names": ("columns", "rows")}, "a model of 3 points"),
            ({"along_y": 3}, "entries for 48x64"),
            ({"input_shape": ("batch", 3, "height", "width")}, "of fixed size"),
            ({"input_shape": (4, 3, 64, 48)}, "one input"),
            ({"input_shape": (1, 3, 64, 40)}, "cannot load it"),
            ({"channels": 4}, "does not run"),
        ],
    )
    def test_other_models_are_told_so(
        self, tmp_path: Path, made: dict, words: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = write_model(tmp_path / "m.onnx", 48, 64, **made)
        with pytest.raises(PoseError, match=words) as caught:
            SimccModel(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().err == ""

    def test_outputs_in_the_other_order_are_told_by_name(self, tmp_path: Path) -> None:
        model = SimccModel(write_model(tmp_path / "m.onnx", 150, 200, names=("simcc_y", "simcc_x")))
        points = model.estimate(dots(60, 80, (7, 11), (50, 23), (31, 70)))
        np.testing.assert_allclose(points[0, :2], (7, 11), atol=1e-6)

    @pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 50])
    def test_what_is_no_model(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(PoseError, match="onnxruntime cannot load it"):
            SimccModel(tmp_path / "m.onnx")
