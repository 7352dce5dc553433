"""Several metrics files in, run by run; out come their scores on the frames they share, and paired differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isclose
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from signgen.errors import MetricsError
from signgen.metrics.definitions import RATIOS
from signgen.metrics.directions import direction_of
from signgen.metrics.intervals import (
    LEAST_EFFECTIVE,
    LEAST_VALUES,
    mean_interval,
)
from signgen.metrics.means import metric_mean
from signgen.metrics.results import is_set, number_text, read_metrics

Key = int | str
METHOD = (
    "Difference: the run's score minus the first run's on the same frame, averaged over the frames that have both; for "
    "a metric that is best near a goal, the distances from the goal are subtracted instead. In brackets its 95 % "
    "interval. Frames of one clip: neighbours are alike, so the variance of the mean is taken from the series' lowest "
    "cosine transforms, with Student's t for as many (Mueller 2004; Lazarus et al. 2018). Several clips: each is left "
    "out in turn (jackknife); of a set of images, each image. An interval without 0 says that these frames tell the "
    "runs apart; that of one clip says nothing of other clips, none says anything of other training seeds, and of "
    f"twenty one is expected to miss. There is none for fewer than {LEAST_VALUES} frames or images, for fewer than "
    f"{LEAST_EFFECTIVE:g} of several clips, and for frames worth fewer than {LEAST_EFFECTIVE:g} independent ones."
)


@dataclass(frozen=True)
class Run:
    """One metrics file. rows: by the key its frames are matched by, in their order."""

    name: str
    path: Path
    result: dict[str, Any]
    rows: dict[Key, dict[str, Any]]


def load_runs(paths: Sequence[Path]) -> list[Run]:
    """Read and name the files; their frames get keys that mean the same in all. Raises MetricsError."""
    if len(paths) < 2:
        raise MetricsError(f"{len(paths)} metrics file", expected="two or more, of which the first is compared with")
    results = [read_metrics(path) for path in paths]
    for path, result in zip(paths, results, strict=True):
        if result["protocol"] != results[0]["protocol"]:
            raise MetricsError(
                f"{paths[0]} is of the protocol {results[0]['protocol']!r}, {path} of {result['protocol']!r}",
                expected="one protocol and size",
                fix="score them alike; numbers of different protocols have nothing to do with each other",
            )
    keys = frame_keys([result["per_frame"] for result in results], paths)
    return [
        Run(name, path, result, dict(zip(found, result["per_frame"], strict=True)))
        for name, path, result, found in zip(run_names(paths), paths, results, keys, strict=True)
    ]


def run_names(paths: Sequence[Path]) -> list[str]:
    """Short and different: `out` for out.metrics.json, the folder for FOLDER/metrics.json, else the whole path."""
    names = []
    for path in paths:
        stem = path.name if path.is_dir() else path.name.removesuffix(".json").removesuffix("metrics").removesuffix(".")
        names.append(stem or path.resolve().parent.name)
    counts = Counter(names)
    names = [name if counts[name] == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    if len(set(names)) < len(names):
        raise MetricsError(f"{Counter(names).most_common(1)[0][0]} is given twice", expected="different files")
    return names


def frame_keys(tables: Sequence[list[dict[str, Any]]], paths: Sequence[Path]) -> list[list[Key]]:
    """What frames are matched by: a clip's frames by number; images of a set by the name of their truth, if no two have
    the same, or else by that of the generated image. Raises MetricsError where neither tells the images apart.
    """
    if not any(is_set(rows) for rows in tables):
        return [[row["frame"] for row in rows] for rows in tables]
    if not all(is_set(rows) for rows in tables):
        raise MetricsError(f"{paths[0]} and others: a clip beside a set of images", expected="all of one kind")
    for column in ("truth", "generated"):
        keys: list[list[Key]] = [[_stem(row[column]) for row in rows] for rows in tables]
        if all(len(set(found)) == len(found) for found in keys):
            return keys
    raise MetricsError(
        f"{paths[0]}: two images of one name, of the truth and of what was generated",
        expected="names that tell the images apart",
    )


def _stem(name: str) -> str:
    """The file's name without folders and suffix: runs lie in different folders."""
    return PurePosixPath(name.replace("\\", "/")).stem


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """What compare.json holds: means of every run over the frames all have, and differences to the first run.

    Keys: verdict, protocol, definitions, method, runs, frames, means, intervals, differences, not_compared, notes.
    Raises MetricsError where no frame is in all, or the truths differ.
    """
    # frames that all runs have
    first = runs[0]
    common = [key for key in first.rows if all(key in run.rows for run in runs)]
    if not common:
        raise MetricsError(
            f"{' and '.join(str(run.path) for run in runs)}: no frame is in all", expected="runs over the same frames"
        )
    _same_truth(runs, common)
    # metrics that all runs have, and their means
    not_compared = _not_compared(runs, len(common))
    metrics = [name for name in first.result["definitions"] if name not in not_compared]
    means = {run.name: {metric: _mean(run, metric, common) for metric in metrics} for run in runs}
    # paired differences to the first run
    differences: dict[str, dict[str, Any]] = {run.name: {} for run in runs[1:]}
    for run in runs[1:]:
        for metric in metrics:
            if (found := _difference(first, run, metric, common)) is not None:
                differences[run.name][metric] = found
    result = {
        "protocol": first.result["protocol"],
        "definitions": {name: first.result["definitions"][name] for name in metrics},
        "method": METHOD,
        "runs": [{"name": run.name, "file": str(run.path), "frames": len(run.rows)} for run in runs],
        "frames": len(common),
        "means": means,
        "intervals": {run.name: _intervals(run, metrics, common) for run in runs},
        "differences": differences,
        "not_compared": not_compared,
        "notes": _notes(runs, common),
    }
    return {"verdict": comparison_verdict(result), **result}


def _same_truth(runs: Sequence[Run], common: list[Key]) -> None:
    """By the metrics that say something of the truth alone; a clip's frames have numbers, which all clips share."""
    names = [n for n in runs[0].result["definitions"] if (d := direction_of(n)) is not None and d.kind == "truth"]
    for run in runs[1:]:
        for name in names:
            for key in common:
                first, other = runs[0].rows[key].get(name), run.rows[key].get(name)
                if first is not None and other is not None and not isclose(first, other, rel_tol=1e-3, abs_tol=1e-6):
                    raise MetricsError(
                        f"{runs[0].path} and {run.path}: {name} of frame {key} is {first:g} and {other:g}",
                        expected="scores against the same truth",
                    )


def _not_compared(runs: Sequence[Run], common: int) -> dict[str, str]:
    """Metric -> why it is left out: some run lacks it, means something else by it, or took it over other images."""
    reasons: dict[str, str] = {}
    for metric in dict.fromkeys(name for run in runs for name in run.result["definitions"]):
        lacking = [run.name for run in runs if run.result["mean"].get(metric) is None]
        texts = {run.result["definitions"].get(metric) for run in runs}
        if lacking:
            reasons[metric] = f"not in {', '.join(lacking)}"
        elif len(texts) > 1:
            reasons[metric] = "its definitions differ"
        elif _is_of_whole_set(runs[0], metric) and any(len(run.rows) != common for run in runs):
            reasons[metric] = "one value of a whole set, and the sets differ"
    return reasons


def _is_of_whole_set(run: Run, metric: str) -> bool:
    return all(row.get(metric) is None for row in run.rows.values())


def _mean(run: Run, metric: str, common: list[Key]) -> float | None:
    if _is_of_whole_set(run, metric):
        return float(run.result["mean"][metric])
    rows = [run.rows[key] for key in common]
    return metric_mean(metric, [{metric: None, **row} for row in rows])


def _difference(first: Run, run: Run, metric: str, common: list[Key]) -> dict[str, Any] | None:
    """The paired difference, its interval and who is better by it; None for what has no values frame by frame."""
    direction = direction_of(metric)
    if direction is not None and direction.kind == "truth":
        return None
    values, clips = [], []
    for key in common:
        pair = [direction.loss(metric, r.rows[key]) if direction else r.rows[key].get(metric) for r in (first, run)]
        if pair[0] is not None and pair[1] is not None:
            values.append(pair[1] - pair[0])
            clips.append(first.rows[key].get("clip"))
    if not values:
        return None
    # Losses of a metric that is better when higher are the negated scores.
    sign = -1 if direction is not None and direction.kind == "higher" else 1
    interval = mean_interval(sign * np.array(values), clips, is_set(list(first.rows.values())))
    better = None
    if direction is not None and interval.sign:
        better = run.name if interval.sign * sign < 0 else first.name
    return {**asdict(interval), "of": direction.compared if direction else "", "better": better}


def _intervals(run: Run, metrics: Sequence[str], common: list[Key]) -> dict[str, list[float]]:
    """Metric -> low and high end for the run's own mean; those that have an interval. A ratio of sums has none."""
    images, found = is_set(list(run.rows.values())), {}
    for metric in (name for name in metrics if name not in RATIOS):
        rows = [row for key in common if (row := run.rows[key]).get(metric) is not None]
        if rows:
            interval = mean_interval(np.array([row[metric] for row in rows]), [row.get("clip") for row in rows], images)
            if interval.low is not None and interval.high is not None:
                found[metric] = [interval.low, interval.high]
    return found


def _notes(runs: Sequence[Run], common: list[Key]) -> list[str]:
    notes = []
    for run in runs:
        if len(run.rows) != len(common):
            notes.append(
                f"{run.name} has {len(run.rows)} frames; {len(common)} are in all runs, and only they count here"
            )
    if not is_set(list(runs[0].rows.values())):
        truths = {run.name: _truth_file(run) for run in runs}
        known = {path for path in truths.values() if path}
        if len(known) > 1:
            files = ", ".join(f"{name}: {path}" for name, path in truths.items() if path)
            notes.append(f"the truth's files have different names or sizes ({files}); frames are matched by number")
    return notes


def _truth_file(run: Run) -> str:
    for file in run.result.get("provenance", {}).get("files", []):
        if file["role"] == "truth":
            return f"{_stem(file['path'])}, {file['bytes']} bytes"
    return ""


def comparison_verdict(result: dict[str, Any]) -> str:
    """In words, a line for each run: by which metrics it is better than the first, and what the frames cannot tell."""
    first = result["runs"][0]["name"]
    return "\n".join(_verdict_on(name, first, found) for name, found in result["differences"].items())


def judgement(metric: str, found: Mapping[str, Any]) -> str:
    """Of one difference: `B is better`, or why nobody is."""
    if found["better"] is not None:
        return f"{found['better']} is better"
    if direction_of(metric) is None:
        return "no better or worse known"
    return f"too few: {found['why']}" if found["low"] is None else "cannot be distinguished"


def _verdict_on(name: str, first: str, differences: dict[str, dict[str, Any]]) -> str:
    better = [metric for metric, found in differences.items() if found["better"] == name]
    worse = [metric for metric, found in differences.items() if found["better"] == first]
    judged = [metric for metric in differences if direction_of(metric) is not None]
    open_ = [metric for metric in judged if metric not in better + worse]
    if not judged:
        return f"{name} and {first} have no metric in common that can be judged."
    if not better and not worse:
        return f"Nothing tells {name} from {first}: every interval holds 0, or there are too few frames for one."
    parts = []
    if better:
        parts.append(f"{name} is better than {first} in {_told(better, differences)}")
    if worse:
        parts.append(f"{'worse' if better else f'{name} is worse than {first}'} in {_told(worse, differences)}")
    if open_:
        parts.append(f"no difference can be shown in {', '.join(open_)}")
    return "; ".join(parts) + "."


def _told(metrics: list[str], differences: dict[str, dict[str, Any]]) -> str:
    texts = []
    for metric in metrics:
        found = differences[metric]
        of = f" in {found['of']}" if found["of"] else ""
        texts.append(f"{metric} ({signed_text(metric, found['mean'])}{of})")
    return ", ".join(texts)


def signed_text(metric: str, value: float | None) -> str:
    """A difference with its sign."""
    return number_text(metric, value) if value is None or value < 0 else f"+{number_text(metric, value)}"


def interval_text(metric: str, found: Mapping[str, Any]) -> str:
    """`+0.032 [+0.021, +0.044]`, or the difference alone where there is no interval."""
    middle = signed_text(metric, found["mean"])
    if found["low"] is None:
        return f"{middle} (no interval: {found['why']})"
    return f"{middle} [{signed_text(metric, found['low'])}, {signed_text(metric, found['high'])}]"
