"""Tables by views, pose distance and signer: counted by hand, with numpy's quantiles, intervals by their function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signgen.metrics.intervals import clips_interval, set_interval
from signgen.metrics.means import OWN_TRUTH
from signgen.metrics.splits import Traits, split_lines, split_tables

PAIRS = 60


def world() -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[int, Traits]]:
    rng = np.random.default_rng(0)
    views = [("front", "front"), ("front", "back"), ("side", None)]
    rows, copies, traits = [], [], {}
    for number in range(PAIRS):
        gradient, true = rng.random(2) + 1
        boxed = {"hand_sharpness": gradient / true, "hand_gradient": gradient, "hand_gradient_truth": true}
        rows.append({"frame": number, "ssim": rng.random(), "psnr": None if number % 7 == 0 else 30.0, **boxed})
        copies.append({**rows[-1], "ssim": rng.random()} | ({OWN_TRUTH: 1} if number == 3 else {}))
        source, target = views[number % 3]
        distance = None if number in (10, 11) else float(rng.gamma(2))
        traits[number] = Traits(source, target, distance, f"Signer{number % 2}", f"clip{number % 10}")
    return rows, copies, traits


def tables(images: bool = True, **options: Any) -> dict[str, Any]:
    rows, copies, traits = world()
    metrics = ["ssim", "psnr", "hand_sharpness", "fid"]
    return split_tables(rows, {"copy-source": copies}, traits, metrics, {}, images=images, **options)


def cells(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cell["cell"]: cell for cell in table["cells"]}


def test_views_and_signers_are_counted_and_averaged() -> None:
    rows, copies, traits = world()
    found = cells(tables()["view"])
    assert list(found) == ["front to back", "front to front", "side to unknown"]  # what is unknown comes last
    back = found["front to back"]
    inside = [row for row in rows if row["frame"] % 3 == 1]
    assert back["count"] == 20
    assert back["mean"]["ssim"] == pytest.approx(np.mean([row["ssim"] for row in inside]))
    assert back["mean"]["psnr"] == 30
    sums = [sum(row[name] for row in inside) for name in ("hand_gradient", "hand_gradient_truth")]
    assert back["mean"]["hand_sharpness"] == pytest.approx(sums[0] / sums[1])  # a ratio of sums
    assert "fid" not in back["mean"]  # one value of the whole set
    interval = clips_interval(
        np.array([row["ssim"] for row in inside]), [traits[row["frame"]].clip or "" for row in inside]
    )
    assert back["intervals"]["ssim"] == [interval.low, interval.high]
    assert "hand_sharpness" not in back["intervals"]
    copied = [row["ssim"] for row in copies if row["frame"] % 3 == 0 and row["frame"] != 3]  # 3 shows the truth
    assert found["front to front"]["baselines"]["copy-source"]["ssim"] == pytest.approx(np.mean(copied))
    assert [cell["count"] for cell in tables()["signer"]["cells"]] == [30, 30]


def test_fifths_hold_as_many_pairs_each_from_near_to_far() -> None:
    rows, _, traits = world()
    known = {n: t.distance for n, t in traits.items() if t.distance is not None}
    edges = np.quantile(list(known.values()), [0.2, 0.4, 0.6, 0.8])
    found = tables()["pose_distance"]["cells"]
    assert [cell["count"] for cell in found] == [12, 11, 12, 11, 12, 2]
    assert found[-1]["cell"] == "unknown"
    nearest = [rows[n]["ssim"] for n, distance in known.items() if distance <= edges[0]]
    farthest = [rows[n]["ssim"] for n, distance in known.items() if distance > edges[3]]
    assert found[0]["mean"]["ssim"] == pytest.approx(np.mean(nearest))
    assert found[4]["mean"]["ssim"] == pytest.approx(np.mean(farthest))
    assert (
        found[4]["cell"]
        == f"5 of 5 ({min(d for d in known.values() if d > edges[3]):.3f} to {max(known.values()):.3f})"
    )


def test_intervals_are_of_images_where_no_clip_is_known() -> None:
    rows, _, traits = world()
    alone = {n: Traits(t.source_view, t.target_view, t.distance) for n, t in traits.items()}
    found = split_tables(rows, {}, alone, ["ssim"], {}, images=True)
    assert list(found) == ["view", "pose_distance"]  # all signers unknown: one cell, the whole table
    inside = np.array([row["ssim"] for row in rows if row["frame"] % 3 == 1])
    interval = set_interval(inside)
    assert cells(found["view"])["front to back"]["intervals"]["ssim"] == [interval.low, interval.high]
    few = split_tables(rows[:9], {}, alone, ["ssim"], {}, images=True)
    assert all(cell["intervals"] == {} for table in few.values() for cell in table["cells"])


def test_the_images_of_one_person_are_no_series() -> None:
    """Sorted values: as a series they hang together, as images they are twelve."""
    rows = [{"frame": n, "ssim": 0.01 * n} for n in range(24)]
    traits = {n: Traits(signer=f"{n // 12}", clip=f"{n // 12}") for n in range(24)}
    found = split_tables(rows, {}, traits, ["ssim"], {}, images=True)["signer"]["cells"][0]
    interval = set_interval(np.array([row["ssim"] for row in rows[:12]]))
    assert found["intervals"]["ssim"] == [interval.low, interval.high]
    frames = split_tables(rows, {}, traits, ["ssim"], {}, images=False)["signer"]["cells"][0]
    assert frames["intervals"] == {}  # worth fewer than four


def test_equal_distances_are_in_one_cell_and_one_cell_is_no_table() -> None:
    rows = [{"frame": n, "ssim": 0.5} for n in range(20)]
    same = {n: Traits("front", "front", 0.25 if n < 12 else 1.0, "a") for n in range(20)}
    found = split_tables(rows, {}, same, ["ssim"], {}, images=False)
    assert list(found) == ["pose_distance"]
    assert [cell["count"] for cell in found["pose_distance"]["cells"]] == [12, 8]
    assert split_tables(rows, {}, {}, ["ssim"], {}, images=False) == {}


def test_medians_and_lines() -> None:
    rows, _, traits = world()
    ranked = [{**row, "rank": 1 + row["frame"]} for row in rows]
    found = split_tables(ranked, {}, traits, ["ssim"], {}, images=True, medians={"median_rank": "rank"})
    assert cells(found["view"])["front to front"]["mean"]["median_rank"] == np.median(range(1, 61, 3))
    lines = split_lines({"splits": found})
    assert lines[0].startswith("by view, 3 cells: ssim 0.")
    assert lines[0].count("20)") == 2
    assert lines[1].startswith("by pose distance, from near to far: ssim 0.")
    assert lines[1].count(",") == 5
    assert split_lines({}) == []
