"""What a canvas is given to: nano on the whole frame, on the signer alone, and on a canvas of the clip's own shape.

    python benchmarks/scale.py TESTDATA --minutes 10 --out runs/scale
    python benchmarks/scale.py TESTDATA --clips football --arms none signer --seeds 0 1 --minutes 10 --out runs/scale

Arms, each trained for the same time: none, the whole frame squashed to 128x128; signer, `--crop signer`, laid back into
the frame; aspect, the whole frame on a canvas of its shape with as many pixels (`--set canvas=clip`). studio is a drawn
signer of 210x260 in a frame of 1920x1080. Scores are of the held-out last quarter, of whole frames at native size.
OUT/table.md has a row a run, OUT/CLIP-SEED.png the middle frame of each arm and its hands. A run that is in OUT is not
made again; one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from real_clips import CLIPS, Clip, held_out, signgen

from signgen.files import write_json
from signgen.pairs.pairset import PairSet
from signgen.poses.parts import part_boxes
from signgen.rendering.strips import save_strips
from signgen.synthetic import Identity, Motion, render_clip
from signgen.video.reader import frame_range, open_images
from signgen.video.writer import VideoWriter

ARMS: dict[str, tuple[str, list[str]]] = {  # name -> --crop, options of train
    "none": ("none", []),
    "signer": ("signer", []),
    "aspect": ("none", ["--set", "canvas=clip"]),
}
COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_psnr", "hand_sharpness", "face_ssim")
STUDIO, FRAMES, AT = (1920, 1080), 96, (860, 420)  # AT: where the drawn frame lies; its last quarter shows the hands
TILE = 360  # px, the height of a picture's rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    known = ["clip_b", "football", "studio"]
    parser.add_argument("--clips", nargs="+", choices=[*known, *(name for name in CLIPS if name not in known)])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        for name in options.clips or known:
            made = [row(options, name, arm, seed) for arm in options.arms]
            rows += made
            strip(options.out, name, made)
            (options.out / "table.md").write_text(table(rows) + "\n")
    print(table(rows))
    print(f"machine: {platform.processor() or platform.machine()}, {platform.platform()}")


def row(options: argparse.Namespace, name: str, arm: str, seed: int) -> dict[str, Any]:
    """One run: train, render the held-out frames; kept in OUT/CLIP-ARM-SEED."""
    folder = options.out / f"{name}-{arm}-{seed}"
    kept, run = folder / "row.json", folder / "run"
    if kept.exists():
        found = json.loads(kept.read_text())
        if found["minutes"] != options.minutes:
            raise SystemExit(f"{kept} is of {found['minutes']:g} minutes: choose another --out")
        return found
    crop, extra = ARMS[arm]
    pairs = build(options.testdata, options.out, name, crop)
    record = PairSet.load(pairs).clips[0]
    found = {"clip": name, "arm": arm, "seed": seed, "pairs": str(pairs), "minutes": options.minutes}
    if arm == "signer" and record.crop is None:  # the reach of the hands is the frame: it would be `none` again
        write_json(kept, found)
        return found
    if not (run / "model" / "signgen.json").exists():
        call = ("train", pairs, "--config", "nano", "--out", run, "--seed", seed, "--max-minutes", options.minutes)
        signgen(*call, *extra, *(["--resume"] if (run / "recipe.yaml").exists() else []))
    part = held_out(PairSet.load(pairs), record.name)
    keypoints = PairSet.load(pairs).pose_path(record.name)
    files = ("--out", folder / "held.mp4", "--save-frames", folder / "frames")
    signgen("render", record.path, keypoints, "--model", run / "model", "--crop", crop, "--frames", part, *files)
    canvas = json.loads((run / "model" / "signgen.json").read_text())["recipe"]["canvas"]
    found |= json.loads((folder / "held.metrics.json").read_text())
    found |= {"steps": json.loads((run / "run.json").read_text())["steps"], "frames": part}
    found |= {"canvas": f"{canvas['width']}x{canvas['height']}", "crop": record.crop and str(record.crop)}
    write_json(kept, found)
    return found


def build(data: Path, out: Path, name: str, crop: str) -> Path:
    """The clip's pair set, keypoints cleaned, the last quarter held out; it is there already for the second arm."""
    pairs = out / "pairs" / f"{name}-{crop}"
    if (pairs / "meta.json").exists():
        return pairs
    clip = CLIPS.get(name, Clip("", name))
    root = studio(out / "studio") if name == "studio" else data / clip.root
    keypoints = ["--keypoints", data / clip.keypoints] if clip.keypoints else []
    names = ("--clips", clip.name, "--holdout-tail", 0.25, "--clean", "--crop", crop)
    signgen("build-pairs", root, "--out", pairs, *keypoints, *names)
    return pairs


def studio(folder: Path) -> Path:
    """A drawn signer in a studio's frame, whose wall is a slope with a grain; the same bytes each time."""
    if (folder / "studio.poses.npz").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    drawn = render_clip(Identity.random(0, "a"), Motion.random(2, FRAMES), name="studio")
    width, height = STUDIO
    slope = np.linspace(150, 90, height)[:, None, None]
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 3))
    wall = np.clip(slope + grain, 0, 255).astype(np.uint8)
    tall, wide = drawn.frames.shape[1:3]
    with VideoWriter(folder / "studio.mp4", width, height, drawn.poses.fps or 25.0) as video:
        for frame in drawn.frames:
            wall[AT[1] : AT[1] + tall, AT[0] : AT[0] + wide] = frame
            video.write(wall)
    points = drawn.observed.all_points.copy()
    points[..., :2] += AT
    drawn.observed.with_points(points, width=width, height=height).save(folder / "studio.poses.npz")
    return folder


# ---- what was found


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: copy-source once for every clip, and a line a run."""
    heads = ("clip", "arm", "canvas", "crop", "steps", *COLUMNS)
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for number, found in enumerate(rows):
        if "mean" not in found:
            lines.append(f"| {found['clip']} | {found['arm']}: the hands reach the whole frame |" + " |" * 9)
            continue
        if all(found["clip"] != other["clip"] for other in rows[:number]):
            copied = values(found["baselines"]["copy-source"])
            lines.append(f"| {found['clip']} | copy-source | | | | {copied} |")
        steps = found["steps"]["diffusion"] if isinstance(found["steps"], dict) else found["steps"]
        about = (found["canvas"], found["crop"] or "", f"{steps:,}")
        who = f"{found['arm']}, seed {found['seed']}"
        lines.append(f"| {found['clip']} | {who} | {' | '.join(about)} | {values(found['mean'])} |")
    return "\n".join(lines)


def values(means: dict[str, Any]) -> str:
    return " | ".join("-" if means.get(c) is None else f"{means[c]:.{1 if 'psnr' in c else 3}f}" for c in COLUMNS)


def strip(out: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Truth and arms side by side: the middle frame that is held out and shows both hands, and each hand."""
    rows = [found for found in rows if "mean" in found]
    if not rows:
        return
    pair_set = PairSet.load(Path(rows[0]["pairs"]))
    record, poses = pair_set.clips[0], pair_set.whole_poses(pair_set.clips[0].name)
    truth, part = pair_set.whole_frames(record.name), frame_range(rows[0]["frames"], record.num_frames)
    boxes = {n: part_boxes(poses.keypoints[n], poses.width, poses.height) for n in range(part.start, part.stop)}
    both = [n for n in boxes if boxes[n]["left_hand"] and boxes[n]["right_hand"]] or list(boxes)
    shown = both[len(both) // 2]
    made = [
        open_images(f, sorted(f.glob("*.png"))) for f in (out / f"{name}-{r['arm']}-{r['seed']}/frames" for r in rows)
    ]
    frames = [truth.read(shown, shown + 1)[0]]
    frames += [clip.read(shown - part.start, shown - part.start + 1)[0] for clip in made]
    pictures = [[tile(frame, None) for frame in frames]]
    pictures += [[tile(frame, boxes[shown][hand]) for frame in frames] for hand in ("left_hand", "right_hand")]
    widest = max(picture[0].shape[1] for picture in pictures)
    save_strips([[centred(one, widest) for one in line] for line in pictures], out / f"{name}-{rows[0]['seed']}.png")


def tile(frame: np.ndarray, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """The frame, or a square about the box with half of it on each side, TILE px high; pixels are shown as they are."""
    if box is not None:
        x0, y0, x1, y1 = box
        side = min(2 * max(x1 - x0, y1 - y0), *frame.shape[:2])
        x = int(np.clip((x0 + x1 - side) // 2, 0, frame.shape[1] - side))
        y = int(np.clip((y0 + y1 - side) // 2, 0, frame.shape[0] - side))
        frame = frame[y : y + side, x : x + side]
    size = (round(TILE * frame.shape[1] / frame.shape[0]), TILE)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if frame.shape[0] > TILE else cv2.INTER_NEAREST)


def centred(picture: np.ndarray, width: int) -> np.ndarray:
    left = (width - picture.shape[1]) // 2
    return np.pad(picture, ((0, 0), (left, width - picture.shape[1] - left), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
