"""What robustness studies found in; it in one sentence, and the spread over sources, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from signgen.metrics.results import number_text

COPIED = "copy-source"


def headline_metric(means: Mapping[str, Mapping[str, float | None]]) -> str:
    """hand_ssim where hands were scored, else ssim."""
    return "hand_ssim" if means["model"].get("hand_ssim") is not None else "ssim"


def verdict(studies: Mapping[str, Any], unharmed: Mapping[str, Mapping[str, float | None]]) -> str:
    """Does the model beat copy-source unharmed, and up to what noise?"""
    metric = headline_metric(unharmed)
    ours, copied = unharmed["model"][metric], unharmed[COPIED][metric]
    assert ours is not None
    assert copied is not None
    scored = f"{metric} {number_text(metric, ours)} against {number_text(metric, copied)}"
    if ours <= copied:
        return f"The model does NOT beat copy-source even with unharmed input: {scored}."
    line = f"The model beats copy-source with unharmed input: {scored}"
    if "noise" not in studies:
        return f"{line}."
    levels, rows = studies["noise"]["levels"], studies["noise"]["means"]
    loses = [
        level
        for level, mine, theirs in zip(levels, rows["model"], rows[COPIED], strict=True)
        if mine[metric] <= theirs[metric]
    ]
    last = number_text(metric, rows["model"][-1][metric])
    falls = f"no longer from {loses[0]:g} px of keypoint noise on" if loses else f"still at {levels[-1]:g} px of noise"
    return f"{line}; {falls} ({last} at {levels[-1]:g} px)."


def spread(means: Sequence[Mapping[str, float | None]], metric: str) -> tuple[float, float, float] | None:
    """(mean, standard deviation over n - 1, range) of a metric over source frames; None below two."""
    values = [value for row in means if (value := row.get(metric)) is not None]
    if len(values) < 2:
        return None
    return float(np.mean(values)), float(np.std(values, ddof=1)), max(values) - min(values)
