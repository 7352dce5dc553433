"""Mutated keypoint files in; a table per format out of what the readers made of them, and exit code 1 on a violation.

    python benchmarks/fuzz_readers.py [--count 20000] [--seed 0] [TESTDATA]

Every outcome must be a PoseSequence that validates or one SigngenError of one line; no other exception, no dead
process, no input longer than 5 s or taking more than 1 GB. Seeds are small files written here,
and those of TESTDATA up to 1.5 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import pickle
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from signgen.errors import SigngenError
from signgen.poses import PoseSequence, identify, read_poses

LONGEST_S = 5
MOST_BYTES = 1 << 30
LARGEST_SEED = 1_500_000  # bytes of a file or a folder's files in TESTDATA
Task = tuple[int, str, Path, Path]  # number, format, seed, another seed to splice from
Outcome = tuple[int, str, str, str, float, int]  # number, format, kind, detail, seconds, kilobytes of growth


def whole_body(frames: int = 3, points: int = 133) -> np.ndarray:
    """float32 (frames, points, 3) within 640 x 360."""
    drawn = np.random.default_rng(0).uniform(0.05, 1, (frames, points, 3))
    return (drawn * (640, 360, 1)).astype(np.float32)


def write_seeds(folder: Path) -> dict[str, list[Path]]:
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


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four of: bit flips, truncation, a splice of `other`, a number replaced, a piece repeated or left out."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice((_flip, _flip, _truncate, _splice, _number, _number, _word, _repeat, _leave_out))(
            data, other, rng
        )
    return data


def _flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.5 else min(len(out), 400)  # headers are short
    for _ in range(rng.choice((1, 1, 3, 20)) if out else 0):
        out[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _truncate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, at = rng.randrange(len(other) + 1), rng.randrange(len(data) + 1)
    piece = other[start : start + rng.choice((8, 64, 4096))]
    return data[:at] + piece + data[at + (len(piece) if rng.random() < 0.5 else 0) :]


_NUMBERS = (b"-1", b"0", b"NaN", b"Infinity", b"1e999", b"-1e-999", b"9" * 30, b"9" * 5000, b"true", b"null", b'"x"')
_NUMBERS += (b"[]", b"{}", b"[[[[1]]]]", b"2147483648", b"1.5", b"\xff", b"\xc3\xa9", b"[" * 5000)


def _number(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One number of a text, near a random place, replaced by something else."""
    match = re.compile(rb"-?\d[\d.e+-]*").search(data, rng.randrange(len(data) + 1))
    if match is None:
        return data
    return data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]


def _word(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Two, four or eight bytes replaced by an extreme number."""
    layout = rng.choice("HhIiQqfd")
    extremes = {"f": (np.inf, np.nan, -3e38, 1e-45), "d": (np.inf, np.nan, -1e308, 5e-324)}
    width = 8 * struct.calcsize("<" + layout)
    whole = (
        (0, 1, 2 ** (width - 1) - 1, 2**width - 1)
        if layout.isupper()
        else (0, -1, 2 ** (width - 1) - 1, -(2 ** (width - 1)))
    )
    piece = struct.pack("<" + layout, rng.choice(extremes.get(layout, whole)))
    at = rng.randrange(min(len(data), 600) + 1 if rng.random() < 0.5 else len(data) + 1)
    return data[:at] + piece + data[at + len(piece) :]


def _repeat(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at : at + rng.choice((1, 16, 256))] * rng.choice((2, 10, 300)) + data[at:]


def _leave_out(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 4, 100)) :]


def write_mutant(seed: Path, other: bytes, target: Path, rng: random.Random) -> None:
    """`seed` mutated to `target`; of a folder, one of its files. Gzip and zip are mostly mutated within."""
    if seed.is_dir():
        shutil.copytree(seed, target)
        file = rng.choice(sorted(target.glob("*.json")))
        file.chmod(0o644)
        file.write_bytes(mutate(file.read_bytes(), other, rng))
        return
    data = seed.read_bytes()
    if data[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        target.write_bytes(gzip.compress(mutate(gzip.decompress(data), other, rng), 1))
    elif data[:2] == b"PK" and rng.random() < 0.7:
        _rezip(seed, other, target, rng)
    else:
        target.write_bytes(mutate(data, other, rng))


def _rezip(seed: Path, other: bytes, target: Path, rng: random.Random) -> None:
    """One member of a zip mutated, its checksum right."""
    with zipfile.ZipFile(seed) as source, zipfile.ZipFile(target, "w") as out:
        names = source.namelist()
        chosen = rng.choice(names)
        for name in names:
            data = source.read(name)
            out.writestr(name, mutate(data, other, rng) if name == chosen else data)


class TooLong(BaseException):
    """Not an Exception, so that no reader takes it for a damaged file."""


def _alarm(*_unused: object) -> None:
    raise TooLong


def _sized(path: Path) -> tuple[str, str]:
    """(kind, detail) of what signgen makes of a file: poses, nothing, refused, or violation."""
    try:
        file = identify(path)
        if file is None:
            return "nothing", ""
        for clip in (file.clips or [None])[:2]:
            poses = read_poses(path, clip=clip, size=(640, 360), fps=25.0)
            if poses.keypoints.shape != (file.frames[clip or ""], poses.layout.points, 3) or not poses.is_clean:
                return "violation", f"{poses.keypoints.shape} for {file.frames}, clean: {poses.is_clean}"[:200]
        return "poses", file.format
    except SigngenError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError) or "allocate memory" in str(cause):
                return "violation", f"memory: {error}"[:200]
            cause = cause.__cause__
        return ("violation", f"two lines: {error}"[:200]) if "\n" in str(error) else ("refused", "")
    except TooLong:
        return "violation", f"longer than {LONGEST_S} s"
    except Exception as error:
        return "violation", f"{type(error).__name__}: {error}"[:200]


def work(tasks: list[Task], seed: int, scratch: Path, kept: Path, sender) -> None:
    """A process: makes and reads each mutant, and sends its Outcome. Address space and time are limited."""
    with open("/proc/self/statm") as handle:
        mapped = int(handle.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MOST_BYTES, mapped + MOST_BYTES))
    signal.signal(signal.SIGALRM, _alarm)
    target = scratch / f"mutant{os.getpid()}"
    for number, name, path, other in tasks:
        write_mutant(path, other.read_bytes(), target, random.Random(f"{seed} {number}"))
        sender.send((number, name, "begun", str(path), 0.0, 0))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
        kind, detail = _sized(target)
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if kind == "violation":
            shutil.move(target, kept / f"{number}-{path.name}")
        elif target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        sender.send((number, name, kind, detail, seconds, grown))


@dataclass
class Tally:
    """What became of one format's files."""

    kinds: Counter = field(default_factory=Counter)
    longest: float = 0.0
    grown: int = 0


def run(tasks: list[Task], seed: int, scratch: Path, kept: Path) -> Iterator[Outcome]:
    """The outcomes of `tasks` in order; a worker that dies is a violation, and the next one goes on after it."""
    context = get_context("fork")
    while tasks:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(tasks, seed, scratch, kept, sender))
        process.start()
        sender.close()
        begun = done = 0
        name = path = ""
        with contextlib.suppress(EOFError):
            while True:
                outcome = receiver.recv()
                if outcome[2] == "begun":
                    begun, name, path = begun + 1, outcome[1], outcome[3]
                else:
                    done += 1
                    yield outcome
        process.join()
        if begun > done:
            yield tasks[done][0], name, "violation", f"the process died ({process.exitcode}) on {path}", 0.0, 0
        elif process.exitcode:
            raise RuntimeError(f"a worker ended with {process.exitcode} outside of an input")
        tasks = tasks[begun:]


def report(tallies: dict[str, Tally], violations: list[str], seconds: float) -> None:
    kinds = ("poses", "refused", "nothing", "violation")
    print(f"{'format':<14}" + "".join(f"{kind:>11}" for kind in ("files", *kinds, "longest s", "grew MB")))
    for name, tally in sorted(tallies.items()):
        counts = [tally.kinds.total(), *(tally.kinds[kind] for kind in kinds)]
        print(
            f"{name:<14}" + "".join(f"{c:>11}" for c in counts) + f"{tally.longest:>11.2f}{tally.grown / 1024:>11.0f}"
        )
    total = sum(tally.kinds.total() for tally in tallies.values())
    print(f"{total} files in {seconds:.0f} s, {len(violations)} violations")
    for line in violations[:40]:
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("testdata", type=Path, nargs="?", help="a folder whose small keypoint files are seeds too")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-violations"), help="where violating files are left")
    arguments = parser.parse_args()
    start, tallies, violations = time.perf_counter(), {}, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seeds = write_seeds(folder / "seeds")
        for name, paths in (found_seeds(arguments.testdata) if arguments.testdata else {}).items():
            seeds.setdefault(name, []).extend(paths)
        print(f"{sum(map(len, seeds.values()))} sound files of {len(seeds)} formats", flush=True)
        flat = [path for paths in seeds.values() for path in paths if path.is_file()]
        rng = random.Random(arguments.seed)
        names = sorted(seeds)
        tasks = [
            (n, names[n % len(names)], rng.choice(seeds[names[n % len(names)]]), rng.choice(flat))
            for n in range(arguments.count)
        ]
        arguments.keep.mkdir(exist_ok=True)
        for number, name, kind, detail, seconds, grown in run(tasks, arguments.seed, folder, arguments.keep):
            tally = tallies.setdefault(name, Tally())
            tally.kinds[kind] += 1
            tally.longest, tally.grown = max(tally.longest, seconds), max(tally.grown, grown)
            if kind == "violation":
                violations.append(f"{number} {name}: {detail}")
    with contextlib.suppress(OSError):
        arguments.keep.rmdir()  # only when empty
    report(tallies, violations, time.perf_counter() - start)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
