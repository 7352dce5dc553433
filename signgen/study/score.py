"""The key of a study and its raters in; R2G, G2R and Jab with intervals and agreement, as a dictionary, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from signgen.metrics.intervals import wilson
from signgen.study.agreement import fleiss_kappa, krippendorff_alpha
from signgen.study.answers import Answer, Rater
from signgen.study.design import BEST, CHECK, GENERATED, REAL, REALISM, TRUTH
from signgen.study.intervals import LEAST_CLUSTERS, two_way_interval

DEFINITIONS = {
    "r2g": "share of the real pictures' judgements that were `generated` (real to generated); higher: the generated "
    "ones are harder to tell apart; .5 with g2r .5 is guessing",
    "g2r": "share of the generated pictures' judgements that were `real` (generated to real); higher is better",
    "g2r:RUN": "the same of one run's pictures",
    "jab:RUN": "share of choices among the outputs of all runs for one target in which the run was chosen as best "
    "(judged as best); chance is 1 / runs",
    "wilson": "Wilson's 95 % interval: every judgement taken for independent of the others, which judgements of one "
    "rater or of one target are not; too narrow for raters or targets in general",
    "interval": "95 % percentile interval of a bootstrap that draws raters and targets anew, each independently"
    " (pigeonhole bootstrap, Owen 2007): for raters and targets like these; assumes that raters were drawn and judged "
    f"independently; errs on the wide side; none for fewer than {LEAST_CLUSTERS} raters or targets, or where all "
    "judgements are the same",
    "alpha": "Krippendorff's alpha, nominal, over pictures (realism) or targets (best) with two judgements or more; "
    "1: raters agree, 0: as chance would have it",
    "kappa": "Fleiss' kappa over the same; only where all have the same number of judgements",
}
REALISM_ANSWERS = (REAL, GENERATED)


def score_study(
    key: Mapping[str, Any], raters: Sequence[Rater], notes: Iterable[str] = (), *, keep_failed: bool = False
) -> dict[str, Any]:
    """Everything `signgen study score` says. keep_failed: also count raters who failed an attention check."""
    failed = [rater for rater in raters if _failures(rater)]
    said = [*notes, *(f"rater {rater.number}: failed {_failures(rater)} attention checks" for rater in failed)]
    counted = [rater for rater in raters if keep_failed or rater not in failed]
    if failed and not keep_failed:
        said.append(f"{len(failed)} of {len(raters)} raters are left out, since they failed an attention check")
    again = sum(answer.shows > 1 for rater in counted for answer in rater.answers)
    if again:
        said.append(f"{again} judgements after a reload, of a picture that was seen more than once; they count")
    shares = {**_realism(key, counted), **_best(key, counted)}
    return {
        "study": key["study"],
        "definitions": DEFINITIONS,
        "runs": list(key["runs"]),
        "raters": [_rater_row(rater, rater in counted) for rater in raters],
        "shares": shares,
        "agreement": {REALISM: _agreement(counted, REALISM, ()), BEST: _agreement(counted, BEST, key["runs"])},
        "notes": said,
    }


def _failures(rater: Rater) -> int:
    return sum(answer.given != answer.trial["shown"][0] for answer in rater.answers if answer.trial["kind"] == CHECK)


def _scored(rater: Rater, kind: str) -> list[Answer]:
    return [a for a in rater.answers if a.trial["kind"] == kind and not a.trial["practice"]]


def _realism(key: Mapping[str, Any], raters: Sequence[Rater]) -> dict[str, Any]:
    def share(counts: Callable[[str], bool], hit: str) -> dict[str, Any] | None:
        return _share(key, raters, REALISM, lambda a: counts(a.trial["shown"][0]), lambda a: a.given == hit)

    shares = {"r2g": share(lambda shown: shown == TRUTH, GENERATED), "g2r": share(lambda shown: shown != TRUTH, REAL)}
    shares |= {f"g2r:{run}": share(lambda shown, run=run: shown == run, REAL) for run in key["runs"]}  # type: ignore[misc]
    return {name: found for name, found in shares.items() if found}


def _best(key: Mapping[str, Any], raters: Sequence[Rater]) -> dict[str, Any]:
    shares = {
        f"jab:{run}": _share(key, raters, BEST, lambda a: True, lambda a, run=run: a.given == run)  # type: ignore[misc]
        for run in key["runs"]
    }
    return {name: found for name, found in shares.items() if found}


def _share(
    key: Mapping[str, Any],
    raters: Sequence[Rater],
    kind: str,
    counts: Callable[[Answer], bool],
    hit: Callable[[Answer], bool],
) -> dict[str, Any] | None:
    """A share with its intervals, and None where nothing counts."""
    tables = np.zeros((2, len(raters), len(key["targets"])), np.int64)
    for row, rater in enumerate(raters):
        for answer in _scored(rater, kind):
            if counts(answer):
                tables[:, row, answer.trial["target"]] += [hit(answer), 1]
    hits, all_ = tables
    hits_sum, total = int(hits.sum()), int(all_.sum())
    if not total:
        return None
    seen = all_.sum(0) > 0  # targets that were used for something else are not drawn
    interval = two_way_interval(hits[:, seen], all_[:, seen])
    return {
        "share": hits_sum / total,
        "hits": hits_sum,
        "judgements": total,
        "targets": int(seen.sum()),
        "wilson": list(wilson(hits_sum, total)),
        "interval": None if interval is None else list(interval),
    }


def _agreement(raters: Sequence[Rater], kind: str, categories: Sequence[str]) -> dict[str, Any] | None:
    """Items are pictures (realism: a target as it was shown) or targets (best)."""
    categories = list(categories) or list(REALISM_ANSWERS)
    items: dict[tuple[Any, ...], Counter[str]] = {}
    for rater in raters:
        for answer in _scored(rater, kind):
            shown = answer.trial["shown"][0] if kind == REALISM else None
            items.setdefault((answer.trial["target"], shown), Counter())[answer.given] += 1
    counts = np.array([[item[name] for name in categories] for item in items.values() if item.total() > 1])
    if not len(counts):
        return None
    same = (counts.sum(1) == counts[0].sum()).all()
    return {
        "items": len(counts),
        "alpha": krippendorff_alpha(counts),
        "kappa": fleiss_kappa(counts) if same else None,
    }


def _rater_row(rater: Rater, counted: bool) -> dict[str, Any]:
    judged = _scored(rater, REALISM)
    wrong = sum((a.given == REAL) != (a.trial["shown"][0] == TRUTH) for a in judged)
    times = [a.answer_ms for a in judged]
    return {
        "rater": rater.number,
        "file": rater.path.name,
        "counted": counted,
        "answered": len(rater.answers),
        "asked": rater.asked,
        "accuracy": 1 - wrong / len(judged) if judged else None,
        "median_answer_ms": float(np.median(times)) if times else None,
        "failed_checks": _failures(rater),
    }
