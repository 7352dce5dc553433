"""A study in a real browser: by clicks and by keys, timed, reloaded, saved, scored; nothing asked for from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from signgen.study.design import BEST, CHECK, TRUTH
from tests.browsing import Open, fits, listen
from tests.line import Command
from tests.study.worlds import key_of, perfect, write_clips, write_images

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def study(command: Command, tmp_path: Path) -> Path:
    """4 judgements of .4 s, one check, 2 choices."""
    write_images(tmp_path, 5)
    return built(command, tmp_path, "--checks", 1, "--show-truth", "--seconds", 0.4)


def built(command: Command, world: Path, *words: object) -> Path:
    runs = [f"{name}={world / name}" for name in ("good", "poor")]
    amounts = ["--raters", 4, "--judgements", 4, "--choices", 2]
    command.works("study", "build", *runs, "--truth", world / TRUTH, "--out", world / "study", *amounts, *words)
    return world / "study"


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a study in one browser profile; at the end nothing may have been complained of or asked for outside."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True)

    def open_page(address: str) -> Page:
        page = context.new_page()
        inside = address.partition("index.html")[0]
        listen(page, lambda url: url.startswith(("data:", "blob:", inside)), complaints)
        page.goto(address)
        return page

    yield open_page
    context.close()
    assert complaints == []


def address(study: Path) -> str:
    return (study / "site" / "index.html").as_uri()


def begin(page: Page, rater: int) -> None:
    page.get_by_label("The number you were given").fill(str(rater))
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()


def ready(page: Page, number: int) -> None:
    """Waits until question `number` can be answered."""
    page.wait_for_function("n => document.documentElement.dataset.ready === String(n)", arg=number, timeout=10_000)


def section(page: Page) -> str:
    return page.evaluate("document.documentElement.dataset.section")


def saved(page: Page, folder: Path) -> dict:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the answers").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return json.loads(path.read_text())


def test_by_clicks(opened: Open, study: Path, command: Command) -> None:
    page = opened(address(study))
    assert fits(page)
    trials = key_of(study)["plans"][0]["trials"]
    begin(page, 1)
    for number, trial in enumerate(trials):
        ready(page, number)
        assert fits(page)
        assert page.locator("#references img").count() == (1 if trial["kind"] == BEST else 0)
        page.locator(f"#trial button[data-answer='{perfect(trial)}']").click()
    assert section(page) == "done"
    data = saved(page, study / "answers")
    assert [answer["answer"] for answer in data["answers"]] == [perfect(trial) for trial in trials]
    assert all(answer["shows"] == 1 and answer["answer_ms"] >= answer["shown_ms"] for answer in data["answers"])
    assert set(data) == {
        *("format", "version", "study", "rater", "session", "started", "finished", "agreed", "window"),
        *("answers", "checksum"),
    }
    out = command.works("study", "score", study / "answers", "--out", study / "scores.json")
    assert "1 raters" in out
    scores = json.loads((study / "scores.json").read_text())
    found = {name: share["share"] for name, share in scores["shares"].items()}
    assert (found["r2g"], found["g2r"], found["jab:good"]) == (0, 0, 1)
    assert scores["notes"] == []


def test_by_keys_alone(opened: Open, study: Path) -> None:
    """Consent, number and start by the keyboard, too; rater 3's answers score as they were given: all wrong."""
    page = opened(address(study) + "?rater=3")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    plan = key_of(study)["plans"][2]
    for number, trial in enumerate(plan["trials"]):
        ready(page, number)
        if trial["kind"] == BEST:
            page.keyboard.press(str(int(perfect(trial)) + 1))
        else:
            right = (
                perfect(trial) if trial["kind"] == CHECK else {"real": "generated", "generated": "real"}[perfect(trial)]
            )
            page.keyboard.press("ArrowLeft" if (right == "real") != plan["swapped"] else "ArrowRight")
    assert section(page) == "done"
    assert page.evaluate("document.activeElement.tagName") == "H1"
    data = saved(page, study / "answers")
    for answer, trial in zip(data["answers"], plan["trials"], strict=True):
        assert (answer["answer"] == perfect(trial)) == (trial["kind"] != "realism")


def test_the_time_to_look_ends(opened: Open, study: Path) -> None:
    page = opened(address(study))
    begin(page, 1)
    ready(page, 0)
    assert page.locator("#stage img").count() == 1
    page.wait_for_function("() => document.querySelectorAll('#stage img').length === 0", timeout=3000)
    assert page.get_by_text("The time to look is over").is_visible()
    page.wait_for_timeout(300)
    page.keyboard.press("ArrowLeft")
    ready(page, 1)
    first = page.evaluate("JSON.parse(Object.values(localStorage)[0]).answers[0]")
    assert 390 <= first["shown_ms"] < 700
    assert first["answer_ms"] >= first["shown_ms"] + 290


def test_nothing_is_answered_before_it_is_shown(opened: Open, study: Path) -> None:
    page = opened(address(study))
    begin(page, 1)
    page.keyboard.press("ArrowLeft")
    assert page.locator("#answers button").first.is_disabled()
    ready(page, 0)
    assert page.locator("#progress").inner_text() == "1 of 7"
    assert page.evaluate("JSON.parse(Object.values(localStorage)[0]).answers") == []


def test_a_reload_loses_nothing(opened: Open, study: Path) -> None:
    page = opened(address(study))
    begin(page, 2)
    for number in range(3):
        ready(page, number)
        page.keyboard.press("ArrowRight")
    ready(page, 3)
    page.reload()
    page.get_by_role("button", name="Go on where you stopped (3 of 7 answered)").click()
    ready(page, 3)
    assert page.locator("#progress").inner_text() == "4 of 7"
    page.keyboard.press("ArrowRight")
    ready(page, 4)
    page.close()
    later = opened(address(study))
    assert later.get_by_role("button", name="Go on where you stopped (4 of 7 answered)").is_visible()
    data = saved(later, study / "answers")  # what there is can be saved at any time
    assert [answer["trial"] for answer in data["answers"]] == [0, 1, 2, 3]
    assert [answer["shows"] for answer in data["answers"]] == [1, 1, 1, 2]  # the fourth was seen twice
    assert data["finished"] is None
    later.on("dialog", lambda dialog: dialog.accept())
    later.get_by_role("button", name="Discard").click()
    assert later.get_by_role("button", name="Begin").is_visible()


def test_a_reload_loses_nothing_where_the_browser_stores_nothing(opened: Open, study: Path) -> None:
    """As in some private windows: what is answered stays with the tab."""
    page = opened(address(study))
    begin(page, 2)
    ready(page, 0)
    page.keyboard.press("ArrowRight")
    ready(page, 1)
    page.evaluate("localStorage.clear()")
    page.reload()
    assert page.get_by_role("button", name="Go on where you stopped (1 of 7 answered)").is_visible()
    assert opened(address(study)).get_by_role("button", name="Begin").is_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Discard").click()
    page.reload()
    assert page.get_by_role("button", name="Begin").is_visible()


def test_it_begins_only_with_consent_and_a_number(opened: Open, study: Path) -> None:
    page = opened(address(study))
    page.get_by_role("button", name="Begin").click()
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()
    page.get_by_label("The number you were given").fill("5")  # of 4
    page.get_by_role("button", name="Begin").click()
    assert section(page) == "start"
    page.get_by_label("The number you were given").fill("4")
    page.get_by_role("button", name="Begin").click()
    assert section(page) == "trial"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(opened: Open, study: Path, scheme: str) -> None:
    page = opened(address(study))
    page.emulate_media(color_scheme=scheme)
    back, text = (
        page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert (sum(back) > sum(text)) == (scheme == "light")
    assert abs(sum(back) - sum(text)) > 600
    button = page.get_by_role("button", name="Begin").bounding_box()
    assert button is not None
    assert button["height"] >= 44  # a finger


def test_clips_from_a_web_server(opened: Open, command: Command, tmp_path: Path) -> None:
    write_clips(tmp_path, 5, frames=10)
    study = built(command, tmp_path)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(study / "site")))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = opened(f"http://127.0.0.1:{server.server_port}/index.html")
        begin(page, 1)
        trials = key_of(study)["plans"][0]["trials"]
        for number, trial in enumerate(trials):
            ready(page, number)
            if number == 0:
                assert page.locator("#stage video").count() == 1
                page.wait_for_function("() => document.querySelectorAll('#stage video').length === 0", timeout=3000)
            assert fits(page)
            page.locator(f"#trial button[data-answer='{perfect(trial)}']").click()
        data = saved(page, study / "answers")
        assert data["answers"][0]["shown_ms"] >= 390
        assert len(data["answers"]) == len(trials)
    finally:
        server.shutdown()
        server.server_close()
