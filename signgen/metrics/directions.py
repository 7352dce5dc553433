"""Which way is better: a metric's name in; higher, lower, or near to something out, and how to rank rows by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signgen.metrics.definitions import CROP_METRICS


@dataclass(frozen=True)
class Direction:
    """kind: `higher` or `lower` is better; `equal`: the nearer to `goal`, a number or the name of another metric, the
    better; `truth`: the number says something of the truth alone, and is neither good nor bad.
    """

    kind: Literal["higher", "lower", "equal", "truth"]
    goal: float | str | None = None

    @property
    def text(self) -> str:
        """For a reader, e.g. `higher is better`."""
        if self.kind == "truth":
            return "of the truth alone"
        goal = f"{self.goal:g}" if isinstance(self.goal, float) else self.goal
        return f"best equal to {goal}" if self.kind == "equal" else f"{self.kind} is better"

    @property
    def compared(self) -> str:
        """What `loss` measures where it is not the number itself, e.g. `distance from 1`; else empty."""
        goal = f"{self.goal:g}" if isinstance(self.goal, float) else self.goal
        return f"distance from {goal}" if self.kind == "equal" else ""

    def loss(self, metric: str, row: Mapping[str, Any]) -> float | None:
        """The row's score turned so that less is better; None where the row lacks it, or nothing is better or worse."""
        value = row.get(metric)
        goal = row.get(self.goal) if isinstance(self.goal, str) else self.goal
        if value is None or self.kind == "truth" or (self.kind == "equal" and goal is None):
            return None
        if self.kind == "equal":
            return abs(value - goal)
        return -value if self.kind == "higher" else value


HIGHER, LOWER, OF_TRUTH = Direction("higher"), Direction("lower"), Direction("truth")
# Every metric that signgen defines stands here; a test holds this.
DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("ssim", "psnr", "hand_ssim", "hand_psnr", "face_ssim", "face_psnr"), HIGHER),
    **dict.fromkeys(("ssim_256", "ssim_uniform51", "ms_ssim"), HIGHER),
    **dict.fromkeys(("pck_10", "pck_20", "hand_pck_10", "hand_pck_20"), HIGHER),
    **dict.fromkeys(("finger_pck", "finger_pck_share", "hands_found", "blink_f1"), HIGHER),
    **dict.fromkeys(("mouth_ssim", "eyes_ssim", "brows_ssim"), HIGHER),
    **dict.fromkeys(("mouth_opening_r", "mouth_width_r", "eye_opening_r", "brow_height_r"), HIGHER),
    **dict.fromkeys(("head_yaw_error", "head_pitch_error", "head_roll_error"), LOWER),
    **dict.fromkeys(("l1", "lpips", "lpips_alex", "hand_lpips", "face_lpips"), LOWER),
    **dict.fromkeys(("lpips_vgg", "hand_lpips_vgg", "face_lpips_vgg"), LOWER),
    **dict.fromkeys(("fid", "fid_train", "fid_test", "kid_train", "kid_test", "fvd", "fvd_r3d"), LOWER),
    **dict.fromkeys((name for name in CROP_METRICS if name.endswith("_ssim")), HIGHER),
    **dict.fromkeys((name for name in CROP_METRICS if not name.endswith("_ssim")), LOWER),
    **dict.fromkeys(("read_body", "read_hands", "read_body_share", "read_hands_share"), HIGHER),
    **dict.fromkeys(("read_body_truth", "read_hands_truth"), OF_TRUTH),
    **dict.fromkeys(("successive_ssim_difference", "dtw_mje"), LOWER),
    **dict.fromkeys(("body_joint_error", "hand_joint_error", "face_joint_error"), LOWER),
    **dict.fromkeys((f"{place}recall@{k}" for place in ("", "near_", "clip_") for k in (1, 5, 10)), HIGHER),
    **dict.fromkeys((f"{place}{name}" for place in ("", "near_", "clip_") for name in ("median_rank", "rank")), LOWER),
    **dict.fromkeys((f"{part}_sharpness" for part in ("hand", "mouth", "eyes", "brows")), Direction("equal", 1.0)),
    "flicker": Direction("equal", "flicker_truth"),
    "flicker_excess": Direction("equal", 0.0),
    "successive_ssim": Direction("equal", "successive_ssim_truth"),
    "warping_error": Direction("equal", "warping_error_truth"),
    **dict.fromkeys(("finger_pck_truth", "hands_found_truth"), OF_TRUTH),
    **dict.fromkeys(("flicker_truth", "successive_ssim_truth", "warping_error_truth"), OF_TRUTH),
}


def direction_of(metric: str) -> Direction | None:
    """None for a metric signgen does not know: nobody can then be called better by it."""
    return DIRECTIONS.get(metric)


def best_of(metric: str, candidates: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Who scores best, of name -> means; several where they are level, nobody where fewer than two can be ranked."""
    direction = direction_of(metric)
    losses = {} if direction is None else {name: direction.loss(metric, row) for name, row in candidates.items()}
    ranked = {name: loss for name, loss in losses.items() if loss is not None}
    return {name for name, loss in ranked.items() if loss == min(ranked.values())} if len(ranked) > 1 else set()


def worst_rows(metric: str, rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The `count` rows that are worst by the metric, the worst first; none of a metric without direction."""
    direction = direction_of(metric)
    losses = [] if direction is None else [(direction.loss(metric, row), row) for row in rows]
    ranked = sorted(((loss, row) for loss, row in losses if loss is not None), key=lambda pair: -pair[0])
    return [row for _, row in ranked[:count]]
