"""The pages of stage 1 and of the robustness study in a real browser: whole, alone, and readable on any screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signgen.cli.evaluate_fusion import evaluate_fusion
from signgen.cli.robustness import robustness
from tests.browsing import SCHEMES, WIDTHS, Open, check_colours, fits
from tests.line import Line


@pytest.fixture(scope="module")
def study(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of four frames of a video, at two levels of noise, one of loss, and two sources."""
    out = tmp_path_factory.mktemp("study")
    chosen = {"frames": "12:16", "noise": "0,8", "shares": "0,50", "sources": 1}
    robustness(line.model, line.video, out, line.poses, **chosen, device="cpu")
    return out / "robustness.html"


@pytest.fixture(scope="module")
def fusion(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fusion")
    evaluate_fusion(line.model, line.pairs, out, device="cpu")
    return out / "report.html"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["study", "fusion"])
def test_it_fits_and_can_be_read(
    opened: Open, request: pytest.FixtureRequest, name: str, width: int, scheme: str
) -> None:
    page = opened(request.getfixturevalue(name), width, scheme)
    assert fits(page)
    check_colours(page, scheme, "h1", ".about", ".hint", "nav a", "table th a", "table td", ".legend li")
    links = page.locator("nav a, table th a")
    targets = {links.nth(i).get_attribute("href").removeprefix("#") for i in range(links.count())}
    assert len(targets) > 5
    assert all(page.locator(f"[id='{target}']").count() == 1 for target in targets)


def test_the_study_draws_every_level(opened: Open, study: Path) -> None:
    page = opened(study)
    result = json.loads(study.with_name("robustness.json").read_text())
    assert page.locator("h1").inner_text() == result["verdict"]
    assert set(result["studies"]) == {"noise", "hands", "held", "interpolated", "source"}
    for name, found in result["studies"].items():
        assert page.locator(f"#{name}-hand_ssim path.line").count() == len(found["means"])
        assert page.locator(f"#{name}-hand_ssim .plot").bounding_box()["width"] > 100
        shown = page.locator(f"#study-{name} thead").first.locator("th")
        assert shown.count() == 2 + len(found["levels"])
        cell = page.locator(f"#study-{name} tbody").first.locator("tr").first.locator("td").nth(1)
        assert cell.inner_text() == f"{found['means']['model'][0]['hand_ssim']:.3f}"


def test_stage_1_draws_its_similarities(opened: Open, fusion: Path) -> None:
    page = opened(fusion)
    result = json.loads(fusion.with_name("metrics.json").read_text())
    assert page.locator("h1").inner_text() == result["verdict"]
    assert page.locator("#similarities path.bars").count() == len(result["similarity_histograms"]["counts"])
    assert page.locator("#similarities .plot").bounding_box()["width"] > 100
    row = page.locator("#summary tbody tr", has=page.get_by_role("link", name="recall@5", exact=True))
    assert row.locator("td").first.inner_text().startswith(f"{result['mean']['recall@5']:.3f}")
