"""Rows of numbers in; curves and histograms out, as SVG paths in a box of WIDTH x HEIGHT that the page stretches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, sqrt
from typing import Any

import numpy as np

from signgen.metrics.directions import direction_of
from signgen.metrics.results import number_text

WIDTH, HEIGHT = 1000, 200
MOST_BINS = 24
_COLUMNS = 1000  # of a curve with more frames, each column shows its lowest and highest value
_FAR = 0.5  # outliers this share of the middle 98 % beyond it are cut off rather than shown


@dataclass(frozen=True)
class Line:
    """One candidate's path. style: which colour and dash."""

    name: str
    style: int
    path: str


@dataclass(frozen=True)
class Chart:
    """One metric. low, high: its values at the bottom and top, or (histogram) left and right. label: for a reader who
    does not see it. cut: how many values lie beyond what is drawn.
    """

    metric: str
    direction: str
    definition: str
    low: str
    high: str
    lines: tuple[Line, ...]
    label: str
    cut: int
    goal: str = ""  # of a curve: the path of what would be best, where that is neither high nor low
    top: str = ""  # of a histogram: the share of frames at the top


Tracks = Mapping[str, Sequence[Mapping[str, Any]]]


def curves(tracks: Tracks, definitions: Mapping[str, str]) -> list[Chart]:
    """A chart for every metric that at least two frames have, over the rows' `frame`."""
    charts = []
    for metric in definitions:
        series = _series(tracks, metric)
        if max((np.isfinite(values).sum() for _, values in series.values()), default=0) < 2:
            continue
        goal = _goal(tracks, metric)
        low, high, cut = shown_range([values for _, values in (*series.values(), *goal)])
        box = (*_frame_range(tracks), low, high)
        styles = {name: style for style, name in enumerate(tracks)}
        lines = [Line(name, styles[name], _path(*values, box)) for name, values in series.items()]
        # The first, the model, is drawn last and lies on top.
        chart = _chart(metric, definitions, series, low, high, lines[::-1], cut)
        charts.append(replace(chart, goal="".join(_path(*values, box) for values in goal)))
    return charts


def histograms(tracks: Tracks, definitions: Mapping[str, str]) -> list[Chart]:
    """A chart for every metric that at least two frames have: the share of frames in each of at most MOST_BINS bins."""
    charts = []
    for metric in definitions:
        series = _series(tracks, metric)
        if max((np.isfinite(values).sum() for _, values in series.values()), default=0) < 2:
            continue
        low, high, cut = shown_range([values for _, values in series.values()])
        bins = min(MOST_BINS, max(6, 2 * ceil(sqrt(max(len(values) for _, values in series.values())))))
        shares = {}
        for name, (_, values) in series.items():
            there = np.clip(values[np.isfinite(values)], low, high)
            shares[name] = np.histogram(there, bins, (low, high))[0] / max(len(there), 1)
        top = max(float(share.max()) for share in shares.values())
        styles = {name: style for style, name in enumerate(tracks)}
        lines = [Line(name, styles[name], _steps(share / top)) for name, share in shares.items()]
        charts.append(replace(_chart(metric, definitions, series, low, high, lines[::-1], cut), top=f"{top:.0%}"))
    return charts


def binned(metric: str, definition: str, edges: Sequence[float], counts: Mapping[str, Sequence[int]]) -> Chart:
    """A histogram of values that were counted as they came: name -> how many in each bin between the `edges`.

    Bins that are empty in all, at both ends, are not drawn.
    """
    table = np.array(list(counts.values()), np.float64)
    filled = np.flatnonzero(table.sum(0))
    first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, table.shape[1])
    shares = table[:, first:last] / np.maximum(table.sum(1, keepdims=True), 1)
    top = float(shares.max()) or 1.0
    lines = [
        Line(name, style, _steps(share / top)) for style, (name, share) in enumerate(zip(counts, shares, strict=True))
    ]
    middles = (np.array(edges[:-1]) + np.array(edges[1:]))[first:last] / 2
    texts = [
        f"{name} around {float((middles * share).sum() / share.sum()):.3f}"
        for name, share in zip(counts, shares, strict=True)
        if share.any()
    ]
    low, high = f"{edges[first]:.2f}", f"{edges[last]:.2f}"
    label = f"{metric}: {'; '.join(texts)}"
    return Chart(metric, "", definition, low, high, tuple(lines[::-1]), label, 0, top=f"{top:.1%}")


def shown_range(series: Iterable[np.ndarray]) -> tuple[float, float, int]:
    """(low, high) of the axis, low < high, and how many values lie outside.

    The middle 98 % set it where others are far off, as a frame is that copies the truth (100 dB among 20 dB).
    """
    values = np.concatenate([v[np.isfinite(v)] for v in series])
    low, high = np.quantile(values, [0.01, 0.99], method="inverted_cdf")
    room = max(high - low, 1e-9)
    low = values.min() if values.min() >= low - _FAR * room else low
    high = values.max() if values.max() <= high + _FAR * room else high
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    margin = 0.04 * (high - low)
    # No room below 0 for what is never negative.
    low, high = float(low - margin if low < 0 else max(low - margin, 0)), float(high + margin)
    return low, high, int(((values < low) | (values > high)).sum())


def _series(tracks: Tracks, metric: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name -> (frames (n,), values (n,), NaN where missing), of those that have any."""
    found = {}
    for name, rows in tracks.items():
        values = np.array([np.nan if row.get(metric) is None else row[metric] for row in rows], np.float64)
        if np.isfinite(values).any():
            found[name] = np.array([row["frame"] for row in rows], np.float64), values
    return found


def _goal(tracks: Tracks, metric: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(frames, values) that would be best, where that is a number or another metric; else nothing."""
    direction = direction_of(metric)
    if direction is None or direction.goal is None:
        return []
    if isinstance(direction.goal, str):
        return list(_series(tracks, direction.goal).values())[:1]
    return [(np.array(_frame_range(tracks), np.float64), np.full(2, direction.goal))]


def _frame_range(tracks: Tracks) -> tuple[int, int]:
    frames = [row["frame"] for rows in tracks.values() for row in rows]
    return min(frames), max(frames)


def _chart(
    metric: str,
    definitions: Mapping[str, str],
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    low: float,
    high: float,
    lines: Sequence[Line],
    cut: int,
) -> Chart:
    direction = direction_of(metric)
    texts = [
        f"{name} from {number_text(metric, float(np.nanmin(v)))} to {number_text(metric, float(np.nanmax(v)))}, "
        f"mean {number_text(metric, float(np.nanmean(v)))}"
        for name, (_, v) in series.items()
    ]
    return Chart(
        metric,
        direction.text if direction else "no better or worse known",
        definitions[metric],
        number_text(metric, low),
        number_text(metric, high),
        tuple(lines),
        f"{metric}: {'; '.join(texts)}",
        cut,
    )


def _path(frames: np.ndarray, values: np.ndarray, box: tuple[float, float, float, float]) -> str:
    """Path data of a line, broken where values are NaN; a single point becomes a dot.

    box: first frame, last frame, lowest and highest value, at the edges of WIDTH x HEIGHT.
    """
    first, last, low, high = box
    x, y = (frames - first) / max(last - first, 1), (values - low) / (high - low)
    if len(x) > 2 * _COLUMNS:
        kept = [i for part in np.array_split(np.arange(len(x)), _COLUMNS) for i in _extremes(part, y)]
        x, y = x[kept], y[kept]
    steps, pen_down = [], False
    for index, (a, b) in enumerate(zip(x, y, strict=True)):
        if not isfinite(b):
            pen_down = False
            continue
        place = f"{a * WIDTH:.1f} {(1 - min(max(b, 0.0), 1.0)) * HEIGHT:.1f}"
        steps.append(f"{'L' if pen_down else 'M'}{place}")
        if not pen_down and (index + 1 == len(y) or not isfinite(y[index + 1])):
            steps.append("h.01")
        pen_down = True
    return "".join(steps)


def _extremes(part: np.ndarray, y: np.ndarray) -> list[int]:
    """Where the lowest and the highest of a part lie, in order; one missing value stands for a part without any."""
    there = part[np.isfinite(y[part])]
    if not len(there):
        return [int(part[0])]
    return sorted({int(there[np.argmin(y[there])]), int(there[np.argmax(y[there])])})


def _steps(heights: np.ndarray) -> str:
    """Heights in 0..1 -> the outline of as many bars, closed along the bottom."""
    width = WIDTH / len(heights)
    parts = [f"M0 {HEIGHT}"]
    for index, height in enumerate(heights):
        parts.append(f"L{index * width:.1f} {(1 - height) * HEIGHT:.1f}H{(index + 1) * width:.1f}")
    return "".join(parts) + f"V{HEIGHT}Z"
