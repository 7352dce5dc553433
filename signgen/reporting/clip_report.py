"""A clip's metrics dictionary, its frames and keypoints in; report.html with player and worst frames out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from signgen.metrics.definitions import BOX_MARGIN
from signgen.metrics.directions import worst_rows
from signgen.metrics.image import pixels as image
from signgen.metrics.results import MODEL, number_text
from signgen.poses.parts import part_boxes
from signgen.reporting.content import metric_for_worst, metrics_content
from signgen.reporting.page import write_page
from signgen.reporting.pictures import fitted, png_uri, webp_uri, webps
from signgen.reporting.slices import MOST_FRAMES, shakiest_row, time_slices
from signgen.video.reader import FrameSource

WORST = 10
PLAYER_SIDE = 512  # px of the longer side; larger frames are shown smaller
PLAYER_BYTES = 8_000_000  # of the page, for the frames of both clips
STRIP = 6  # frames that stand for the player on paper
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class ClipFrames:
    """Where the pictures come from. shift: the generated frame of truth frame i is i + shift.

    keypoints: (T, K, 3) in pixels of the truth, or None; they say where the hands are. note: what else a reader must
    know of the pictures.
    """

    generated: FrameSource
    truth: FrameSource
    shift: int = 0
    keypoints: np.ndarray | None = None
    note: str = ""

    def pair(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Generated and true frame, uint8 (H, W, 3), by the number it has in the truth."""
        generated = frame + self.shift
        return self.generated.read(generated, generated + 1)[0], self.truth.read(frame, frame + 1)[0]


def write_clip_report(result: dict[str, Any], clip: ClipFrames, path: Path, links: Mapping[str, str]) -> Path:
    """Write the page, atomically. links: text -> relative address of the files beside it."""
    worst = _worst(result, metric_for_worst(result))
    hands_metric = metric_for_worst(result, "hand") if clip.keypoints is not None else None
    hands = _worst(result, hands_metric)
    numbers = [row["frame"] for row in result["per_frame"]]
    strip = _evenly(numbers, STRIP)
    cards = {frame: _card(clip, frame) for frame in sorted({*worst, *strip})}
    pair_bytes = sum(len(cards[frame]["generated"]) + len(cards[frame]["truth"]) for frame in strip) / len(strip)
    shown = shown_frames(numbers, [*worst, *hands], pair_bytes)
    drawn = _random_hands(result, hands_metric, set(hands))
    crops = {frame: hand_crops(clip, frame) for frame in sorted({*hands, *drawn})}
    content = metrics_content(result, links, f"{clip.generated.path.name} against {clip.truth.path.name}")
    content |= {
        "player": _player(result, clip, shown),
        "player_note": _player_note(clip, len(shown), len(numbers)),
        "strip": [cards[frame] for frame in strip],
        "worst_metric": metric_for_worst(result),
        "worst": [{**cards[frame], "score": score} for frame, score in worst.items()],
        "hands_metric": hands_metric,
        "hands": [{"frame": frame, "score": score, "crops": crops[frame]} for frame, score in hands.items()],
        "random_hands": [{"frame": frame, "score": score, "crops": crops[frame]} for frame, score in drawn.items()],
        "slices": _slices(clip, numbers),
    }
    return write_page(path, "report.html", content, script="player.js")


def shown_frames(numbers: list[int], always: Iterable[int], pair_bytes: float) -> list[int]:
    """Which frames the player holds: all that PLAYER_BYTES allow, or else every n-th; and `always`.

    pair_bytes: what a frame of both clips takes, on average.
    """
    allowed = max(2, int(PLAYER_BYTES / pair_bytes))
    return sorted({*numbers[:: ceil(len(numbers) / allowed)], *always})


def hand_crops(clip: ClipFrames, frame: int) -> list[dict[str, str]]:
    """Both hands' scored boxes of one frame: pictures of the output and the truth, and the SSIM within the box."""
    assert clip.keypoints is not None
    generated, truth = clip.pair(frame)
    height, width = truth.shape[:2]
    similarity = image.ssim_map(generated, truth)
    boxes = part_boxes(clip.keypoints[frame], width, height, margin=BOX_MARGIN)
    crops = []
    for name in ("left_hand", "right_hand"):
        if (box := boxes[name]) is not None:
            x0, y0, x1, y1 = box
            crops.append(
                {
                    "name": name.replace("_", " "),
                    "ssim": number_text("ssim", float(similarity[y0:y1, x0:x1].mean(dtype=np.float64))),
                    "generated": png_uri(generated[y0:y1, x0:x1]),
                    "truth": png_uri(truth[y0:y1, x0:x1]),
                }
            )
    return crops


def _worst(result: dict[str, Any], metric: str | None) -> dict[int, str]:
    """Frame -> its score, of the WORST worst frames, the worst first."""
    rows = [] if metric is None else worst_rows(metric, result["per_frame"], WORST)
    return {row["frame"]: number_text(str(metric), row[str(metric)]) for row in rows}


def _random_hands(result: dict[str, Any], metric: str | None, worst: set[int]) -> dict[int, str]:
    """Frame -> its score, of as many of the other frames with hands, chosen at random, always the same, in order."""
    rows = [] if metric is None else [row for row in result["per_frame"] if row.get(metric) is not None]
    others = [row for row in rows if row["frame"] not in worst]
    chosen = np.random.default_rng(0).permutation(len(others))[:WORST]
    return {others[n]["frame"]: number_text(str(metric), others[n][str(metric)]) for n in sorted(chosen)}


def _slices(clip: ClipFrames, numbers: list[int]) -> dict[str, Any] | None:
    """Pictures of the row that shakes most, over the first frames that follow each other; None of a single frame."""
    end = next((n for n, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1), len(numbers))
    frames = numbers[: min(end, MOST_FRAMES)]
    if len(frames) < 2:
        return None
    row = shakiest_row(map(clip.pair, frames))
    ours, theirs = time_slices(map(clip.pair, frames), row)
    return {"row": row, "first": frames[0], "last": frames[-1], "generated": png_uri(ours), "truth": png_uri(theirs)}


def _evenly(numbers: list[int], count: int) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)
    return [numbers[place] for place in places]


def _card(clip: ClipFrames, frame: int) -> dict[str, Any]:
    generated, truth = (webp_uri(fitted(picture, PLAYER_SIDE)) for picture in clip.pair(frame))
    return {"frame": frame, "generated": generated, "truth": truth}


def _player(result: dict[str, Any], clip: ClipFrames, shown: list[int]) -> dict[str, Any]:
    """What player.js reads: the frames' pictures and, beside each, the texts of its numbers."""
    tracks = {MODEL: result["per_frame"], **result.get("per_frame_baselines", {})}
    rows = {name: {row["frame"]: row for row in track} for name, track in tracks.items()}
    metrics = [name for name in result["definitions"] if name in result["per_frame"][0]]
    pictures = list(webps(fitted(picture, PLAYER_SIDE) for frame in shown for picture in clip.pair(frame)))
    step = (shown[-1] - shown[0]) / max(len(shown) - 1, 1)
    return {
        "frames": shown,
        "first": result["per_frame"][0]["frame"],
        "last": result["per_frame"][-1]["frame"],
        "milliseconds": 1000 / (clip.truth.fps or clip.generated.fps or DEFAULT_FPS) * max(step, 1),
        "generated": pictures[::2],
        "truth": pictures[1::2],
        "metrics": metrics,
        "candidates": list(tracks),
        "numbers": [[[number_text(m, rows[who][f].get(m)) for who in tracks] for m in metrics] for f in shown],
    }


def _player_note(clip: ClipFrames, shown: int, frames: int) -> str:
    """What the player does not show as it is."""
    width, height = clip.truth.width, clip.truth.height
    fps = clip.truth.fps or clip.generated.fps
    parts = ["Pictures are compressed (WebP) for this page; every score was taken from the frames themselves."]
    if clip.note:
        parts.append(clip.note)
    if max(width, height) > PLAYER_SIDE:
        parts.append(f"They are made smaller: {PLAYER_SIDE} of {max(width, height)} pixels.")
    if shown < frames:
        parts.append(f"The clip is long: {shown} of {frames} frames are here, evenly spread, and the worst ones.")
    parts.append(
        f"{fps:g} frames a second." if fps else f"Played at {DEFAULT_FPS:g} frames a second: the files say none."
    )
    return " ".join(parts)
