"""Small studies for tests: pictures of one colour each, which say of what and by whom they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from signgen.study.answers import ANSWERS_FORMAT, VERSION, checksum
from signgen.study.design import BEST, CHECK, GENERATED, REAL, TRUTH
from signgen.video.reader import write_png
from signgen.video.writer import VideoWriter

SHADES = {TRUTH: 40, "good": 120, "poor": 200}  # red; green is 8 * target


def colour(target: int, who: str) -> tuple[int, int, int]:
    return SHADES[who], 8 * target, 90


def write_images(root: Path, targets: int, size: int = 24) -> None:
    """root/truth, root/good, root/poor: 0.png, 1.png, ..."""
    for who in SHADES:
        for target in range(targets):
            write_png(root / who / f"{target}.png", np.full((size, size, 3), colour(target, who), np.uint8))


def write_clips(root: Path, targets: int, frames: int = 5) -> None:
    for who in SHADES:
        for target in range(targets):
            with VideoWriter(root / who / f"{target}.mp4", 32, 32, 25) as writer:
                for _ in range(frames):
                    writer.write(np.full((32, 32, 3), colour(target, who), np.uint8))


def key_of(study: Path) -> dict[str, Any]:
    return json.loads((study / "key.json").read_text())


def perfect(trial: dict[str, Any]) -> str:
    """The answer of somebody who sees everything, and finds `good` best."""
    if trial["kind"] == BEST:
        return str(list(trial["shown"]).index("good"))
    if trial["kind"] == CHECK:
        return trial["shown"][0]
    return REAL if trial["shown"][0] == TRUTH else GENERATED


def answers_of(key: dict[str, Any], rater: int, answer=perfect, count: int | None = None) -> dict[str, Any]:
    """What the page saves of a rater who answers every trial by `answer`."""
    trials = key["plans"][rater - 1]["trials"][:count]
    answers = [
        {"trial": i, "answer": answer(trial), "shown_ms": 900, "answer_ms": 1000 + i, "shows": 1}
        for i, trial in enumerate(trials)
    ]
    head = {"format": ANSWERS_FORMAT, "version": VERSION, "study": key["study"]}
    data = {**head, "rater": rater, "session": f"session{rater}", "answers": answers}
    return {**data, "checksum": checksum(data)}


def save(data: dict[str, Any], folder: Path, name: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"rater{data['rater']}.json")
    path.write_text(json.dumps(data))
    return path
