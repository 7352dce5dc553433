"""mAP and CMC of re-identification: a case worked out by hand, an independent computation, and Market-1501's rules."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.errors import MetricsError
from signgen.metrics.reid import Seen, average_precision, distances_between, hits_of, reid_scores


def seen(*who: tuple[int, int]) -> Seen:
    return Seen(np.array([person for person, _ in who]), np.array([camera for _, camera in who]))


def test_a_case_worked_out_by_hand() -> None:
    """One query, person 1 by camera 1. The ranking, nearest first:

    place  image        what counts
    -      1, camera 1  taken out: the same camera
    0      2, camera 2  wrong
    -      junk         taken out
    1      1, camera 2  hit: precision 1/2, before it 0/1     -> (0 + 1/2) / 2 = 1/4
    2      distractor   wrong, and counts
    3      1, camera 3  hit: precision 2/4, before it 1/3     -> (1/3 + 1/2) / 2 = 5/12

    AP = (1/4 + 5/12) / 2 = 1/3; the first hit is second, so that rank 1 has none and rank 5 has it.
    """
    gallery = seen((1, 1), (2, 2), (-1, 3), (1, 2), (0, 4), (1, 3))
    scores = reid_scores(np.arange(6.0)[None], seen((1, 1)), gallery)
    assert hits_of(np.arange(6.0), 1, 1, gallery).tolist() == [1, 3]
    assert scores.mean_ap == pytest.approx(1 / 3)
    assert scores.cmc == {1: 0.0, 5: 1.0, 10: 1.0}
    assert (scores.queries, scores.unmatched) == (1, 0)


def marketwise(distances: np.ndarray, query: Seen, gallery: Seen) -> tuple[float, float]:
    """mAP and rank 1 by walking down each ranking and adding up trapezoids of the precision-recall curve."""
    areas, first = [], []
    for row, person, camera in zip(distances, query.person, query.camera, strict=True):
        ranking = [
            gallery.person[n] == person
            for n in np.argsort(row)
            if gallery.person[n] != -1 and not (gallery.person[n] == person and gallery.camera[n] == camera)
        ]
        recall, precision, area = 0.0, 1.0, 0.0
        for place in range(len(ranking)):
            found = sum(ranking[: place + 1])
            area += (found / sum(ranking) - recall) * (precision + found / (place + 1)) / 2
            recall, precision = found / sum(ranking), found / (place + 1)
        areas.append(area)
        first.append(bool(ranking[0]))
    return float(np.mean(areas)), float(np.mean(first))


@pytest.mark.parametrize("seed", range(5))
def test_random_rankings_against_an_independent_computation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gallery = Seen(rng.integers(-1, 6, 120), rng.integers(1, 5, 120))
    query = Seen(rng.integers(1, 6, 25), rng.integers(1, 5, 25))
    distances = rng.random((25, 120))
    scores = reid_scores(distances, query, gallery)
    assert (scores.mean_ap, scores.cmc[1]) == pytest.approx(marketwise(distances, query, gallery))


def test_junk_and_the_same_camera_change_nothing_and_a_distractor_does() -> None:
    gallery = seen((2, 1), (1, 2))
    base = reid_scores(np.array([[0.5, 0.6]]), seen((1, 1)), gallery)
    for extra, changes in (((-1, 2), False), ((1, 1), False), ((0, 2), True), ((3, 1), True)):
        more = Seen(np.append(gallery.person, extra[0]), np.append(gallery.camera, extra[1]))
        scores = reid_scores(np.array([[0.5, 0.6, 0.1]]), seen((1, 1)), more)
        assert (scores.mean_ap != base.mean_ap) == changes, extra


def test_a_perfect_ranking_is_one_and_a_query_without_a_match_is_counted_out() -> None:
    assert average_precision(np.arange(4)) == 1
    scores = reid_scores(np.array([[0.0, 1], [0, 1]]), seen((1, 1), (2, 2)), seen((1, 2), (2, 2)))
    assert (scores.mean_ap, scores.queries, scores.unmatched) == (1, 1, 1)
    with pytest.raises(MetricsError, match="no query has an image of its person by another camera"):
        reid_scores(np.array([[0.0]]), seen((1, 1)), seen((1, 1)))


def test_distances_are_those_of_numpy() -> None:
    one, other = (np.random.default_rng(seed).normal(size=(n, 7)) for seed, n in ((0, 3), (1, 4)))
    euclidean = np.linalg.norm(one[:, None] - other, axis=-1)
    np.testing.assert_allclose(distances_between(one, other, "euclidean"), euclidean)
    cosine = [[1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in other] for a in one]
    np.testing.assert_allclose(distances_between(one, other, "cosine"), cosine)
