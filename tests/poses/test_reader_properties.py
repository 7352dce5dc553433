"""Properties that hold for any keypoints in any format: what is written comes back, and other bytes end in one line."""

from __future__ import annotations

import gzip
import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from signgen.errors import SigngenError
from signgen.poses import PoseSequence, Wanted, identify, read_file, read_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.mappings import BY_COUNT, OPENPOSE_18, SKELS_50
from signgen.poses.readers import READERS
from signgen.poses.readers.base import mark_missing
from signgen.poses.scores import ALPHAPOSE, OPENPOSE, PLAIN, Thresholds, on_our_scale
from tests.poses.test_formats import WHOLE, pose_file

SIZE = (640, 360)
quick = settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Scores of real estimators lie in 0..2; NaN, negative and infinite ones occur in damaged files.
COORDINATES = st.one_of(st.floats(-100, 1000, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))
SCORES = st.one_of(st.floats(np.float32(0.01), 2, width=32), st.sampled_from([0.0, -1.0, np.nan, np.inf]))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), min_size=1, max_size=20).map(str.strip)
NAMES = st.one_of(NAMES, st.sampled_from(["a b", "x.y.z", "größe", "../../up", "日本", "a:b"])).filter(bool)


@st.composite
def people(draw: st.DrawFn, points: int = 133) -> np.ndarray:
    """float32 (T, points, 3): one person who moves a little, with a few odd values among ordinary ones."""
    frames = draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    drawn = np.tile(rng.uniform((0, 0, 0.05), (640, 360, 1.8), (1, points, 3)), (frames, 1, 1)).astype(np.float32)
    drawn[..., :2] += rng.uniform(0, 20, (frames, points, 2)).astype(np.float32)
    for _ in range(draw(st.integers(0, 6))):
        where = draw(st.integers(0, frames - 1)), draw(st.integers(0, points - 1))
        drawn[where] = draw(COORDINATES), draw(COORDINATES), draw(SCORES)
    return drawn


def in_folder(use: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        use(Path(folder))


def finite_json(value: np.ndarray) -> list:
    return value.astype(float).tolist()  # json writes NaN and Infinity, as numpy's users do


def write_mmpose(path: Path, keypoints: np.ndarray) -> None:
    frames = [
        {"frame_id": i, "instances": [{"keypoints": finite_json(p[:, :2]), "keypoint_scores": finite_json(p[:, 2])}]}
        for i, p in enumerate(keypoints)
    ]
    path.write_text(json.dumps(frames))


def write_alphapose(path: Path, keypoints: np.ndarray) -> None:
    path.write_text(
        json.dumps([{"image_id": f"{i}.jpg", "keypoints": finite_json(p.ravel())} for i, p in enumerate(keypoints)])
    )


def write_mska(path: Path, keypoints: np.ndarray) -> None:
    import torch

    path.write_bytes(pickle.dumps({"x": {"keypoint": torch.from_numpy(keypoints)}}))


def write_slrt(path: Path, keypoints: np.ndarray) -> None:
    path.write_bytes(gzip.compress(pickle.dumps({"train/x": {"keypoints": keypoints}})))


def write_array(path: Path, keypoints: np.ndarray) -> None:
    with path.open("wb") as handle:
        np.savez(handle, any=keypoints)


def rescaled(keypoints: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """What comes back of (T, 133, 3) that an estimator with these thresholds wrote."""
    expected = mark_missing(keypoints, np.float64)
    expected[..., 2] = on_our_scale(expected[..., 2], thresholds.per_point())
    return mark_missing(expected)


WRITERS = {
    "mmpose": write_mmpose,
    "alphapose": write_alphapose,
    "mska": write_mska,
    "slrt": write_slrt,
    "array": write_array,
}


@pytest.mark.parametrize("name", sorted(WRITERS))
@quick
@given(keypoints=people())
def test_what_was_written_comes_back(name: str, keypoints: np.ndarray) -> None:
    """Missing points become NaN with score 0; all others are the same float32."""

    def check(folder: Path) -> None:
        path = folder / "no suffix"
        WRITERS[name](path, keypoints)
        assert identify(path).format == name
        poses = read_poses(path, size=SIZE)
        np.testing.assert_array_equal(poses.keypoints, rescaled(keypoints, ALPHAPOSE if name == "alphapose" else PLAIN))
        assert poses.is_clean

    in_folder(check)


@pytest.mark.parametrize("version", [0.0, 0.1, 0.2])
@quick
@given(keypoints=people())
def test_pose_files(version: float, keypoints: np.ndarray) -> None:
    def check(folder: Path) -> None:
        poses = read_poses(pose_file(folder / "x", WHOLE, keypoints[:, None], version))
        kept = [0, 1, 2, 21, 22, *range(23, 133)]
        np.testing.assert_array_equal(poses.keypoints[:, kept], mark_missing(keypoints)[:, kept])

    in_folder(check)


@quick
@given(keypoints=people(), fps=st.one_of(st.none(), st.floats(1, 240)), width=st.integers(1, 65535))
def test_own_file(keypoints: np.ndarray, fps: float | None, width: int) -> None:
    def check(folder: Path) -> None:
        PoseSequence(mark_missing(keypoints), width, 7, fps).save(folder / "x")
        back = read_poses(folder / "x")
        np.testing.assert_array_equal(back.keypoints, mark_missing(keypoints))
        assert (back.width, back.height, back.fps) == (width, 7, fps)

    in_folder(check)


@pytest.mark.parametrize("count", [18, 25])
@quick
@given(data=st.data())
def test_openpose(count: int, data: st.DataObject) -> None:
    keypoints = data.draw(people(count))

    def check(folder: Path) -> None:
        for i, person in enumerate(keypoints):
            frame = {"people": [{"pose_keypoints_2d": finite_json(person.ravel())}]}
            (folder / f"{i}_keypoints.json").write_text(json.dumps(frame))
        poses = read_poses(folder, size=SIZE)
        np.testing.assert_array_equal(poses.keypoints, rescaled(BY_COUNT[count].apply(keypoints), OPENPOSE))

    in_folder(check)


@quick
@given(keypoints=people(127), size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
def test_dwpose_is_in_fractions_of_any_size(keypoints: np.ndarray, size: tuple[int, int]) -> None:
    unit = mark_missing(keypoints) / np.float32([640, 360, 1])
    unit[np.isnan(unit[..., 0])] = (-1, -1, 0)
    body, rest = np.concatenate([unit[:, :17], unit[:, 16:17]], 1), unit[:, 17:]

    def check(folder: Path) -> None:
        for i in range(len(unit)):
            parts = {"body": body[i], "face": rest[i, :68], "left_hand": rest[i, 68:89], "right_hand": rest[i, 89:]}
            person = {f"{name}_keypoints": part[:, :2].tolist() for name, part in parts.items()}
            person |= {f"{name}_scores": part[:, 2].tolist() for name, part in parts.items()}
            (folder / f"{i}.json").write_text(json.dumps({"num_persons": 1, "person_0": person}))
        poses = read_poses(folder, size=size)
        assert poses.keypoints.shape == (len(unit), 133, 3)
        expected = rest[..., :2].astype(float) * size
        there = np.isfinite(poses.keypoints[:, 23:, 0])
        np.testing.assert_array_equal(there, rest[..., 2] > 0)
        np.testing.assert_allclose(poses.keypoints[:, 23:, :2][there], expected[there], rtol=1e-5)

    in_folder(check)


@quick
@given(points=hnp.arrays(np.int64, (18, 2), elements=st.integers(-1, 255)), name=NAMES, bom=st.booleans())
def test_deepfashion(points: np.ndarray, name: str, bom: bool) -> None:
    missing = (points == -1).any(1)
    expected = np.where(missing[:, None], (np.nan, np.nan, 0), np.hstack([points, np.ones((18, 1))]))
    narrow = np.minimum(points, (175, 255))  # beyond 176, a list is one on the padded square

    def check(folder: Path) -> None:
        (folder / "one").write_text("\n".join(f"{x:.18e} {y:.18e}" for x, y in points))
        poses = read_poses(folder / "one", size=(176 * 2, 256 * 3))
        np.testing.assert_allclose(poses.keypoints[0], (expected - (40, 0, 0)) * (2, 3, 1), rtol=1e-5)
        assert poses.skeleton == "openpose-18"
        row = f"{name}: {narrow[:, 1].tolist()}: {narrow[:, 0].tolist()}\r\n"
        rows = f"first.jpg: {[200] * 18}: {[100] * 18}\r\n{row}"
        text = ("\ufeff" if bom else "") + "name:keypoints_y:keypoints_x\r\n" + rows
        (folder / "list").write_bytes(text.encode())
        listed = read_poses(folder / "list", clip=name, size=(176 * 2, 256 * 3))
        clipped = np.hstack([np.minimum(expected[:, :2], (175, 255)), expected[:, 2:]])
        np.testing.assert_allclose(listed.keypoints[0], clipped * (2, 3, 1), rtol=1e-5)
        whole = to_skeleton(listed, "coco-wholebody-133")
        np.testing.assert_allclose(whole.keypoints, OPENPOSE_18.apply(listed.keypoints), rtol=1e-6)

    in_folder(check)


@quick
@given(joints=hnp.arrays(np.float32, (3, 50, 3), elements=st.floats(-1, 1, width=32)))
def test_skels(joints: np.ndarray) -> None:
    def check(folder: Path) -> None:
        rows = np.hstack([joints.reshape(3, 150), np.linspace(0, 1, 3)[:, None]])
        (folder / "x").write_text(" ".join(f"{v:.9g}" for v in rows.ravel()))
        poses = read_poses(folder / "x")
        there = (joints[..., :2] != 0).any(-1)
        placed = np.concatenate([joints[..., :2] * 720.0 + (325, 250), there[..., None]], -1)
        np.testing.assert_allclose(poses.keypoints, SKELS_50.apply(placed), rtol=1e-4, atol=1e-4)

    in_folder(check)


@quick
@given(order=st.lists(st.permutations([0, 1, 2]), min_size=2, max_size=8), gap=st.floats(700, 5000))
def test_the_order_of_people_does_not_matter(order: list[list[int]], gap: float) -> None:
    """Three people apart who move a little: the largest is followed to the end."""
    person = np.random.default_rng(0).uniform(0, 600, (133, 3)).astype(np.float32)
    frames = []
    for number, places in enumerate(order):
        crowd = [person + np.float32([gap * i + number, 0, 0]) for i in range(3)]
        for i, one in enumerate(crowd):
            one[:, 1] *= 1.5 if i == 1 else 1
            one[:, 2] = 0.3 + 0.1 * i
        instances = [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()} for p in crowd]
        frames.append({"frame_id": number, "instances": [instances[i] for i in places]})

    def check(folder: Path) -> None:
        (folder / "x").write_text(json.dumps(frames))
        poses = read_poses(folder / "x", size=SIZE)
        np.testing.assert_allclose(poses.keypoints[:, 0, 0], person[0, 0] + gap + np.arange(len(order)), rtol=1e-5)
        assert f"several people in {len(order)} of {len(order)} frames" in poses.notes[0]

    in_folder(check)


@quick
@given(present=st.sets(st.integers(0, 30), min_size=1, max_size=12), first=st.sampled_from([0, 1]))
def test_frame_numbers_with_gaps(present: set[int], first: int) -> None:
    """Frames from 0 or from 1, listed in any order: those that are not listed have no person."""
    numbers = sorted({first, *(first + number for number in present)}, reverse=True)
    person = {"keypoints": [[3.0, 4.0]] * 133, "keypoint_scores": [0.5] * 133}

    def check(folder: Path) -> None:
        (folder / "x").write_text(json.dumps([{"frame_id": n, "instances": [person]} for n in numbers]))
        (folder / "y").write_text(json.dumps([{"image_id": f"{n}.jpg", "keypoints": [5.0] * 399} for n in numbers]))
        for name in "xy":
            seen = read_poses(folder / name, size=SIZE).has_person
            assert np.flatnonzero(seen).tolist() == sorted(n - first for n in numbers)

    in_folder(check)


@quick
@given(name=NAMES, other=NAMES)
def test_clip_names_are_only_names(name: str, other: str) -> None:
    """Spaces, dots, any letters and `../` find their clip and touch no other file."""
    clips = {other: {"keypoints": np.ones((2, 133, 3), np.float32)}, name: {"keypoints": np.ones((1, 133, 3))}}

    def check(folder: Path) -> None:
        (folder / "p").write_bytes(pickle.dumps(clips))
        assert len(read_poses(folder / "p", clip=name, size=SIZE)) == 1
        assert [p.name for p in folder.iterdir()] == ["p"]

    in_folder(check)


STARTS = (b"", b"[", b"{", b"\x80\x02", b"\x1f\x8b", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\xcd\xcc\xcc\x3d")
STARTS += (b"name:keypoints_y:keypoints_x\n", b"0.1 0.2 ", b'[{"image_id": 1, "keypoints": ', b'{"people": [')


@pytest.mark.parametrize("name", sorted(READERS))
@settings(quick, max_examples=60)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
def test_any_bytes_are_nothing_or_one_line(name: str, start: bytes, rest: bytes) -> None:
    def check(folder: Path) -> None:
        (folder / "x").write_bytes(start + rest)
        told = ""
        try:
            file = READERS[name].identify(folder / "x")
            if file is not None:
                assert read_file(file, Wanted(next(iter(file.clips), None), SIZE)).is_clean
        except SigngenError as error:
            told = str(error)
        assert "\n" not in told

    in_folder(check)
