"""Seeds in, takes out; takes rendered by several processes; clips in, a corpus as Phoenix's or videos with JSON out."""

from __future__ import annotations

import multiprocessing
import pickle
import re
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from signgen.corpora.phoenix.layout import FRAMES, SPLITS
from signgen.errors import PairSetError
from signgen.files import atomic_path, make_folder, write_json, write_text
from signgen.poses.sequence import PoseSequence
from signgen.synthetic.clip import PHOENIX_SIZE, SyntheticClip, render_clip
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import FPS, Motion, Signed
from signgen.synthetic.observe import Observation
from signgen.synthetic.signs import write_signs
from signgen.video.writer import VideoWriter, sample_aspect

RELEASE = Path("PHOENIX-2014-T-release-v3/PHOENIX-2014-T")
_AHEAD = 2  # clips a process may be ahead of the one that is written


@dataclass(frozen=True)
class Take:
    """One clip to be made."""

    name: str
    identity: Identity
    motion: Motion
    size: tuple[int, int] = PHOENIX_SIZE
    observation: Observation | None = None

    def render(self) -> SyntheticClip:
        return render_clip(self.identity, self.motion, size=self.size, observation=self.observation, name=self.name)


def plan_takes(
    seed: int,
    *,
    signers: int,
    clips: int,
    frames: int,
    size: tuple[int, int] = PHOENIX_SIZE,
    observation: Observation | None = None,
) -> dict[str, list[Take]]:
    """Takes by split: `clips` of every signer for training, and one each for dev and test, no motion twice.

    One signer more, who is not in train, has half as many clips (at least one) in test.
    """
    takes: dict[str, list[Take]] = {split: [] for split in SPLITS}
    wanted = [(split, signer) for signer in range(signers) for split in ("train",) * clips + ("dev", "test")]
    wanted += [("test", signers)] * max(1, clips // 2)
    for number, (split, signer) in enumerate(wanted):
        identity = Identity.random(1000 * seed + signer, f"Signer{signer + 1:02d}")
        motion = Motion.random(100_000 * seed + number, frames)
        name = f"synthetic_{seed}_{identity.name}-{number:04d}"
        takes[split].append(Take(name, identity, motion, size, observation))
    return takes


def plan_cross(takes: list[Take]) -> list[Take]:
    """Every take once more, performed by the next signer of the list: the truth of driving one with another's poses."""
    identities = {take.identity.name: take.identity for take in takes}
    following = dict(zip(identities, [*list(identities)[1:], *list(identities)[:1]], strict=True))
    performers = [identities[following[take.identity.name]] for take in takes]
    return [
        replace(take, name=f"{take.name}_by_{performer.name}", identity=performer)
        for take, performer in zip(takes, performers, strict=True)
    ]


def render_takes(takes: Iterable[Take], processes: int = 1) -> Iterator[SyntheticClip]:
    """Clips in the order of the takes; at most a few are held in memory. The processes are spawned, not forked."""
    if processes <= 1:
        yield from (take.render() for take in takes)
        return
    remaining = iter(takes)
    context = multiprocessing.get_context("spawn")  # a fork would inherit other libraries' threads
    with ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as pool:
        try:
            with _ctrl_c_ignored():  # the processes begin here and inherit it: Ctrl-C is this process's to answer
                pending = [pool.submit(take.render) for take in islice(remaining, _AHEAD * processes)]
            while pending:
                yield pending.pop(0).result()
                pending += [pool.submit(take.render) for take in islice(remaining, 1)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """For the moment it takes to begin processes; only the main thread may change it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def write_phoenix(folder: Path, clips: Mapping[str, Iterable[SyntheticClip]]) -> Path:
    """Write splits of clips as Phoenix-2014T's release has them; returns the release folder.

    Beside it `signs.csv` (`signgen.synthetic.signs`), `keypoints/Phoenix-2014T.<split>`, pickles as MSKA's with the
    observed keypoints (0, 0, 0 where there are none), and `keypoints_exact/`, the same with the exact ones. Raises
    PairSetError for an unknown split or when a corpus is there already.
    """
    root = folder / RELEASE
    unknown = sorted(set(clips) - set(SPLITS))
    if unknown:
        raise PairSetError(f"split {unknown[0]}", expected=f"one of {', '.join(SPLITS)}")
    if root.exists():
        raise PairSetError(f"{root}: a corpus is there", fix="choose another folder")
    signed: dict[str, tuple[Signed, ...]] = {}
    for split, members in clips.items():
        lines = ["name|video|start|end|speaker|orth|translation"]
        observed: dict[str, dict[str, Any]] = {}
        exact: dict[str, dict[str, Any]] = {}
        for clip in members:
            _write_frames(root / FRAMES / split / clip.name, clip.frames)
            gloss, text = " ".join(clip.glosses), " ".join(word.lower() for word in clip.glosses)
            lines.append(f"{clip.name}|{clip.name}/1/*.png|-1|-1|{clip.signer}|{gloss}|{text} .")
            signed[clip.name] = clip.signed
            observed[clip.name] = _record(clip, clip.observed)
            exact[clip.name] = _record(clip, clip.poses)
        for place, records in (("keypoints", observed), ("keypoints_exact", exact)):
            with atomic_path(folder / place / f"Phoenix-2014T.{split}") as temporary:
                temporary.write_bytes(pickle.dumps(records, protocol=4))
        write_text(root / "annotations" / "manual" / f"PHOENIX-2014-T.{split}.corpus.csv", "\n".join(lines) + "\n")
    write_signs(folder, signed)
    return folder / RELEASE.parts[0]


def frame_folders(folder: Path, split: str) -> list[Path]:
    """The clips of a split that `write_phoenix` wrote into `folder`: their folders of frames, sorted by name."""
    return sorted(path for path in (folder / RELEASE / FRAMES / split).iterdir() if path.is_dir())


def signer_of(clip: str) -> str:
    """Who is to be seen in a clip of that name: the performer, where poses are another signer's."""
    return re.findall(r"Signer\d+", clip)[-1]


def write_videos(folder: Path, clips: Iterable[SyntheticClip], *, exact: bool = True) -> list[Path]:
    """Write `<name>.mp4` and `<name>.mmpose.json` of every clip, and `signs.csv`; returns the videos. exact: not the
    observed ones."""
    make_folder(folder)
    videos = []
    signed = {}
    for clip in clips:
        height, width = clip.frames.shape[1:3]
        videos.append(folder / f"{clip.name}.mp4")
        with VideoWriter(videos[-1], width, height, FPS, sample_aspect(width, height)) as writer:
            for frame in clip.frames:
                writer.write(frame)
        write_json(folder / f"{clip.name}.mmpose.json", _mmpose(clip.poses if exact else clip.observed))
        signed[clip.name] = clip.signed
    write_signs(folder, signed)
    return videos


def _write_frames(folder: Path, frames: np.ndarray) -> None:
    """images0001.png and so on; the folder appears when it is whole."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    for number, frame in enumerate(frames, start=1):
        encoded = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1]
        (temporary / f"images{number:04d}.png").write_bytes(encoded.tobytes())
    temporary.replace(folder)


def _record(clip: SyntheticClip, poses: PoseSequence) -> dict[str, Any]:
    """An entry of MSKA's pickles; a numpy array where theirs is a torch tensor."""
    keypoints = np.nan_to_num(poses.keypoints, nan=0.0)
    return {
        "name": clip.name,
        "gloss": " ".join(clip.glosses),
        "text": " ".join(word.lower() for word in clip.glosses) + " .",
        "num_frames": len(keypoints),
        "keypoint": keypoints,
    }


def _mmpose(poses: PoseSequence) -> dict[str, Any]:
    """MMPose 1.x; a point that is missing scores 0."""
    info = []
    for number, points in enumerate(np.nan_to_num(poses.keypoints, nan=0.0).astype(float).round(3), start=1):
        person = {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist()}
        info.append({"frame_id": number, "instances": [person]})
    return {"meta_info": {"dataset_name": "coco_wholebody"}, "instance_info": info}
