"""AlphaPose, .pose, arrays, .skels and DeepFashion's lists: what each point becomes, and what bad files are told."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseSequence, identify, read_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.mappings import BODY_25, BY_COUNT, FACE_68_FROM_MESH, HALPE_136, OPENPOSE_18, SKELS_50, missing_note
from signgen.poses.parts import part_distances
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

SIZE = (400, 300)


def numbered(points: int, shift: float = 0.0) -> np.ndarray:
    """(points, 3): point i at (2i + 1 + shift, i + 2), score .5."""
    index = np.arange(points)
    return np.stack([2 * index + 1 + shift, index + 2, np.full(points, 0.5)], 1).astype(np.float32)


def refused(path: Path, named: str) -> None:
    """One line that names the file, whichever way it is opened."""
    with pytest.raises(PoseError, match=named) as caught:
        read_poses(path, size=SIZE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class TestMappings:
    def test_every_mapping_fits_its_skeleton(self) -> None:
        for mapping in (*BY_COUNT.values(), SKELS_50):
            assert len(mapping.sources) == 133
            used = [source for sources in mapping.sources for source in sources]
            assert max(used) < mapping.points
            assert mapping.carried == [i for i, sources in enumerate(mapping.sources) if sources]
        assert len(FACE_68_FROM_MESH) == 68
        assert max(max(vertices) for vertices in FACE_68_FROM_MESH) < 468

    def test_no_point_of_another_skeleton_is_used_twice(self) -> None:
        for mapping in BY_COUNT.values():
            used = [source for sources in mapping.sources for source in sources]
            assert len(used) == len(set(used))

    def test_what_stays_missing_is_named(self) -> None:
        assert missing_note(range(133)) == ""
        assert missing_note(i for i in range(133) if i not in (18, *range(23, 91))) == (
            "points this format does not have stay missing: feet 18; face (23-90)"
        )

    def test_a_pair_is_averaged_and_missing_where_one_is(self) -> None:
        from signgen.poses.mappings import Mapping

        mapping = Mapping(3, tuple((0, 1) if i == 0 else (2,) if i == 1 else () for i in range(133)))
        points = np.array([[[0, 2, 0.8], [4, 6, 0.4], [1, 1, 1]], [[0, 2, 0.8], [np.nan, 6, 1], [1, 1, 0]]])
        out = mapping.apply(points)
        np.testing.assert_allclose(out[0, :2], [[2, 4, 0.4], [1, 1, 1]])
        assert np.isnan(out[1, :2, :2]).all()
        assert (out[1, :, 2] == 0).all()


SCALED = "AlphaPose's points count as seen from 0.4 (body), 0.05 (face), 0.05 (hands) on, which becomes 0.3"


def alpha(image: Any, person: np.ndarray, **more: Any) -> dict:
    return {"image_id": image, "keypoints": person.ravel().tolist(), "score": 2.5, **more}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


class TestAlphaPose:
    def test_halpe_136_becomes_133(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", [alpha("0.jpg", numbered(136))])
        assert (identify(path).format, identify(path).points) == ("alphapose", 133)
        poses = read_poses(path, size=SIZE)
        x = poses.keypoints[0, :, 0]
        # Halpe: 20 left big toe, 25 right heel, 26 first of the face, 94 left and 115 right hand.
        assert [x[17], x[22], x[23], x[91], x[112]] == [2 * i + 1 for i in (20, 25, 26, 94, 115)]
        assert poses.notes == (SCALED,)

    def test_two_people_that_swap_order_are_told_apart_by_idx(self, tmp_path: Path) -> None:
        left, right = numbered(133), numbered(133, 5)  # they overlap: only idx can tell
        records = [alpha(f"{i}.jpg", left + np.array([i, 0, 0]), idx=7) for i in range(4)]
        for i in range(3):
            records.insert(2 * i + i % 2, alpha(f"{i}.jpg", right, idx=[3]))
        path = write(tmp_path / "a.json", records)
        poses = read_poses(path, size=SIZE)
        np.testing.assert_allclose(poses.keypoints[:, 0, 0], [1, 2, 3, 4])
        assert poses.notes[0].startswith("several people in 3 of 4 frames: followed 1 (idx 7, 4 frames, ")

    def test_without_idx_the_one_that_overlaps(self, tmp_path: Path) -> None:
        near, far = numbered(133), numbered(133, 9000)
        records = [alpha("0.jpg", near)]
        for i in (1, 2, 3):
            records += [alpha(f"{i}.jpg", p) for p in ((far, near) if i % 2 else (near, far))]
        poses = read_poses(write(tmp_path / "a.json", records), size=SIZE)
        np.testing.assert_allclose(poses.keypoints[:, 0, 0], 1)
        assert "3 of 4 frames" in poses.notes[0]

    @pytest.mark.parametrize("names", [["1.jpg", "2.jpg", "4.jpg"], ["f_000.png", "f_001.png", "f_003.png"], [0, 1, 3]])
    def test_frames_from_0_or_1_with_gaps(self, tmp_path: Path, names: list) -> None:
        path = write(tmp_path / "a.json", [alpha(name, numbered(133)) for name in names])
        assert read_poses(path, size=SIZE).has_person.tolist() == [True, True, False, True]
        assert identify(path).frames == {"": 4}

    def test_names_without_numbers_are_taken_as_they_come(self, tmp_path: Path) -> None:
        names = ["ein bild.x.jpg", "größe.jpg", "../up.jpg"]
        path = write(tmp_path / "a.json", [alpha(name, numbered(133, i)) for i, name in enumerate(names)])
        np.testing.assert_allclose(read_poses(path, size=SIZE).keypoints[:, 0, 0], [1, 2, 3])

    @pytest.mark.parametrize(
        ("records", "named"),
        [
            ([alpha("0.jpg", numbered(100))], "record 0: keypoints are 300 numbers"),
            ([alpha("0.jpg", numbered(133)), {"image_id": "1.jpg"}], "record 1: keypoints are NoneType"),
            ([alpha("0.jpg", numbered(133)), 5], "record 1 has no image_id"),
            ([alpha("0.jpg", numbered(133)), alpha("999999.jpg", numbered(133))], "consecutive"),
            ([{"image_id": "0.jpg", "keypoints": ["x"] * 399}], "not numbers"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, records: list, named: str) -> None:
        refused(write(tmp_path / "a.json", records), named)


def pose_file(path: Path, names: list[tuple[str, list[str]]], points: np.ndarray, version: float = 0.2) -> Path:
    """points: (T, P, K, 3) x, y, confidence. Versions 0.1 and 0.2 by pose-format, 0.0 and 0.1's header by hand."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    if version == 0:
        path.write_bytes(_version_0_0(names, points))
        return path
    components = [PoseHeaderComponent(name, list(listed), [(0, 0)], [(1, 2, 3)], "XYC") for name, listed in names]
    header = PoseHeader(version, PoseHeaderDimensions(400, 300, 0), components)
    with path.open("wb") as handle:
        Pose(header, NumPyPoseBody(25.0, points[..., :2], points[..., 2])).write(handle)
    if version == 0.1:  # float32 fps and uint32 frames became uint16
        data = bytearray(path.read_bytes())
        data[:4] = struct.pack("<f", 0.1)
        at = len(data) - points.size * 4 - 10
        data[at : at + 8] = struct.pack("<HH", 25, len(points))
        path.write_bytes(data)
    return path


def _version_0_0(names: list[tuple[str, list[str]]], points: np.ndarray) -> bytes:
    out = struct.pack("<f4H", 0.0, 400, 300, 0, len(names))
    for name, listed in names:
        out += name.encode() + b"\0XYC\0" + struct.pack("<3H", len(listed), 1, 1)
        out += b"".join(point.encode() + b"\0" for point in listed) + struct.pack("<5H", 0, 0, 1, 2, 3)
    out += struct.pack("<H", len(points))
    for people in points:
        out += struct.pack("<H", len(people))
        out += b"".join(struct.pack("<h", -1) + person.astype("<f4").tobytes() for person in people)
    return out


WHOLE = [
    ("BODY", ["nose", "left_eye", "right_eye", *[f"other{i}" for i in range(18)], "right_small_toe", "right_heel"]),
    ("FACE", [f"face-{i}" for i in range(68)]),
    ("LEFT_HAND", [f"l{i}" for i in range(21)]),
    ("RIGHT_HAND", [f"r{i}" for i in range(21)]),
]


class TestPoseFormat:
    @pytest.mark.parametrize("version", [0.0, 0.1, 0.2])
    def test_versions(self, tmp_path: Path, version: float) -> None:
        points = np.stack([numbered(133, i)[None] for i in range(3)])
        path = pose_file(tmp_path / "x.bin", WHOLE, points, version)
        file = identify(path)
        assert (file.format, file.points, file.frames) == ("pose-format", 115, {"": 3})
        poses = read_poses(path)
        assert (poses.width, poses.height, poses.fps) == (400, 300, 25.0 if version else None)
        kept = [0, 1, 2, 21, 22, *range(23, 133)]
        np.testing.assert_allclose(poses.keypoints[:, kept], points[:, 0, kept])
        assert not poses.present[:, 3:21].any()

    def test_openpose_names(self, tmp_path: Path) -> None:
        names = ["Nose", "Neck", "RShoulder", "LWrist", "MidHip", "LEye", "LBigToe", "RSmallToe", "RHeel"]
        components = [("pose_keypoints_2d", names), ("face_keypoints_2d", [f"F{i}" for i in range(70)])]
        poses = read_poses(pose_file(tmp_path / "x.pose", components, numbered(79)[None, None]))
        x = poses.keypoints[0, :, 0]
        assert [x[t] for t in (0, 6, 9, 1, 17, 21, 22)] == [2 * i + 1 for i in (0, 2, 3, 5, 6, 7, 8)]
        assert [x[23], x[90]] == [2 * 9 + 1, 2 * 76 + 1]

    def test_mesh_is_found_by_the_points_names(self, tmp_path: Path) -> None:
        """A file may hold a part of MediaPipe's 468 points in any order."""
        names = ["4", "132", "58", "75"]
        components = [("POSE_LANDMARKS", ["NOSE", "LEFT_FOOT_INDEX"]), ("FACE_LANDMARKS", names)]
        poses = read_poses(pose_file(tmp_path / "x.pose", components, numbered(6)[None, None]))
        assert np.flatnonzero(poses.present[0]).tolist() == [0, 17, 23 + 3, 23 + 30, 23 + 31]
        np.testing.assert_allclose(poses.keypoints[0, 26], [(7 + 9) / 2, (5 + 6) / 2, 0.3])  # drawn from .5 on
        assert "feet 18, 19" in poses.notes[0]

    def test_several_people(self, tmp_path: Path) -> None:
        near, far = numbered(133), numbered(133, 9000)
        order = [(near, far), (far, near), (near, far)]
        points = np.stack([np.stack(people) for people in order])
        points[0, 0, :, 2] = 0.9
        poses = read_poses(pose_file(tmp_path / "x.pose", WHOLE, points))
        np.testing.assert_allclose(poses.keypoints[:, 0, 0], 1)
        assert "3 of 3 frames" in poses.notes[0]

    def test_nan_and_negative_confidence_are_missing(self, tmp_path: Path) -> None:
        points = numbered(133)[None, None].copy()
        points[0, 0, 30, 0], points[0, 0, 31, 2], points[0, 0, 32, 2] = np.nan, np.nan, -1
        poses = read_poses(pose_file(tmp_path / "x.pose", WHOLE, points))
        assert not poses.present[0, 30:33].any()
        assert (poses.keypoints[0, 30:33, 2] == 0).all()

    @pytest.mark.parametrize("cut", [20, 60, 2000, -1])
    @pytest.mark.parametrize("version", [0.0, 0.2])
    def test_cut_short(self, tmp_path: Path, cut: int, version: float) -> None:
        path = pose_file(tmp_path / "x.pose", WHOLE, numbered(133)[None, None], version)
        path.write_bytes(path.read_bytes()[:cut])
        refused(path, "damaged|ends early")

    @pytest.mark.parametrize(("frames", "people"), [(2**32 - 1, 1), (2**32 - 1, 0), (1, 65535)])
    def test_counts_that_are_not_there_are_not_allocated(self, tmp_path: Path, frames: int, people: int) -> None:
        points = numbered(133)[None, None]
        path = pose_file(tmp_path / "x.pose", WHOLE, points)
        data = bytearray(path.read_bytes())
        at = len(data) - points.size * 4 - 6
        data[at : at + 6] = struct.pack("<IH", frames, people)
        path.write_bytes(data)
        refused(path, "ends early|of 0 people")

    def test_unknown_components_are_named(self, tmp_path: Path) -> None:
        refused(pose_file(tmp_path / "x.pose", [("TAIL", ["tip"])], numbered(1)[None, None]), "frames of TAIL")


class TestDeepFashion:
    def test_text_is_on_a_padded_frame(self, tmp_path: Path) -> None:
        rows = [(40 + i, 10 * i) for i in range(18)]
        rows[4] = (-1, -1)
        path = tmp_path / "01_1_front.txt"
        path.write_text("\r\n".join(f"{x:.18e} {y:.18e}" for x, y in rows))
        poses = read_poses(path, size=(750, 1101))
        for point in (1, 2, 5):
            expected = [point * 750 / 176, 10 * point * 1101 / 256, 1]
            np.testing.assert_allclose(poses.keypoints[0, point], expected, rtol=1e-6)
        assert np.flatnonzero(~poses.present[0]).tolist() == [4]
        # OpenPose 5 is the left shoulder, COCO 5; 2 the right one, COCO 6; 4 the right wrist, COCO 10.
        whole = to_skeleton(poses, LAYOUT.name)
        np.testing.assert_array_equal(whole.keypoints[0, 5:7], poses.keypoints[0, [5, 2]])
        assert np.flatnonzero(~whole.present[0, :17]).tolist() == [10]
        assert not whole.present[0, 17:].any()
        assert "face (23-90)" in whole.notes[0]
        assert (read_poses(path).width, read_poses(path).height) == (176, 256)

    @pytest.mark.parametrize("change", [lambda r: r[:17], lambda r: [*r, "1 1"], lambda r: ["1 2 3", *r[1:]]])
    def test_other_tables_are_nothing(self, tmp_path: Path, change: Any) -> None:
        (tmp_path / "x.txt").write_text("\n".join(change(["1 2"] * 18)))
        assert identify(tmp_path / "x.txt") is None

    @staticmethod
    def csv(path: Path, rows: list[str], *, bom: bool = True, newline: str = "\r\n") -> Path:
        text = newline.join(["name:keypoints_y:keypoints_x", *rows]) + newline
        path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
        return path

    @pytest.mark.parametrize("bom", [False, True])
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    @pytest.mark.parametrize(
        "name",
        ["fasionA.jpg", "with space.jpg", "a.b.c.jpg", "größe_日.jpg", "../../up.jpg", "a: b.jpg", "e\u0301.jpg"],
    )
    def test_csv(self, tmp_path: Path, bom: bool, newline: str, name: str) -> None:
        y, x = [10 * i for i in range(18)], [5 + i for i in range(18)]
        y[3] = x[3] = -1
        path = self.csv(tmp_path / "l.csv", [f"other.jpg: {y}: {y}", f"{name}: {y}: {x}"], bom=bom, newline=newline)
        assert identify(path).frames == {"other.jpg": 1, name: 1}
        poses = read_poses(path, clip=name, size=(352, 512))
        np.testing.assert_allclose(poses.keypoints[0, 0], [10, 0, 1])
        np.testing.assert_allclose(poses.keypoints[0, 5], [20, 100, 1])
        assert np.flatnonzero(~poses.present[0]).tolist() == [3]
        assert poses.notes[0] == "annotated on 176x256"
        assert [p.name for p in tmp_path.iterdir()] == ["l.csv"]

    def test_market(self, tmp_path: Path) -> None:
        path = self.csv(tmp_path / "m.csv", [f"0002_c1s1_000451_03.jpg: {[100] * 18}: {[32] * 18}"])
        poses = read_poses(path)
        assert (poses.width, poses.height, poses.notes[0]) == (64, 128, "annotated on 64x128")
        np.testing.assert_allclose(poses.keypoints[0, 0], [32, 100, 1])

    @pytest.mark.parametrize(("stray", "frame"), [(0, "176x256"), (1, "176x256"), (200, "256x256")])
    def test_csv_on_the_padded_square(self, tmp_path: Path, stray: int, frame: str) -> None:
        """Points beyond 176 make it the square, whose image starts at 40; one in ten thousand does not."""
        rows = [f"{n}.jpg: {[100] * 18}: {[180 if n < stray else 80] * 18}" for n in range(2000)]
        poses = read_poses(self.csv(tmp_path / "l.csv", rows), clip="1999.jpg", size=(1760, 2560))
        left = 40 if frame == "256x256" else 0
        np.testing.assert_allclose(poses.keypoints[0, 0], [(80 - left) * 10, 1000, 1])
        assert poses.notes == (f"annotated on {frame}",)

    @pytest.mark.parametrize(
        ("row", "named"),
        [
            ("a.jpg", "line 2: 1 fields"),
            ("a.jpg: [1]: [2]", "line 2: lists of shape"),
            (f"a.jpg: {[1] * 18}: [x", "line 2: not lists"),
            (f"a.jpg: {[1] * 18}: {['1e999'] * 18}".replace("'", ""), "no image|read"),
            ("", "no images"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path: Path, row: str, named: str) -> None:
        path = self.csv(tmp_path / "l.csv", [row])
        if "1e999" in row:
            assert not read_poses(path).has_person[0]
        else:
            refused(path, named)

    def test_one_name_with_two_poses(self, tmp_path: Path) -> None:
        path = self.csv(tmp_path / "l.csv", [f"a.jpg: {[v] * 18}: {[v] * 18}" for v in (1, 2)])
        refused(path, "line 3: a.jpg occurs twice")


class TestArrays:
    @pytest.mark.parametrize("points", sorted(BY_COUNT))
    @pytest.mark.parametrize("columns", [2, 3])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
    def test_every_skeleton(self, tmp_path: Path, points: int, columns: int, dtype: type) -> None:
        array = np.stack([numbered(points), numbered(points, 1)])
        array[..., 2] = 1
        np.save(tmp_path / "x.npy", array[..., :columns].astype(dtype))
        file, poses = identify(tmp_path / "x.npy"), read_poses(tmp_path / "x.npy", size=SIZE)
        assert (file.format, file.points, file.half) == ("array", len(BY_COUNT[points].carried), dtype == np.float16)
        np.testing.assert_allclose(poses.keypoints, BY_COUNT[points].apply(array), rtol=2**-11)

    def test_fractions_of_the_frame(self, tmp_path: Path) -> None:
        array = np.full((2, 17, 3), (0.25, 1.2, 0.9))
        np.savez_compressed(tmp_path / "x.npz", whatever=array)
        poses = read_poses(tmp_path / "x.npz", size=SIZE)
        np.testing.assert_allclose(poses.keypoints[0, 0], [100, 360, 0.9], rtol=1e-6)
        assert poses.notes[0] == "fractions of the frame, 0 to 1; the third column was taken as the score"

    def test_missing_points(self, tmp_path: Path) -> None:
        array = np.full((1, 17, 2), 9.0)
        array[0, :4] = [(0, 0), (-1, -1), (np.nan, 5), (np.inf, 5)]
        np.save(tmp_path / "x.npy", array)
        assert np.flatnonzero(~read_poses(tmp_path / "x.npy", size=SIZE).present[0, :17]).tolist() == [0, 1, 2, 3]

    def test_scores_beside_and_several_clips(self, tmp_path: Path) -> None:
        array = numbered(133)[None]
        np.savez(tmp_path / "x.npz", keypoints=array[..., :2], scores=array[..., 2])
        np.testing.assert_allclose(read_poses(tmp_path / "x.npz", size=SIZE).keypoints, array)
        np.savez(tmp_path / "y.npz", **{"train/a b": array, "train/../c": array + 1, "lengths": np.arange(3)})
        assert identify(tmp_path / "y.npz").frames == {"train/a b": 1, "train/../c": 1}
        assert read_poses(tmp_path / "y.npz", clip="../c", size=SIZE).keypoints[0, 0, 0] == 2

    @pytest.mark.parametrize(
        "array",
        [np.zeros((3, 133)), np.zeros((0, 133, 3)), np.zeros((2, 99, 3)), np.zeros((2, 133, 4)), np.array(["x"] * 3)],
    )
    def test_other_arrays_are_nothing(self, tmp_path: Path, array: np.ndarray) -> None:
        np.save(tmp_path / "x.npy", array)
        assert identify(tmp_path / "x.npy") is None

    def test_objects_are_never_unpickled(self, tmp_path: Path) -> None:
        import os

        class Runs:
            def __reduce__(self) -> tuple:
                return os.system, (f"touch {tmp_path / 'ran'}",)

        np.save(tmp_path / "x.npy", np.array([[[Runs()] * 3] * 133], object), allow_pickle=True)
        np.savez(tmp_path / "x.npz", keypoints=np.array([[[Runs()] * 3] * 133], object))
        for name in ("x.npy", "x.npz"):
            assert identify(tmp_path / name) is None
        assert not (tmp_path / "ran").exists()

    def test_a_header_that_promises_too_much(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros((1, 133, 3), np.float32))
        data = (tmp_path / "x.npy").read_bytes().replace(b"(1, 133, 3), }         ", b"(999999999, 133, 3), } ")
        (tmp_path / "x.npy").write_bytes(data)
        refused(tmp_path / "x.npy", "there are 1596")

    def test_a_zip_bomb(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "x.npz", keypoints=np.zeros((20_000, 133, 3)))
        refused(tmp_path / "x.npz", "zip bomb")

    def test_another_zip_is_nothing_however_well_it_packs(self, tmp_path: Path) -> None:
        import zipfile

        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("text.txt", " " * (4 << 20))
        assert identify(tmp_path / "x.zip") is None

    def test_own_file_with_infinite_points_is_damaged(self, tmp_path: Path) -> None:
        poses = PoseSequence(numbered(133)[None], 40, 30)
        poses.keypoints[0, 0, 0] = np.inf
        poses.save(tmp_path / "x.poses.npz")
        refused(tmp_path / "x.poses.npz", "damaged")


def skels_line(frames: int, seed: int = 0) -> str:
    joints = np.random.default_rng(seed).uniform(-0.4, 0.4, (frames, 150))
    joints[:, 3:6] = 0  # the neck
    rows = np.hstack([joints, np.linspace(0, 1, frames)[:, None]])
    return " ".join(f"{value:.5f}" for value in rows.ravel())


class TestSkels:
    def test_joints_and_place(self, tmp_path: Path) -> None:
        line = skels_line(4)
        (tmp_path / "x.skels").write_text(line + "\n")
        poses = read_poses(tmp_path / "x.skels")
        assert (poses.width, poses.height, len(poses)) == (650, 650, 4)
        joints = np.array(line.split(), float).reshape(4, 151)[:, :150].reshape(4, 50, 3)
        for point, joint in {0: 0, 5: 2, 7: 3, 9: 29, 6: 5, 8: 6, 10: 8, 91: 29, 111: 49, 112: 8, 132: 28}.items():
            expected = joints[:, joint, :2] * 720 + (325, 250)
            np.testing.assert_allclose(poses.keypoints[:, point, :2], expected, rtol=1e-5)
        assert np.flatnonzero(poses.present[0]).tolist() == SKELS_50.carried
        assert "retarget" in poses.notes[0]
        half = read_poses(tmp_path / "x.skels", size=(650, 325))
        np.testing.assert_allclose(half.keypoints[0, 0, :2], joints[0, 0, :2] * 360 + (325, 125), rtol=1e-5)

    def test_names_are_beside_it(self, tmp_path: Path) -> None:
        path = tmp_path / "dev.skels"
        path.write_text(skels_line(2) + "\n" + skels_line(3, 1) + "\n")
        assert identify(path).frames == {"1": 2, "2": 3}
        (tmp_path / "dev.files").write_bytes("\ufeffdev/a b\r\ndev/größe.x\r\n".encode())
        path.write_text(skels_line(2) + "\n" + skels_line(4, 1) + "\n")
        assert identify(path).frames == {"dev/a b": 2, "dev/größe.x": 4}
        assert len(read_poses(path, clip="größe.x")) == 4

    def test_padding_and_words_in_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "x.skels"
        path.write_text(skels_line(2) + " " + " ".join(["0.0"] * 151))
        assert read_poses(path).has_person.tolist() == [True, True, False]
        path.write_text(skels_line(2) + "\n" + skels_line(2).replace("0", "x", 1))
        with pytest.raises(PoseError, match="not all numbers"):
            read_poses(path, clip="2")
        path.write_text(skels_line(2) + "\n" + skels_line(2) + " 1 2 3")
        refused(path, "line 2: 305 numbers")

    def test_an_array_of_50_joints_is_placed_alike(self, tmp_path: Path) -> None:
        line = skels_line(2)
        (tmp_path / "x.skels").write_text(line)
        np.save(tmp_path / "x.npy", np.array(line.split(), float).reshape(2, 151)[:, :150].reshape(2, 50, 3))
        np.testing.assert_allclose(
            read_poses(tmp_path / "x.npy", size=SIZE).keypoints, read_poses(tmp_path / "x.skels", size=SIZE).keypoints
        )


class TestRealFiles:
    def test_pose_file_and_json_of_one_clip_agree(self, testdata: Path) -> None:
        packed = read_poses(testdata / "signers/football.mmpose133.pose")
        listed = read_poses(testdata / "signers/football.mmpose133.json", size=(640, 360))
        np.testing.assert_allclose(packed.keypoints, listed.keypoints, atol=1e-3)
        assert (packed.width, packed.height) == (640, 360)
        assert abs(packed.fps - 29.97) < 1e-4

    def test_openpose_0_0_agrees_with_its_json(self, testdata: Path) -> None:
        packed = read_poses(testdata / "signers/openpose_sample.pose", size=(1280, 720))
        listed = read_poses(testdata / "signers/openpose_sample", size=(1280, 720))
        np.testing.assert_allclose(packed.keypoints, listed.keypoints, atol=1e-3)
        assert (packed.width, packed.height, packed.fps) == (1280, 720, None)

    def test_mediapipe_lies_on_mmpose(self, testdata: Path) -> None:
        """Mean distances in shoulder widths: measured body .039, hands .049, face .010."""
        mediapipe = read_poses(testdata / "signers/football.mediapipe.pose")
        mmpose = read_poses(testdata / "signers/football.mmpose133.json", size=(640, 360))
        found = part_distances(mediapipe, mmpose)
        assert found["body"] < 0.045
        assert found["hands"] < 0.065
        assert found["face"] < 0.015
        face = list(LAYOUT.face)  # no point of the face is another
        shoulders = np.linalg.norm(mmpose.keypoints[:, 5, :2] - mmpose.keypoints[:, 6, :2], axis=-1)[:, None]
        gaps = np.linalg.norm(mediapipe.keypoints[:, face, :2] - mmpose.keypoints[:, face, :2], axis=-1) / shoulders
        assert np.nanmean(gaps, 0).max() < 0.04

    def test_signs_more_with_the_right_hand(self, testdata: Path) -> None:
        """Left and right of .skels: the signer of 25 October signs with his right, which is left in the picture."""
        skels = read_poses(testdata / "phoenix/skels/dev.skels", clip="25October_2010_Monday_tagesschau-22")
        video = read_poses(testdata / "phoenix/25October_2010_Monday_tagesschau-17.mediapipe.pose")
        for poses in (skels, video):
            left, right = poses.keypoints[:, 9, :2], poses.keypoints[:, 10, :2]
            assert np.nanmedian(right[:, 0]) < np.nanmedian(left[:, 0])
            assert np.nanmedian(right[:, 1]) < np.nanmedian(left[:, 1]) - 0.2 * shoulder_width(poses)

    def test_deepfashion_text_lies_on_what_its_authors_drew(self, testdata: Path) -> None:
        import cv2

        files = sorted((testdata / "deepfashion/pose").rglob("*.txt"))
        assert len(files) >= 6
        for path in files:
            drawn = cv2.imread(
                str(testdata / "deepfashion/pose_img" / path.relative_to(testdata / "deepfashion/pose"))[:-4] + ".jpg"
            )
            points = read_poses(path, size=(drawn.shape[1], drawn.shape[0])).keypoints[0]
            inside = [p for p in np.round(points[np.isfinite(points[:, 0]), :2]).astype(int) if p[1] < drawn.shape[0]]
            assert len(inside) >= 6
            assert all(drawn[y, x].max() > 60 for x, y in inside), path

    def test_gfla_list(self, testdata: Path) -> None:
        path = testdata / "deepfashion/fasion-annotation-test.csv"
        file = identify(path)
        assert (file.format, file.points, len(file.frames)) == ("gfla", 18, 4061)
        poses = read_poses(path, clip="fasionWOMENDressesid0000553705_4full.jpg")
        np.testing.assert_allclose(poses.keypoints[0, 0], [129, 24, 1])
        np.testing.assert_allclose(poses.keypoints[0, 2], [103, 49, 1])
        assert (poses.skeleton, poses.width, poses.height) == ("openpose-18", 256, 256)
        scaled = read_poses(path, clip="fasionWOMENDressesid0000553705_4full.jpg", size=(750, 1101))
        np.testing.assert_allclose(scaled.keypoints[0, 2, :2], [(103 - 40) * 750 / 176, 49 * 1101 / 256], rtol=1e-6)

    def test_a_part_of_the_mesh(self, testdata: Path) -> None:
        poses = read_poses(testdata / "formats/pizza.pose")
        assert (len(poses), poses.width, poses.fps) == (53, 500, 24.0)
        assert "body 0, 1, 2, 3, 4, 13, 14, 15, 16" in poses.notes[0]


def shoulder_width(poses: PoseSequence) -> float:
    return float(np.nanmedian(np.linalg.norm(poses.keypoints[:, 5, :2] - poses.keypoints[:, 6, :2], axis=-1)))


def test_mappings_of_openpose_agree_with_each_other() -> None:
    """BODY_25 without its middle hip and feet is the 18-point order up to the face, whose points come later."""
    assert [s for (s,) in BODY_25.sources[5:11]] == [s for (s,) in OPENPOSE_18.sources[5:11]]
    assert HALPE_136.sources[:17] == BY_COUNT[17].sources[:17]
