"""What a rendering is going to do, said before it begins: a checked RenderJob in; plain lines out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from signgen.config import SamplingSettings
from signgen.errors import SigngenError
from signgen.poses.parts import seen_frames, shoulder_widths
from signgen.poses.sequence import PoseSequence
from signgen.rendering.inputs import RenderJob

ABOUT = "plan"
_CLEARLY = 0.25  # of what is needed, which is known to a factor of a few
_ESTIMATED = 1e6  # bytes: what is said of less is no estimate


def plan_lines(job: RenderJob, canvas: tuple[int, int]) -> list[str]:
    """Source, frames, poses and disk. canvas: width and height that the model draws at. Raises SigngenError where the
    disk is clearly too small."""
    height, width = job.source.frame.shape[:2]
    count, first, last = len(job.frames), job.part.start, job.part.stop
    files = ", ".join(str(path) for path in job.outputs.files(count).values())
    seconds = f", {count / job.outputs.fps:.1f} s at {job.outputs.fps:g} frames per second"
    part = "" if count == len(job.poses) else f" ({first}:{last} of {len(job.poses)})"
    codec = "" if count == 1 else f", {job.outputs.codec}"
    return [
        f"source {job.source.name}, {width}x{height}, drawn at {canvas[0]}x{canvas[1]}",
        f"{count} frame{'s' if count > 1 else ''}{part}{seconds if count > 1 else ''}, to {files}{codec}",
        f"poses of {job.poses.width}x{job.poses.height}{_scale(job)}; {missing_hands(job.keypoints[job.part])}",
        _disk(job.outputs.estimated_bytes(count, (width, height), 4 if job.truth is not None else 3)),
    ]


def sampling_line(sampling: SamplingSettings, branches: int, device: str) -> str:
    """How a frame is made."""
    guided = f", {branches} guidance branches" if branches > 1 else ""
    return f"{sampling.solver}, {sampling.steps} step{'s' if sampling.steps > 1 else ''}{guided}; {device}"


def time_line(seconds: float, timed: int, left: int) -> str:
    """seconds: that the first `timed` frames took; left: how many frames are to be rendered in all."""
    frame = seconds / timed
    count = f"{timed} frames" if timed > 1 else "frame"
    return f"about {_duration(frame * left)}, at the {frame:.2g} s a frame of the first {count}"


def missing_hands(poses: PoseSequence) -> str:
    """In how many frames which hand is not seen."""
    missing = {name: int((~seen).sum()) for name, seen in seen_frames(poses).items() if name.endswith("hand")}
    if not missing:
        return "hands are not among them"
    if not any(missing.values()):
        return "both hands in all frames"
    said = (f"the {name.replace('_', ' ')} in {count}" for name, count in missing.items() if count)
    return f"missing: {' and '.join(said)} of {len(poses)} frames"


def _scale(job: RenderJob) -> str:
    """How wide the shoulders are, and the source's: another scale than the person's shows here."""
    width = job.source.frame.shape[1] / job.poses.width * float(np.nanmedian(_widths(job.rendered)))
    own = None if job.source.pose is None else float(_widths(job.source.pose)[0])
    if not np.isfinite(width):
        return ""
    source = "" if own is None or not np.isfinite(own) else f", the source's {own:.0f}"
    return f", shoulders {width:.0f} px wide{source}"


def _widths(poses: PoseSequence) -> np.ndarray:
    """float64 (T,) px; NaN for all where no frame has shoulders, without a warning."""
    widths = shoulder_widths(poses.keypoints)
    return widths if np.isfinite(widths).any() else np.full(1, np.nan)


def _disk(needed: Mapping[Path, int]) -> str:
    """Raises SigngenError for a disk with clearly less than that."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, size in needed.items():
        place = _existing(folder)
        first, more = disks.get(place.stat().st_dev, (place, 0))
        disks[place.stat().st_dev] = (first, size + more)
    said = []
    for place, size in disks.values():
        free = shutil.disk_usage(place).free
        if free < _CLEARLY * size and size > _ESTIMATED:
            raise SigngenError(
                f"{place}: {_size(free)} free",
                expected=f"about {_size(size)} for this rendering",
                fix="free some space or choose another --out",
            )
        said.append(f"about {_size(size)} of {_size(free)} free in {place}")
    return f"disk: {', '.join(said)}"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())


def _size(count: int) -> str:
    for unit, worth in (("GB", 1e9), ("MB", 1e6)):
        if count >= worth:
            return f"{count / worth:.3g} {unit}"
    return f"{max(count, 1000) / 1e3:.3g} kB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
