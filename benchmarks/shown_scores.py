"""Scores nano's held-out frames beside FPDM's published ones and copy-source; prints the table of docs/metrics.md.

    python benchmarks/real_clips.py TESTDATA --clips clip_b 25June --minutes 10 --out runs/real
    python benchmarks/shown_scores.py TESTDATA runs/real --out runs/shown

Needs the extra `pose`. Every number is of the same frames: the last quarter, which nano was not trained on.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

from real_clips import CLIPS, held_out, signgen

from signgen.metrics.results import number_text
from signgen.pairs.pairset import PairSet
from signgen.video.reader import open_frames, write_png

FPDM = 3  # panel of the four-panel file
COLUMNS = (
    *("ssim", "psnr", "hand_ssim", "hand_sharpness", "finger_pck_share", "hands_found", "face_ssim", "mouth_ssim"),
    *("mouth_sharpness", "eyes_ssim", "brows_ssim", "mouth_opening_r", "eye_opening_r", "brow_height_r"),
    *("head_yaw_error", "head_pitch_error", "head_roll_error", "flicker_excess", "warping_error"),
)


def published(testdata: Path, clip: str, part: range, folder: Path) -> Path:
    """FPDM's frames `part` of a four-panel file, as PNG."""
    found = [path for path in (testdata / "phoenix").glob(f"{clip}*.fourpanel.*") if path.suffix in (".gif", ".mp4")]
    panels = open_frames(found[0])
    width = panels.width // 4
    for number in part:
        frame = panels.read(number, number + 1)[0][:, FPDM * width : (FPDM + 1) * width]
        write_png(folder / f"{number:04d}.png", frame)
    return folder


def scored(generated: Path, truth: Path, part: range, keypoints: Path, out: Path) -> dict[str, dict[str, float]]:
    """Who -> means, of what was generated and of copy-source."""
    frames = f"{part.start}:{part.stop}"
    signgen(
        *("evaluate", generated, truth, "--frames", frames, "--poses", keypoints),
        *("--estimator", "mediapipe", "--out", out),
    )
    result = json.loads((out / "metrics.json").read_text())
    return {"own": result["mean"], "copy": result["baselines"]["copy-source"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    parser.add_argument("runs", type=Path, help="the --out of real_clips.py")
    parser.add_argument("--clips", nargs="+", choices=("25June", "clip_b"), default=["25June", "clip_b"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    for name in args.clips:
        run = args.runs / f"{name}-0"
        pairs, clip = PairSet.load(run / "pairs"), CLIPS[name].name
        part = range(*map(int, held_out(pairs, clip).split(":")))
        truth, keypoints = pairs.clip(clip).path, args.testdata / "phoenix" / f"{clip}.mmpose133.json"
        fpdm = published(args.testdata, clip, part, args.out / f"{name}-fpdm")
        theirs = scored(fpdm, truth, part, keypoints, args.out / f"{name}-fpdm-report")
        ours = scored(run / "native-frames", truth, part, keypoints, args.out / f"{name}-nano-report")
        columns |= {f"{name}, FPDM": theirs["own"], f"{name}, nano": ours["own"], f"{name}, copy": ours["copy"]}
    print("| metric | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for metric in COLUMNS:
        print(
            f"| {metric} | " + " | ".join(number_text(metric, means.get(metric)) for means in columns.values()) + " |"
        )
    print(f"machine: {platform.processor() or platform.machine()}, {platform.platform()}")


if __name__ == "__main__":
    main()
