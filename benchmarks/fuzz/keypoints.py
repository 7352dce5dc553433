"""Small sound keypoint files of every format, and those of a folder of the user's."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from signgen.poses import PoseSequence, identify

LARGEST_SEED = 1_500_000  # bytes of a file or a folder's files


def whole_body(frames: int = 3, points: int = 133) -> np.ndarray:
    """float32 (frames, points, 3) within 640 x 360."""
    drawn = np.random.default_rng(0).uniform(0.05, 1, (frames, points, 3))
    return (drawn * (640, 360, 1)).astype(np.float32)


def write_keypoints(folder: Path) -> dict[str, list[Path]]:
    """One or more small sound files (or folders of frames) per format, written below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds: dict[str, list[Path]] = {}
    for write in (_own, _json_lists, _coco, _frame_folders, _pickles, _pose_files, _arrays, _texts):
        for name, path in write(folder):
            seeds.setdefault(name, []).append(path)
    return seeds


def _own(folder: Path) -> Iterator[tuple[str, Path]]:
    path = folder / "own.poses.npz"
    PoseSequence(whole_body(), 640, 360, 25.0).save(path)
    yield "signgen", path


def _dump(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def _json_lists(folder: Path) -> Iterator[tuple[str, Path]]:
    people = [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()} for p in whole_body().round(1)]
    frames = [{"frame_id": 1 + i, "instances": [person]} for i, person in enumerate(people)]
    yield "mmpose", _dump(folder / "mmpose.json", {"meta_info": {}, "instance_info": frames})
    yield "mmpose", _dump(folder / "mmpose_list.json", frames)
    for points in (133, 136):
        records = [
            {"image_id": f"{i}.jpg", "keypoints": person.ravel().tolist(), "score": 2.0, "idx": idx}
            for i, person in enumerate(whole_body(3, points).round(1))
            for idx in (1, 2)
        ]
        yield "alphapose", _dump(folder / f"alphapose_{points}.json", records)


def _coco(folder: Path) -> Iterator[tuple[str, Path]]:
    parts = {"keypoints": (0, 17), "foot_kpts": (17, 23), "face_kpts": (23, 91)}
    parts |= {"lefthand_kpts": (91, 112), "righthand_kpts": (112, 133)}
    people = [
        {"image_id": i, **{key: person[start:stop].ravel().tolist() for key, (start, stop) in parts.items()}}
        for i, person in enumerate(whole_body().round(1))
    ]
    yield "coco-wholebody", _dump(folder / "coco.json", people)


def _frame_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    for i, person in enumerate(whole_body(2).round(3)):
        unit = person / (640, 360, 1)
        parts = {"body": (0, 18), "face": (23, 91), "left_hand": (91, 112), "right_hand": (112, 133)}
        dwpose: dict[str, list] = {}
        for name, (start, stop) in parts.items():
            dwpose[f"{name}_keypoints"] = unit[start:stop, :2].tolist()
            dwpose[f"{name}_scores"] = list(range(18)) if name == "body" else unit[start:stop, 2].tolist()
        _dump(folder / "dwpose" / f"{i}.json", {"num_persons": 1, "person_0": dwpose})
        for points in (25, 18):
            lists = {"pose": points, "face": 70, "hand_left": 21, "hand_right": 21}
            openpose = {f"{name}_keypoints_2d": person[:count].ravel().tolist() for name, count in lists.items()}
            _dump(folder / f"openpose_{points}" / f"{i}_keypoints.json", {"version": 1.3, "people": [openpose]})
    yield "dwpose", folder / "dwpose"
    yield "openpose", folder / "openpose_25"
    yield "openpose", folder / "openpose_18"


def _pickles(folder: Path) -> Iterator[tuple[str, Path]]:
    import torch

    for packed in (False, True):
        tensors = {f"train/{n}": {"name": n, "keypoint": torch.from_numpy(whole_body(2))} for n in "ab"}
        arrays = {f"dev/{n}": {"keypoints": whole_body(2).astype(np.float16)} for n in "ab"}
        for name, clips in (("mska", tensors), ("slrt", arrays)):
            data = pickle.dumps(clips, protocol=5 if packed else 2)
            path = folder / f"{name}{'.gz' if packed else '.pkl'}"
            path.write_bytes(gzip.compress(data) if packed else data)
            yield name, path


def _pose_files(folder: Path) -> Iterator[tuple[str, Path]]:
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    hands = [(f"{side}_HAND", [str(i) for i in range(21)]) for side in ("LEFT", "RIGHT")]
    names = [("BODY", ["nose", "left_eye", "left_shoulder"]), ("FACE", [str(i) for i in range(68)]), *hands]
    points = whole_body(2, 3 + 68 + 42)
    parts = [PoseHeaderComponent(name, listed, [(0, 1)], [(1, 2, 3)], "XYC") for name, listed in names]
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 360, 0), parts)
    new = folder / "new.pose"
    with new.open("wb") as handle:
        Pose(header, NumPyPoseBody(25.0, points[:, None, :, :2], points[:, None, :, 2])).write(handle)
    yield "pose-format", new
    data = new.read_bytes()
    at = len(data) - points.size * 4 - 10
    older = folder / "0_1.pose"
    older.write_bytes(struct.pack("<f", 0.1) + data[4:at] + struct.pack("<3H", 25, 2, 1) + data[at + 10 :])
    yield "pose-format", older
    old = struct.pack("<f4H", 0, 640, 360, 0, len(names))
    for name, listed in names:
        old += name.encode() + b"\0XYC\0" + struct.pack("<3H", len(listed), 0, 0)
        old += b"".join(point.encode() + b"\0" for point in listed)
    old += struct.pack("<H", 2) + b"".join(struct.pack("<Hh", 1, -1) + frame.tobytes() for frame in points)
    oldest = folder / "0_0.pose"
    oldest.write_bytes(old)
    yield "pose-format", oldest


def _arrays(folder: Path) -> Iterator[tuple[str, Path]]:
    np.save(folder / "a.npy", whole_body())
    np.savez_compressed(folder / "b.npz", keypoints=whole_body()[..., :2], scores=whole_body()[..., 2])
    np.savez(folder / "c.npz", one=whole_body(2, 136), two=whole_body(2, 17).astype(np.float16))
    yield from (("array", folder / name) for name in ("a.npy", "b.npz", "c.npz"))


def _texts(folder: Path) -> Iterator[tuple[str, Path]]:
    counter = np.linspace(0, 1, 3)[:, None]
    clip = " ".join(f"{v:.4f}" for v in np.hstack([whole_body(3, 50).reshape(3, 150) / 640, counter]).ravel())
    (folder / "x.skels").write_text(f"{clip}\n{clip}\n")
    yield "skels", folder / "x.skels"
    points = whole_body(1, 18)[0, :, :2].astype(int)
    (folder / "x.txt").write_text("".join(f"{x:.3e} {y:.3e}\n" for x, y in points))
    yield "fpdm", folder / "x.txt"
    rows = "".join(f"{n}.jpg: {points[:, 1].tolist()}: {points[:, 0].tolist()}\r\n" for n in "ab")
    (folder / "x.csv").write_bytes(("\ufeffname:keypoints_y:keypoints_x\r\n" + rows).encode())
    yield "gfla", folder / "x.csv"


def found_seeds(testdata: Path) -> dict[str, list[Path]]:
    """Keypoint files and folders of `testdata` that are small enough to be read thousands of times."""
    seeds: dict[str, list[Path]] = {}
    folders: set[Path] = set()  # of frames, whose single files are not seeds
    for path in sorted(testdata.rglob("*")):
        size = path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.iterdir() if p.is_file())
        if size > LARGEST_SEED or path.parent in folders:
            continue
        file = identify(path)
        if file is not None:
            seeds.setdefault(file.format, []).append(path)
            folders.update([path] if path.is_dir() else [])
    return seeds
