"""Back-translation: (name, hypothesis, reference) of every clip in; BLEU-1 to 4, ROUGE-L and WER of the corpus out.

Texts are compared word for word as they stand, split at white space, as work on Phoenix-2014T does; upper and lower
case differ. BLEU is sacrebleu's (extra `text`): its signature is what papers give, and it smooths orders without a
match, where torchmetrics has 0. WER is torchmetrics'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

ROUGE_BETA = 1.2  # as coco-caption, and with it the sign-language translation work since Camgöz et al. 2018
BLEU_ORDERS = (1, 2, 3, 4)
_INSTALL = "{} is not installed; get it with: pip install 'signgen[text]'"
_BLEU = (
    "Corpus BLEU-{} in per cent: geometric mean of the precisions of 1- to {}-grams times the brevity penalty; {}; "
    "100 is best."
)

Rows = list[tuple[str, str, str]]
Scored = list[tuple[float, str]]  # values and their definitions
Family = Callable[[Sequence[str], Sequence[str], list[dict[str, Any]]], Scored]


def score_texts(rows: Rows) -> dict[str, Any]:
    """The metrics dictionary, shaped as for clips: `per_frame` has a row for each text. References have words."""
    texts: list[dict[str, Any]] = [
        {"frame": index, "name": name, "hypothesis": hypothesis, "reference": reference}
        for index, (name, hypothesis, reference) in enumerate(rows)
    ]
    mean, definitions, not_computed = _scores(rows, texts)
    empty = sum(not hypothesis for _, hypothesis, _ in rows)
    return {
        "protocol": "signgen-text: words split at white space, case as it stands, one reference for each hypothesis",
        "definitions": definitions,
        "frames": len(rows),
        "mean": mean,
        "baselines": {},
        "not_computed": not_computed,
        "notes": [f"{empty} of {len(rows)} hypotheses are empty"] if empty else [],
        "per_frame": texts,
    }


def _scores(rows: Rows, texts: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, str], dict[str, str]]:
    """Values, definitions, and reasons for what is missing, by name; a text's own numbers go to its row of `texts`."""
    families: tuple[tuple[str | None, tuple[str, ...], Family], ...] = (
        ("sacrebleu", tuple(f"bleu_{order}" for order in BLEU_ORDERS), _bleu),
        (None, ("rouge_l",), _rouge),
        (None, ("wer",), _wer),
    )
    mean: dict[str, float] = {}
    definitions: dict[str, str] = {}
    not_computed: dict[str, str] = {}
    hypotheses, references = [row[1] for row in rows], [row[2] for row in rows]
    for package, names, score in families:
        if package is not None and find_spec(package) is None:
            not_computed |= dict.fromkeys(names, _INSTALL.format(package))
            continue
        for name, (value, definition) in zip(names, score(hypotheses, references, texts), strict=True):
            mean[name], definitions[name] = value, definition
    return mean, definitions, not_computed


def _bleu(hypotheses: Sequence[str], references: Sequence[str], texts: list[dict[str, Any]]) -> Scored:
    from sacrebleu.metrics import BLEU

    found = []
    for order in BLEU_ORDERS:
        bleu = BLEU(max_ngram_order=order, tokenize="none", force=True)
        score = bleu.corpus_score(list(hypotheses), [list(references)]).score
        found.append((float(score), _BLEU.format(order, order, f"sacrebleu {bleu.get_signature()}")))
    return found


def _rouge(hypotheses: Sequence[str], references: Sequence[str], texts: list[dict[str, Any]]) -> Scored:
    for row, hypothesis, reference in zip(texts, hypotheses, references, strict=True):
        row["rouge_l"] = 100 * rouge_l(hypothesis, reference)
    definition = (
        "ROUGE-L in per cent: mean over the texts of (1 + b^2) P R / (R + b^2 P) with b = "
        f"{ROUGE_BETA:g}, P and R being the longest common subsequence over the words of hypothesis and reference; "
        "100 is best; packages that take b = 1 differ."
    )
    return [(float(np.mean([row["rouge_l"] for row in texts])), definition)]


def _wer(hypotheses: Sequence[str], references: Sequence[str], texts: list[dict[str, Any]]) -> Scored:
    from torchmetrics.text import WordErrorRate  # takes seconds to import

    rate = WordErrorRate()
    for row, hypothesis, reference in zip(texts, hypotheses, references, strict=True):
        rate.update(hypothesis, reference)
        row["wer"] = _per_cent(rate)
        rate.reset()
    rate.update(list(hypotheses), list(references))
    definition = (
        "Word error rate in per cent: substitutions, insertions and deletions of the whole corpus over the words of "
        f"its references (torchmetrics {version('torchmetrics')}); 0 is best, above 100 is possible."
    )
    return [(_per_cent(rate), definition)]


def _per_cent(rate: Any) -> float:
    """Of its counts: its own quotient is in float32."""
    return 100 * float(rate.errors) / float(rate.total)


def rouge_l(hypothesis: str, reference: str) -> float:
    """F of the longest common subsequence of words, in [0, 1], recall weighing ROUGE_BETA^2 times as much.

    >>> rouge_l("the cat sat", "the cat sat"), rouge_l("", "the cat sat")
    (1.0, 0.0)
    """
    ours, theirs = hypothesis.split(), reference.split()
    common = longest_common_subsequence(ours, theirs)
    if not common:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Its length.

    >>> longest_common_subsequence("a b c d".split(), "b x d".split())
    2
    """
    best = [0] * (len(other) + 1)
    for word in one:
        above, best = best, [0]
        for index, theirs in enumerate(other):
            best.append(above[index] + 1 if word == theirs else max(above[index + 1], best[index]))
    return best[-1]
