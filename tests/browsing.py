"""What tests of pages in a real browser share: complaints of a page, whether it fits and can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

Open = Callable[..., "Page"]
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")


def listen(page: Page, inside: Callable[[str], bool], complaints: list[str]) -> None:
    """Note what the page complains of, what fails, and what it asks for that is not inside."""

    def asked(url: str) -> None:
        if not inside(url):
            complaints.append(f"asked for {url[:80]}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # given up when the page was left, which is no fault of the page's
            complaints.append(f"failed: {request.url[:80]} ({request.failure})")

    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("requestfailed", failed)
    page.on("request", lambda request: asked(request.url))


def is_alone(path: Path) -> Callable[[str], bool]:
    """A page that holds everything itself."""
    return lambda url: url.startswith("data:") or url.partition("#")[0] == path.as_uri()


def fits(page: Page) -> bool:
    """Nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def check_colours(page: Page, scheme: str, *selectors: str) -> None:
    """The page follows the scheme, and these texts stand out from it."""
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    for selector in selectors:
        assert contrast(page, selector) > 4.5, selector


def contrast(page: Page, selector: str) -> float:
    """WCAG contrast of the first such element's text with the page."""

    def luminance(colour: str) -> float:
        channels = np.array([int(part) for part in colour.strip("rgba()").split(",")[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    text = page.locator(selector).first.evaluate("element => getComputedStyle(element).color")
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    low, high = sorted([luminance(text), luminance(back)])
    return (high + 0.05) / (low + 0.05)
