"""The pages in a real browser: they play, step, jump, fit, print, and nothing fails to load."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from signgen.cli.compare import compare
from signgen.cli.evaluate import evaluate
from signgen.metrics.directions import direction_of
from signgen.video.reader import write_png
from tests.browsing import SCHEMES, WIDTHS, Open, check_colours, fits
from tests.worlds import figure_frames, figure_poses

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FRAMES = 12
NASTY = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame i of the truth has a top of brightness 10 + 20 i; the generated clip is a little off, worst in frame 7."""
    root = tmp_path_factory.mktemp("report")
    poses = figure_poses(FRAMES)
    truth = figure_frames(poses)
    rng = np.random.default_rng(0)
    generated = root / NASTY.replace("/", "∕")
    for index, frame in enumerate(truth):
        frame[:8] = 10 + 20 * index
        off = rng.integers(0, 120 if index == 7 else 25, frame.shape)
        write_png(root / "truth" / f"images{index + 1:04}.png", frame)
        write_png(generated / f"images{index + 1:04}.png", np.clip(frame + off, 0, 255).astype(np.uint8))
    poses.save(root / "k.poses.npz")
    evaluate(generated=generated, truth=root / "truth", out=root / "r", poses=root / "k.poses.npz")
    return root / "r" / "report.html"


def shown(page: Page, frame: int) -> None:
    """Waits until the player shows the frame."""
    page.wait_for_function("frame => document.documentElement.dataset.frame === String(frame)", arg=frame, timeout=5000)


def brightness(page: Page, canvas: str) -> float:
    """Mean of the canvas's upper rows, by which the test's frames can be told apart."""
    return page.evaluate(
        """id => {
          const canvas = document.getElementById(id);
          const copy = new OffscreenCanvas(canvas.width, 6).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          const data = copy.getImageData(0, 0, canvas.width, 6).data;
          return data.filter((_, i) => i % 4 < 3).reduce((a, b) => a + b, 0) / (data.length * 0.75);
        }""",
        canvas,
    )


def test_it_steps_frame_by_frame(opened: Open, report: Path) -> None:
    page = opened(report)
    rows = json.loads(report.with_name("metrics.json").read_text())["per_frame"]
    shown(page, 0)
    for frame in range(1, FRAMES):
        if frame % 2:
            page.get_by_role("button", name="one frame on").click()
        else:
            page.keyboard.press("ArrowRight")
        shown(page, frame)
        # The very frame, not a neighbour: these differ by 20.
        assert brightness(page, "truth") == pytest.approx(10 + 20 * frame, abs=5)
        assert page.locator("#numbers tbody tr").first.inner_text().split()[:2] == [
            "ssim",
            f"{rows[frame]['ssim']:.3f}",
        ]
    page.get_by_role("button", name="one frame back").click()
    shown(page, FRAMES - 2)
    page.keyboard.press("ArrowLeft")
    shown(page, FRAMES - 3)
    page.keyboard.press("End")
    shown(page, FRAMES - 1)
    page.keyboard.press("ArrowRight")
    shown(page, FRAMES - 1)
    page.keyboard.press("Home")
    shown(page, 0)
    page.get_by_label("frame", exact=True).fill("5")
    shown(page, 5)
    assert page.locator("#now").inner_text() == f"frame 5 of 0–{FRAMES - 1}"


def test_it_plays_and_pauses(opened: Open, report: Path) -> None:
    page = opened(report)
    shown(page, 0)
    page.locator("body").press("Space")
    seen = page.evaluate(
        """() => new Promise(done => {
          const seen = [];
          new MutationObserver(changes => {
            seen.push(...changes.map(change => Number(change.oldValue)));
            if (seen.length > 15) { done(seen); }
          }).observe(document.documentElement, { attributeFilter: ["data-frame"], attributeOldValue: true });
        })"""
    )
    assert {(b - a) % FRAMES for a, b in pairwise(seen)} == {1}, (
        seen
    )  # none is left out, and the first follows the last
    button = page.get_by_role("button", name="Pause")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    page.wait_for_timeout(100)
    stopped = page.evaluate("document.documentElement.dataset.frame")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.dataset.frame") == stopped
    assert page.get_by_role("button", name="Play", exact=True).get_attribute("aria-pressed") == "false"


def test_a_click_on_a_curve_or_a_worst_frame_leads_there(opened: Open, report: Path) -> None:
    page = opened(report)
    shown(page, 0)
    plot = page.locator("#curve-psnr .plot")
    box = plot.bounding_box()
    assert box is not None
    plot.click(position={"x": box["width"] * 4 / (FRAMES - 1), "y": 10})
    shown(page, 4)
    assert plot.locator(".marker").evaluate("marker => marker.style.left") == f"{100 * 4 / (FRAMES - 1):.4f}%"
    page.locator("#worst .jump").first.click()
    shown(page, 7)
    assert page.locator("#player .player").is_visible()
    page.locator("#hands .jump").nth(1).press("Enter")
    page.wait_for_function("document.documentElement.dataset.frame !== '7'")


def test_the_difference_is_shown_on_demand(opened: Open, report: Path) -> None:
    page = opened(report)
    shown(page, 0)
    assert not page.locator("#difference").is_visible()
    page.get_by_label("difference", exact=True).check()
    page.locator("#worst .jump").first.click()
    shown(page, 7)
    # The noise of frame 7 is 60 on average, some of it cut at 255 or lost in compression.
    assert brightness(page, "difference") == pytest.approx(60, abs=20)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_can_be_read(opened: Open, report: Path, width: int, scheme: str) -> None:
    page = opened(report, width, scheme)
    shown(page, 0)
    assert fits(page)
    check_colours(page, scheme, ".about", ".hint", "nav a")


def test_on_paper_a_strip_stands_for_the_player(opened: Open, report: Path) -> None:
    page = opened(report)
    shown(page, 0)
    assert page.pdf(format="A4").startswith(b"%PDF-")
    page.emulate_media(media="print")
    assert not page.locator(".player").is_visible()
    assert page.locator(".strip img").count() == 12
    assert page.locator(".strip").is_visible()
    definitions = page.locator(".definitions dd")
    assert all(definitions.nth(i).is_visible() for i in range(definitions.count()))


def test_names_of_files_stay_text(opened: Open, report: Path) -> None:
    page = opened(report)
    shown(page, 0)
    assert "onerror=alert(1)" in page.locator(".about strong").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_without_scripts_all_but_the_player_is_there(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.get_by_text("The player needs JavaScript").is_visible()
    assert not page.locator(".player").is_visible()
    assert page.locator("#curve-ssim path.line").first.is_visible()
    assert page.locator("#worst img").first.evaluate("image => image.naturalWidth") == 64
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_comparison_opens_too(opened: Open, report: Path, tmp_path: Path, width: int) -> None:
    better = json.loads(report.with_name("metrics.json").read_text())
    for row in better["per_frame"]:
        row["ssim"] += 0.1
    files = [tmp_path / "better.json", tmp_path / "the-same-once-more-under-a-long-name.json"]
    for file in files:
        file.write_text(json.dumps(better))
    compare([report.parent, *files], out=tmp_path / "cmp.html")
    page = opened(tmp_path / "cmp.html", width)
    assert fits(page)
    assert page.locator("h1").inner_text().startswith("better is better than r in ssim (+0.100)")
    judged = [m for m, value in better["mean"].items() if value is not None and direction_of(m).kind != "truth"]
    assert page.locator("#differences tbody tr").count() == 2 * len(judged)
    assert page.locator(".forest").first.bounding_box()["width"] > 100
