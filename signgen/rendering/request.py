"""What a rendering depends on, so that a later start continues the same one: a request and its job in; a record out."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import numpy as np

from signgen import __version__
from signgen.models.backends.runtimes import version_of
from signgen.poses.sequence import PoseSequence
from signgen.rendering.inputs import RenderJob, RenderRequest

# Neither decides a byte of what is written; paths are told by their content.
_FREE = {"resume", "dry_run", "needs_truth", "credentials"}


def record_of(request: RenderRequest, job: RenderJob, weights: str, threads: int) -> dict[str, Any]:
    """Setting -> value, JSON. weights: a digest of model and adapter; threads: of the CPU."""
    named = [field.name for field in fields(request) if not str(field.type).startswith("Path")]
    settings = {name: getattr(request, name) for name in named if name not in _FREE}
    references, garment = job.source.references, job.source.garment
    return {
        "model": weights,
        "source": f"{job.source.name} {_digest(job.source.frame)}",
        "source_poses": _digest(job.source.pose),
        "garment": "none" if garment is None else f"{_digest(garment.frame)} {_digest(garment.pose)}",
        "poses": _digest(job.poses, job.keypoints),
        "references": "none" if references is None else f"{request.references} {_digest(references.poses)}",
        "truth": "none" if job.truth is None else f"{job.truth.path.name}, {job.truth.num_frames} frames",
        "pairs": "none" if job.truth is None or job.pairs is None else job.pairs.name,
        "save_frames": str(request.save_frames),
        **{name: value for name, value in settings.items() if name not in ("references", "truth", "sampling")},
        "frames": [job.part.start, job.part.stop],
        **{f"sampling.{name}": value for name, value in job.sampling.model_dump().items()},
        "fps": job.outputs.fps,
        "times": "even" if job.outputs.times is None else _digest(job.outputs.times),
        "threads": threads,
        "versions": {
            "signgen": __version__,
            **{name: version(name) for name in ("torch", "av", "numpy")},
            **version_of(job.sampling.backend),
        },
    }


def _digest(*given: np.ndarray | PoseSequence | None) -> str:
    """Of pixels, times or poses with their size."""
    found = hashlib.sha256()
    for value in given:
        if isinstance(value, PoseSequence):
            found.update(f"{value.width}x{value.height} {value.fps} {value.skeleton}".encode())
            value = value.all_points
        found.update(b"none" if value is None else f"{value.shape} {value.dtype}".encode())
        if value is not None:
            found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()[:16]
