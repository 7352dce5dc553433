"""Paces in, equal steps out; scores of the ablation's runs in, tables and sentences with intervals out. All are pure.

A run is {"row", "seed", "steps", "parameters", "seconds", "clips": [{"on", "clip", "model": {column: score},
"copy-source": {...}}]}. Two numbers say how sure a difference of two rows is:

- its interval: the 95 % percentile bootstrap of the mean of the differences of runs of one seed on one clip, seeds and
  clips drawn anew independently of each other. With few seeds it is too narrow: three cannot say how far runs spread.
- the smallest difference that the seeds can show: t s / sqrt(n), with s the standard deviation over n seeds of the
  difference of means, pooled over all rows, and t of Student's distribution with n - 1 degrees of freedom at 97.5 %
  (4.30 for three seeds), since all rows are held against the same runs of B1.

A module pays in a column where both say that its difference is for the better. It does not pay where both rule out a
gain that is worth having (WORTH). Else it cannot be told. Many columns are looked at: of twenty in which nothing
happens, one is expected to lie outside of its interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from signgen.errors import OptionError

BASELINE, COPY = "B1", "copy-source"
COLUMNS = ("ssim", "psnr", "hand_ssim", "face_ssim", "hand_sharpness", "pck_10", "found_10", "hand_found_10", "lpips")
# What a gain has to be, for a module to be worth its time, in the columns that say whether it pays.
WORTH = {
    "ssim": 0.005,
    "hand_ssim": 0.005,
    "face_ssim": 0.005,
    "found_10": 0.03,
    "hand_found_10": 0.03,
    "lpips": 0.005,
}
LESS_IS_BETTER = frozenset({"lpips"})
DRAWS, CONFIDENCE = 4000, 0.95


@dataclass(frozen=True)
class Pace:
    """rate: steps a second. beside: seconds of a run that are no steps: it is set up, validated and saved."""

    rate: float
    beside: float


def equal_steps(paces: dict[str, Pace], minutes: float) -> int:
    """As many as the slowest row makes in the minutes, all of a run being in them; paces: by row. Raises OptionError
    where that is none.

    >>> equal_steps({"B1": Pace(3.0, 20), "both": Pace(1.5, 40)}, 2)
    120
    """
    steps = min(int(pace.rate * (60 * minutes - pace.beside)) for pace in paces.values())
    if steps < 1:
        beside = max(pace.beside for pace in paces.values())
        raise OptionError(
            f"--minutes {minutes:g}: no time for a step",
            expected=f"more than the {beside:.0f} seconds in which a run is set up, validated and saved",
            fix="take more minutes, or give --steps",
        )
    return steps


def paced(times: dict[int, float], seconds: float) -> Pace:
    """times: when steps were done, by their numbers, at least two; seconds: of the whole run.

    >>> paced({10: 100.0, 20: 105.0, 30: 110.0}, 23.0)
    Pace(rate=2.0, beside=8.0)
    """
    first, last = min(times), max(times)
    rate = (last - first) / (times[last] - times[first])
    return Pace(rate, seconds - last / rate)


@dataclass(frozen=True)
class Contrast:
    """A module, by the row that has it and the one that has not."""

    module: str
    row: str
    against: str


CONTRASTS = (
    Contrast("the alignment", "B2", "B1"),
    Contrast("the alignment, with guidance in both", "both", "B3"),
    Contrast("guidance (penalty and sampling)", "B3", "B1"),
    Contrast("guidance, with alignment in both", "both", "B2"),
    Contrast("both together", "both", "B1"),
    Contrast("FPDM's tokens in place of the CNN's", "B1-tokens", "B1"),
    Contrast("the extra spatial conditions", "B1-spatial", "B1"),
)


@dataclass(frozen=True)
class Difference:
    """The mean of a row's scores minus another's, its interval, and the smallest that the seeds can show (inf: none).

    low, high: None of a single seed, which says nothing about seeds.
    """

    mean: float
    low: float | None
    high: float | None
    smallest: float

    @property
    def text(self) -> str:
        """`+0.012 [+0.004, +0.020]`."""
        interval = "" if self.low is None else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.mean:+.3f}{interval}"


def scores(runs: Sequence[dict], row: str, on: str, column: str, who: str = "model") -> dict[int, dict[str, float]]:
    """seed -> clip -> score; clips that lack it are left out."""
    found: dict[int, dict[str, float]] = {}
    for run in (each for each in runs if each["row"] == row):
        clips = {clip["clip"]: clip[who].get(column) for clip in run["clips"] if clip["on"] == on}
        found[run["seed"]] = {name: score for name, score in clips.items() if score is not None}
    return {seed: clips for seed, clips in found.items() if clips}


def paired(runs: Sequence[dict], row: str, against: str, on: str, column: str) -> np.ndarray:
    """(seeds, clips): differences of what both rows have, seed by seed and clip by clip; empty where there is none."""
    ours, theirs = (scores(runs, name, on, column) for name in (row, against))
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return np.empty((0, 0))
    clips = sorted(set.intersection(*(set(each[seed]) for each in (ours, theirs) for seed in seeds)))
    return np.array([[ours[seed][clip] - theirs[seed][clip] for clip in clips] for seed in seeds])


def bootstrap(apart: np.ndarray, draws: int = DRAWS) -> tuple[float, float]:
    """95 % interval of the mean of (seeds, clips), both drawn anew; the same every time."""
    rng = np.random.default_rng(0)
    seeds, clips = (rng.integers(size, size=(draws, size)) for size in apart.shape)
    means = [apart[np.ix_(rows, columns)].mean() for rows, columns in zip(seeds, clips, strict=True)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def smallest_difference(apart: Sequence[np.ndarray]) -> float:
    """What the seeds can show, of the (seeds, clips) of all rows against the baseline; inf where no row has two seeds.

    >>> round(smallest_difference([np.array([[0.0], [0.01], [0.02]])]), 4)
    0.0248
    """
    spread = [each.mean(1) for each in apart if len(each) > 1]
    if not spread:
        return math.inf
    seeds = min(map(len, spread))
    pooled = math.sqrt(np.mean([means.var(ddof=1) for means in spread]))
    return float(t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) * pooled / math.sqrt(seeds)


def difference(runs: Sequence[dict], row: str, against: str, on: str, column: str) -> Difference | None:
    """Of two rows; None where no run of both has the score."""
    apart = paired(runs, row, against, on, column)
    if not apart.size:
        return None
    others = [paired(runs, each, BASELINE, on, column) for each in rows_of(runs) if each != BASELINE]
    smallest = smallest_difference([each for each in others if each.size])
    low, high = bootstrap(apart) if len(apart) > 1 else (None, None)
    return Difference(float(apart.mean()), low, high, smallest)


def verdict(found: Difference, column: str) -> str:
    """`pays`, `does not pay` or `cannot be told`, in this column."""
    if found.low is None or found.high is None:
        return "cannot be told"
    sign = -1 if column in LESS_IS_BETTER else 1
    mean, (low, high) = sign * found.mean, sorted((sign * found.low, sign * found.high))
    low, high = min(low, mean - found.smallest), max(high, mean + found.smallest)
    if low > 0:
        return "pays"
    return "does not pay" if high < WORTH[column] else "cannot be told"


def rows_of(runs: Sequence[dict]) -> list[str]:
    """Names of rows in the order in which they come first."""
    return list(dict.fromkeys(run["row"] for run in runs))


def places_of(runs: Sequence[dict]) -> list[str]:
    """What was scored on."""
    return list(dict.fromkeys(clip["on"] for run in runs for clip in run["clips"]))


def table(runs: Sequence[dict]) -> str:
    """Markdown: for each place copy-source, then a line a row: means over seeds of means over clips, and their range.

    Raises ValueError where runs were not trained for as many steps as the others.
    """
    if len(steps := {run["steps"] for run in runs}) > 1:
        raise ValueError(f"runs of {', '.join(map(str, sorted(steps)))} steps cannot be compared")
    lines = [f"| on | row | seeds | {' | '.join((*COLUMNS, 'ms', 'parameters', 'training s'))} |"]
    lines.append("|---" * (len(COLUMNS) + 6) + "|")
    for on in places_of(runs):
        copied = [cell(scores(runs[:1], runs[0]["row"], on, column, COPY)) for column in COLUMNS]
        lines.append(f"| {on} | {COPY} | | {' | '.join((*copied, '-', '-', '-'))} |")
        for row in rows_of(runs):
            own = [run for run in runs if run["row"] == row]
            costs = [f"{np.mean([run[name] for run in own]):,.0f}" for name in ("parameters", "seconds")]
            cells = [cell(scores(runs, row, on, column)) for column in (*COLUMNS, "ms")]
            lines.append(f"| {on} | {row} | {len(own)} | {' | '.join((*cells, *costs))} |")
    return "\n".join(lines)


def cell(found: dict[int, dict[str, float]]) -> str:
    """The mean over seeds of means over clips; of several seeds with their range."""
    means = [float(np.mean(list(clips.values()))) for clips in found.values()]
    if not means:
        return "-"
    digits = 1 if max(map(abs, means)) >= 10 else 3
    text = f"{np.mean(means):.{digits}f}"
    return f"{text} ({min(means):.{digits}f} to {max(means):.{digits}f})" if len(means) > 1 else text


def differences(runs: Sequence[dict]) -> str:
    """Markdown: every row's difference to B1 with its interval, and the smallest that the seeds can show."""
    lines = [f"| on | minus {BASELINE} | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for on in places_of(runs):
        found = {
            row: [difference(runs, row, BASELINE, on, column) for column in COLUMNS]
            for row in rows_of(runs)
            if row != BASELINE
        }
        for row, cells in found.items():
            lines.append(f"| {on} | {row} | {' | '.join('-' if each is None else each.text for each in cells)} |")
        if found:
            columns = zip(*found.values(), strict=True)
            widest = [max((each.smallest for each in column if each), default=math.inf) for column in columns]
            shown = ["-" if math.isinf(each) else f"{each:.3f}" for each in widest]
            lines.append(f"| {on} | smallest that can be shown | {' | '.join(shown)} |")
    return "\n".join(lines)


def sentences(runs: Sequence[dict]) -> Iterator[str]:
    """For each module and place: in which columns it pays, in which it does not, in which that cannot be told."""
    for contrast in CONTRASTS:
        for on in places_of(runs):
            told: dict[str, list[str]] = {}
            for column in WORTH:
                found = difference(runs, contrast.row, contrast.against, on, column)
                if found is not None:
                    told.setdefault(verdict(found, column), []).append(f"{column} {found.text}")
            if told:
                words = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in told.items())
                yield f"{contrast.module} ({contrast.row} minus {contrast.against}), {on}: {words}."
