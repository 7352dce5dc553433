"""Write the skeleton of Phoenix-2014T: its clips, frame counts and keypoint packs at full size, over few drawn frames.

    python data_tools/corpus_skeleton.py skeleton [--scale 0.01] [--names TEXT] [--seed 0]

For measuring what depends on the corpus's size and not on what it shows (benchmarks/corpus.py): 8,257 clips with
947,756 frames in the release's folders, corpus CSVs, and keypoints/Phoenix-2014T.<split>, pickles of torch tensors as
MSKA's (1.5 GB). Frames are symbolic links to a few drawn PNGs; keypoints are random walks; glosses are no words.
Frame counts are drawn, the shortest clips have 15, and their sums are the corpus's. Names are of the corpus's form, or
those in TEXT, a folder with phoenix2014T.<split>.sign (one path a clip, its last part the name).
"""

from __future__ import annotations

import argparse
import datetime
import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from signgen.corpora.phoenix.layout import FRAMES, PUBLISHED, SPLITS, corpus_csv
from signgen.synthetic import Identity, Motion, render_clip
from signgen.synthetic.corpus import RELEASE
from signgen.video.reader import write_png

SHORTEST = 15
DRAWN = 8  # different PNGs
SIGNERS = 9
_STREAM = 2000  # frames of keypoints that clips are cut from


def scaled(published: tuple[int, int], scale: float) -> tuple[int, int]:
    """(clips, frames) of a split at a scale; at least one clip, and as many frames a clip as there are."""
    clips, frames = published
    few = max(1, round(clips * scale))
    return few, frames if few == clips else round(frames * few / clips)


def frame_counts(clips: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(clips,) numbers of frames that sum to `frames`: SHORTEST and a gamma-distributed rest, one in 200 without it."""
    spare = frames - SHORTEST * clips
    if spare < 0:
        raise SystemExit(f"{frames} frames are too few for {clips} clips of {SHORTEST}")
    weights = rng.gamma(4, size=clips)
    weights[rng.permutation(clips)[: clips // 200]] = 0
    ends = np.floor(np.cumsum(weights) / weights.sum() * spare).astype(int)
    ends[-1] = spare  # which rounding may miss by one
    return SHORTEST + np.diff(ends, prepend=0)


def clip_names(counts: dict[str, int], rng: np.random.Generator) -> dict[str, list[str]]:
    """Names as 01April_2010_Thursday_heute-6694, none twice, sorted within a split."""
    days = [datetime.date(2009, 1, 1) + datetime.timedelta(int(day)) for day in rng.permutation(5 * 365)]
    total = sum(counts.values())
    names = []
    for number in range(total):
        day = days[number % len(days)]
        programme = "tagesschau" if rng.random() < 0.72 else "heute"
        names.append(f"{day.strftime('%d%B_%Y_%A')}_{programme}-{number:04d}")
    rng.shuffle(names)
    ends = np.cumsum(list(counts.values())).tolist()
    return {split: sorted(names[end - counts[split] : end]) for split, end in zip(counts, ends, strict=True)}


def listed_names(folder: Path, counts: dict[str, int], rng: np.random.Generator) -> dict[str, list[str]]:
    """The names that `folder` lists, as many as there are; the rest drawn."""
    names = clip_names(counts, rng)
    for split, count in counts.items():
        path = folder / f"phoenix2014T.{split}.sign"
        if path.is_file():
            given = [Path(line).name for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            names[split] = [*given, *names[split]][:count]
    return names


def write_frames(folder: Path, frames: int, drawn: list[Path]) -> None:
    """images0001.png ... as relative links to `drawn`, in turn."""
    folder.mkdir(parents=True)
    targets = [os.path.relpath(path, folder) for path in drawn]
    for number in range(1, frames + 1):
        os.symlink(targets[number % len(targets)], f"{folder}/images{number:04d}.png")


def keypoint_stream(rng: np.random.Generator) -> np.ndarray:
    """float32 (_STREAM, 133, 3): points that wander about a frame of 210x260, scores of a heat map's peaks."""
    walk = np.cumsum(rng.normal(0, 0.5, (_STREAM, 133, 2)), 0)
    places = rng.uniform((60, 40), (150, 220), (133, 2)) + walk - walk.mean(0)
    return np.concatenate([places, rng.uniform(0.2, 1.1, (_STREAM, 133, 1))], -1).astype(np.float32)


class PackWriter:
    """A pickle of one dict, written record by record, so that no pack is ever whole in memory."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        handle.write(pickle.PROTO + b"\x03" + pickle.EMPTY_DICT)

    def add(self, name: str, record: dict[str, Any]) -> None:
        """Protocol 3, whose memo places are numbered: those of a record may overwrite those of the one before."""
        for part in (name, record):
            self._handle.write(pickle.dumps(part, protocol=3)[2:-1])
        self._handle.write(pickle.SETITEM)

    def close(self) -> None:
        self._handle.write(pickle.STOP)


def write_split(folder: Path, split: str, clips: dict[str, int], drawn: list[Path], rng: np.random.Generator) -> None:
    """One split: its CSV, its frame folders and its pack. clips: name -> number of frames."""
    import torch

    root = folder / RELEASE
    stream = keypoint_stream(rng)
    corpus_csv(root, split).parent.mkdir(parents=True, exist_ok=True)
    (folder / "keypoints").mkdir(exist_ok=True)
    lines = ["name|video|start|end|speaker|orth|translation"]
    with (folder / "keypoints" / f"Phoenix-2014T.{split}").open("wb") as handle:
        pack = PackWriter(handle)
        for name, frames in clips.items():
            write_frames(root / FRAMES / split / name, frames, drawn)
            signer = f"Signer{rng.integers(1, SIGNERS + 1):02d}"
            lines.append(f"{name}|{name}/1/*.png|-1|-1|{signer}|GLOSS|text .")
            places = (np.arange(frames) + rng.integers(_STREAM)) % _STREAM
            tensor = torch.from_numpy(stream[places])
            record = {"name": name, "gloss": "GLOSS", "text": "text .", "num_frames": frames, "keypoint": tensor}
            pack.add(name, record)
        pack.close()
    corpus_csv(root, split).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_skeleton(folder: Path, scale: float = 1.0, names: Path | None = None, seed: int = 0) -> dict[str, int]:
    """Write everything; returns the frames of each split. Raises SystemExit where a corpus is there already."""
    if (folder / RELEASE).exists():
        raise SystemExit(f"{folder / RELEASE}: a corpus is there; choose another folder")
    rng = np.random.default_rng(seed)
    sizes = {split: scaled(PUBLISHED[split], scale) for split in SPLITS}
    clips = {split: size[0] for split, size in sizes.items()}
    called = listed_names(names, clips, rng) if names else clip_names(clips, rng)
    drawn = [folder / "drawn" / f"{number}.png" for number in range(DRAWN)]
    clip = render_clip(Identity.random(seed, "Signer01"), Motion.random(seed, DRAWN))
    for path, frame in zip(drawn, clip.frames, strict=True):
        write_png(path, frame)
    lengths = {split: frame_counts(*size, rng) for split, size in sizes.items()}
    for split, counts in lengths.items():
        write_split(folder, split, dict(zip(called[split], counts.tolist(), strict=True)), drawn, rng)
    return {split: int(counts.sum()) for split, counts in lengths.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips (default 1)")
    parser.add_argument("--names", type=Path, help="folder with phoenix2014T.<split>.sign")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    frames = write_skeleton(args.folder, args.scale, args.names, args.seed)
    print(f"{args.folder}: {', '.join(f'{count:,} frames of {split}' for split, count in frames.items())}")


if __name__ == "__main__":
    main()
