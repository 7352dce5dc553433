"""The ablation of RePoseDM: its rows, equal steps, and what its table says of made-up runs."""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np
import pytest
from scipy import stats

from signgen.config import load_recipe
from signgen.errors import OptionError
from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from ablation_reposedm import ROWS, changes, keep_settings
from reposedm_scoring import found_shares
from reposedm_table import (
    Difference,
    Pace,
    bootstrap,
    difference,
    differences,
    equal_steps,
    paced,
    paired,
    sentences,
    smallest_difference,
    table,
    verdict,
)


def runs_with(gains: dict[str, float], seeds: int = 3, clips: int = 6, spread: float = 0.002, steps: int = 50):
    """Runs whose SSIM is .7, more by a row's gain, with as much noise as `spread`; copy-source has .6."""
    rng = np.random.default_rng(0)
    runs = []
    for row, gain in gains.items():
        for seed in range(seeds):
            scored = [
                {
                    "on": "drawn",
                    "clip": f"clip{clip}",
                    "model": {"ssim": 0.7 + 0.02 * clip + gain + spread * rng.normal(), "ms": 10.0, "lpips": None},
                    "copy-source": {"ssim": 0.6},
                }
                for clip in range(clips)
            ]
            runs.append({"row": row, "seed": seed, "steps": steps, "parameters": 5, "seconds": 9.0, "clips": scored})
    return runs


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_a_recipe_with_the_real_noise_schedule(row, tmp_path):
    recipe = load_recipe("nano-repose", tuple(changes(row, tmp_path, 0.002)))
    assert tuple(entry.kind for entry in recipe.conditions) == row.conditions
    assert recipe.source_encoder.enabled == ("source_tokens" in row.conditions)
    assert recipe.diffusion.alignment.active == recipe.alignment == ("aligned_tokens" in row.conditions)
    assert (recipe.diffusion.pose_penalty.weight > 0) == row.guided
    assert (recipe.diffusion.timestep_power, recipe.sampling.noise_scale, recipe.sampling.steps) == (1.0, 1.0, 10)
    assert not recipe.diffusion.copies.warp
    spatial = {"source_latent", "source_pose_map", "part_warp"}.intersection(row.conditions)
    assert len(spatial) == (3 if row.name == "B1-spatial" else 0)


def test_all_rows_have_the_steps_of_the_slowest():
    paces = {"B1": Pace(4.0, 10), "B2": Pace(2.0, 10), "both": Pace(2.5, 50)}
    assert equal_steps(paces, 1) == 25  # both: 10 seconds of steps, B2 has 50
    assert equal_steps(paces, 8) == 940  # B2: 470 seconds of steps
    with pytest.raises(OptionError, match="no time for a step"):
        equal_steps(paces, 0.5)
    assert paced({10: 100.0, 20: 120.0, 40: 160.0}, 90.0) == Pace(0.5, 10.0)


def test_runs_of_other_settings_are_not_mixed(tmp_path):
    names = ("signers", "frames", "people", "test_frames", "posenet_minutes", "minutes", "steps", "penalty", "guidance")
    options = argparse.Namespace(**dict.fromkeys(names, 3), out=tmp_path / "out", testdata=None)
    assert keep_settings(options) is None
    assert keep_settings(options) is None
    options.penalty = 4
    found = keep_settings(options)
    assert "penalty 4 (there: 3)" in found
    assert "frames" not in found


def test_differences_are_of_one_seed_and_clip():
    runs = runs_with({"B1": 0.0, "B2": 0.1}, seeds=2, clips=3, spread=0.0)
    runs[0]["clips"][1]["model"]["ssim"] = None  # B1's seed 0 lacks a clip, which is then left out everywhere
    apart = paired(runs, "B2", "B1", "drawn", "ssim")
    assert apart.shape == (2, 2)
    assert np.allclose(apart, 0.1)
    assert paired(runs, "B2", "B3", "drawn", "ssim").size == 0
    assert difference(runs, "B2", "B1", "drawn", "lpips") is None


def test_the_bootstrap_has_the_spread_of_both_seeds_and_clips():
    rng = np.random.default_rng(1)
    seeds, clips = rng.normal(0, 0.02, 40), rng.normal(0, 0.03, 50)
    low, high = bootstrap(0.1 + seeds[:, None] + clips)
    expected = math.sqrt(seeds.var() / 40 + clips.var() / 50)  # of additive effects, each drawn anew
    assert (high - low) / (2 * 1.96) == pytest.approx(expected, rel=0.06)
    assert (low + high) / 2 == pytest.approx(0.1 + seeds.mean() + clips.mean(), abs=0.001)
    assert bootstrap(np.full((3, 4), 0.2)) == pytest.approx((0.2, 0.2))


def test_the_smallest_difference_is_the_reach_of_students_interval():
    means = np.array([0.011, 0.018, 0.004])
    apart = means[:, None] + np.array([[-0.1, 0.1]])  # clips differ, but that is no spread of seeds
    interval = stats.t.interval(0.95, 2, loc=means.mean(), scale=stats.sem(means))
    assert smallest_difference([apart]) == pytest.approx((interval[1] - interval[0]) / 2)
    assert smallest_difference([apart, 0 * apart]) == pytest.approx(smallest_difference([apart]) / math.sqrt(2))
    assert smallest_difference([apart[:1]]) == math.inf


@pytest.mark.parametrize(
    ("found", "column", "said"),
    [
        (Difference(0.03, 0.02, 0.04, 0.01), "ssim", "pays"),
        (Difference(0.03, 0.02, 0.04, 0.035), "ssim", "cannot be told"),  # seeds spread more than the bootstrap knows
        (Difference(0.03, -0.01, 0.06, 0.01), "ssim", "cannot be told"),
        (Difference(-0.03, -0.04, -0.02, 0.01), "ssim", "does not pay"),
        (Difference(0.0, -0.002, 0.002, 0.003), "ssim", "does not pay"),  # no gain of .005 is possible
        (Difference(0.0, -0.002, 0.002, 0.008), "ssim", "cannot be told"),
        (Difference(-0.03, -0.04, -0.02, 0.01), "lpips", "pays"),
        (Difference(0.03, None, None, math.inf), "ssim", "cannot be told"),
    ],
)
def test_what_is_said_of_a_difference(found, column, said):
    assert verdict(found, column) == said


def test_the_table_has_copy_source_means_and_ranges():
    runs = runs_with({"B1": 0.0, "B2": 0.1}, seeds=2, clips=1, spread=0.0)
    runs[2]["clips"][0]["model"]["ssim"] = 0.9
    lines = table(runs).splitlines()
    assert len(lines) == 2 + 3
    assert lines[2].startswith("| drawn | copy-source | | 0.600 | -")
    assert lines[3].startswith("| drawn | B1 | 2 | 0.700 (0.700 to 0.700) |")
    assert lines[4].startswith("| drawn | B2 | 2 | 0.850 (0.800 to 0.900) |")
    assert len({line.count("|") for line in lines}) == 1
    with pytest.raises(ValueError, match="runs of 50, 60 steps cannot be compared"):
        table([*runs, *runs_with({"B3": 0.0}, steps=60)])


def test_sentences_say_what_pays_and_what_does_not():
    runs = runs_with({"B1": 0.0, "B2": 0.05, "B3": -0.05, "both": 0.0}, spread=0.001)
    said = list(sentences(runs))
    assert any(text.startswith("the alignment (B2 minus B1), drawn: pays: ssim +0.05") for text in said)
    assert any(text.startswith("guidance (penalty and sampling) (B3 minus B1), drawn: does not pay:") for text in said)
    assert not any("B1-tokens" in text for text in said)
    lines = differences(runs).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["B2", "B3", "both", "smallest that can be shown"]
    single = list(sentences([run for run in runs if run["seed"] == 0]))
    assert single
    assert all("cannot be told" in text for text in single)


def test_points_that_are_not_seen_are_not_found():
    truth = np.zeros((2, 133, 3), np.float32)
    truth[..., 0], truth[..., 2] = np.arange(133), 1
    truth[:, 6, :2] = [15, 0]  # shoulders 10 apart
    truth[:, 13:23] = truth[:, 23:91] = (np.nan, np.nan, 0)
    seen = truth.copy()
    assert found_shares(seen, truth) == {"found_10": 1.0, "hand_found_10": 1.0}
    seen[0, 91:112] = (np.nan, np.nan, 0)  # one hand of two, in one of two frames
    seen[1, 112:133, 1] += 2  # the other one is away by .2
    assert found_shares(seen, truth)["hand_found_10"] == pytest.approx(0.5)
