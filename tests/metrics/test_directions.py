"""Which way is better: every metric has an answer, an unknown one none."""

from __future__ import annotations

from signgen.metrics.definitions import DEFINITIONS
from signgen.metrics.directions import best_of, direction_of, worst_rows
from signgen.metrics.image_set.protocols import PROTOCOLS


def test_every_metric_that_is_defined_has_a_direction() -> None:
    of_protocols = {name for protocol in PROTOCOLS.values() for name in protocol.definitions(None)}
    assert [name for name in (*DEFINITIONS, *sorted(of_protocols)) if direction_of(name) is None] == []


def test_the_best_is_the_nearest_to_the_goal() -> None:
    means = {
        "model": {"ssim": 0.8, "lpips": 0.3, "hand_sharpness": 1.3, "flicker": 2.0, "flicker_truth": 1.5},
        "copy-source": {"ssim": 0.7, "lpips": 0.3, "hand_sharpness": 0.8, "flicker": 0.0, "flicker_truth": 1.5},
        "nobody": {"ssim": None},
    }
    assert best_of("ssim", means) == {"model"}
    assert best_of("lpips", means) == {"model", "copy-source"}
    assert best_of("hand_sharpness", means) == {"copy-source"}
    assert best_of("flicker", means) == {"model"}  # not the frozen one
    assert best_of("flicker_truth", means) == set()
    assert best_of("ssim", {"model": means["model"]}) == set()


def test_an_unknown_metric_ranks_nobody() -> None:
    rows = [{"frame": i, "glow": i} for i in range(3)]
    assert direction_of("glow") is None
    assert best_of("glow", {"a": {"glow": 1}, "b": {"glow": 2}}) == set()
    assert worst_rows("glow", rows, 2) == []


def test_the_worst_come_first_and_missing_scores_not_at_all() -> None:
    rows = [{"frame": i, "ssim": s, "lpips": s} for i, s in enumerate([0.5, None, 0.9, 0.1])]
    assert [row["frame"] for row in worst_rows("ssim", rows, 2)] == [3, 0]
    assert [row["frame"] for row in worst_rows("lpips", rows, 5)] == [2, 0, 3]
