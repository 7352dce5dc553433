"""BLEU against torchmetrics and sacrebleu's own example, WER against jiwer and by hand, ROUGE-L by brute force."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signgen.metrics import text
from signgen.metrics.text import longest_common_subsequence, rouge_l, score_texts

HYPOTHESES = ["regen im norden", "am tag scheint die sonne im süden", "morgen wird es kalt und es schneit"]
REFERENCES = ["regen und wind im norden", "am tag scheint oft die sonne im süden", "morgen wird es sehr kalt"]
NEEDS = "needs the extra text: pip install -e '.[text]'"


def scored(hypotheses: list[str], references: list[str]) -> dict:
    names = map(str, range(len(references)))
    return score_texts(list(zip(names, hypotheses, references, strict=True)))


def test_bleu_is_torchmetrics_where_every_order_matches_and_wer_is_jiwers() -> None:
    pytest.importorskip("sacrebleu", reason=NEEDS)
    jiwer = pytest.importorskip("jiwer", reason="needs the extra dev: pip install -e '.[dev]'")
    from torchmetrics.functional.text import bleu_score

    mean = scored(HYPOTHESES, REFERENCES)["mean"]
    for order in (1, 2, 3, 4):
        expected = 100 * float(bleu_score(HYPOTHESES, [[x] for x in REFERENCES], n_gram=order))
        assert mean[f"bleu_{order}"] == pytest.approx(expected, rel=1e-5)
        assert 0 < expected < 100
    assert mean["wer"] == pytest.approx(100 * jiwer.wer(REFERENCES, HYPOTHESES), rel=1e-12)
    assert mean["wer"] == pytest.approx(100 * (2 + 1 + 4) / 18, rel=1e-12)  # counted by hand
    rows = scored(HYPOTHESES, REFERENCES)["per_frame"]
    for row, hypothesis, reference in zip(rows, HYPOTHESES, REFERENCES, strict=True):
        assert row["wer"] == pytest.approx(100 * jiwer.wer(reference, hypothesis), rel=1e-12)


def test_sacrebleus_own_example() -> None:
    """Of its documentation, the first reference, in its own tokens: 6 + 3 + 4 of 18 words, 5 + 1 + 1 of 15 bigrams."""
    pytest.importorskip("sacrebleu", reason=NEEDS)
    hypotheses = ["The dog bit the man .", "It was n't surprising .", "The man had just bitten him ."]
    references = ["The dog bit the man .", "It was not unexpected .", "The man bit him first ."]
    found = scored(hypotheses, references)
    assert found["mean"]["bleu_1"] == pytest.approx(100 * 13 / 18)
    assert found["mean"]["bleu_2"] == pytest.approx(100 * (13 / 18 * 7 / 15) ** 0.5)
    assert "tok:none" in found["definitions"]["bleu_4"]


def test_identical_and_disjoint_texts() -> None:
    pytest.importorskip("sacrebleu", reason=NEEDS)
    mean = scored(REFERENCES, REFERENCES)["mean"]
    assert mean == pytest.approx({**{f"bleu_{n}": 100 for n in (1, 2, 3, 4)}, "rouge_l": 100, "wer": 0})
    result = scored(["a b c d e", ""], ["f g h i j", "k"])
    assert result["mean"]["wer"] == 100
    assert result["mean"]["rouge_l"] == 0
    assert result["mean"]["bleu_1"] < 12  # sacrebleu smooths what has no match
    assert "1 of 2 hypotheses are empty" in result["notes"]
    assert [row["wer"] for row in result["per_frame"]] == [100, 100]


def test_rouge_l_by_hand() -> None:
    """3 words in common of 3 and 5: P = 1, R = .6, (1 + 1.44) .6 / (.6 + 1.44)."""
    assert rouge_l(HYPOTHESES[0], REFERENCES[0]) == pytest.approx(2.44 * 0.6 / 2.04)
    mean = scored(HYPOTHESES, REFERENCES)["mean"]["rouge_l"]
    assert mean == pytest.approx(100 / 3 * sum(map(rouge_l, HYPOTHESES, REFERENCES)))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from("abc"), max_size=7), st.lists(st.sampled_from("abc"), max_size=7))
def test_the_longest_common_subsequence_is_the_longest_of_all(one: list[str], other: list[str]) -> None:
    def subsequences(words: list[str]) -> set[tuple[str, ...]]:
        return {chosen for size in range(len(words) + 1) for chosen in combinations(words, size)}

    longest = max(map(len, subsequences(one) & subsequences(other)))
    assert longest_common_subsequence(one, other) == longest


def test_without_the_packages_the_rest_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "find_spec", lambda name: None)
    result = scored(HYPOTHESES, REFERENCES)
    assert set(result["mean"]) == {"rouge_l", "wer"}
    assert "pip install 'signgen[text]'" in result["not_computed"]["bleu_4"]
