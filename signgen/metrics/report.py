"""Writes a scorer's result: metrics.json, per_frame.csv; and says in words whether the model beats doing nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from signgen.files import atomic_path, write_json

METRICS_FILE = "metrics.json"
PER_FRAME_FILE = "per_frame.csv"


def write_metrics(result: dict[str, Any], folder_or_path: Path) -> Path:
    """Write the result as JSON, atomically, to a .json path or as metrics.json into a folder; return the path."""
    path = _target(folder_or_path, ".json", METRICS_FILE)
    write_json(path, result)
    return path


def write_per_frame_csv(result: dict[str, Any], folder_or_path: Path) -> Path:
    """Write the per-frame rows, atomically, to a .csv path or as per_frame.csv into a folder; None becomes empty."""
    path = _target(folder_or_path, ".csv", PER_FRAME_FILE)
    rows = result["per_frame"]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _target(folder_or_path: Path, suffix: str, name: str) -> Path:
    return folder_or_path if folder_or_path.suffix == suffix else folder_or_path / name


def verdict(result: dict[str, Any]) -> str:
    """One sentence: does the model beat copy-source, in the hand boxes where there are any, else on whole frames?"""
    mean, copied = result["mean"], result["baselines"].get("copy-source")
    if copied is None:
        return "Not compared with copy-source: no source frame."
    where, prefix = "on hands", "hand_"
    if mean.get("hand_ssim") is None or copied.get("hand_ssim") is None:
        where, prefix = "on whole frames (hands were not scored)", ""
    ssim, psnr = f"{prefix}ssim", f"{prefix}psnr"
    wins = [mean[ssim] > copied[ssim], mean[psnr] > copied[psnr]]
    numbers = f"SSIM {mean[ssim]:.3f} against {copied[ssim]:.3f}, PSNR {mean[psnr]:.2f} against {copied[psnr]:.2f} dB"
    if all(wins):
        return f"The model beats copy-source {where}: {numbers}."
    if any(wins):
        better = "SSIM" if wins[0] else "PSNR"
        return f"The model does NOT beat copy-source {where} except in {better}: {numbers}."
    return f"The model does NOT beat copy-source {where}: {numbers}."
