"""The streaming scorer: closed forms on synthetic frames, which score reacts to which fault, and the result's shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from signgen.errors import PoseError, VideoError
from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.scorer import SLOW_METRICS, FrameScorer
from signgen.metrics.definitions import LPIPS_VGG_METRICS, RATIOS, ScoringProtocol
from signgen.metrics.image import pixels as image
from signgen.metrics.means import mean_row
from signgen.metrics.results import verdict

HEIGHT, WIDTH, FRAMES = 96, 80, 6
HANDS = {"left": (60, 50), "right": (20, 50)}  # centres, x y
FACE = (40, 18)
LEFT, RIGHT, FACE_POINTS = slice(91, 112), slice(112, 133), slice(23, 91)


def keypoints(frames: int = FRAMES) -> np.ndarray:
    """(T, 133, 3): both hands in 12 px squares, the face in a 20 px one, all points seen."""
    points = np.full((frames, 133, 3), np.nan, np.float32)
    points[..., 2] = 0
    rng = np.random.default_rng(0)
    for part, centre, size in ((LEFT, HANDS["left"], 12), (RIGHT, HANDS["right"], 12), (FACE_POINTS, FACE, 20)):
        count = part.stop - part.start
        offsets = rng.uniform(-0.5, 0.5, (count, 2)) * size
        offsets[:2] = (-size / 2, -size / 2), (size / 2, size / 2)
        points[:, part, :2] = np.asarray(centre) + offsets
        points[:, part, 2] = 0.9
    return points


def still_clip(frames: int = FRAMES) -> np.ndarray:
    """uint8 (T, H, W, 3): one textured image repeated."""
    texture = np.random.default_rng(1).integers(0, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return np.repeat(cv2.GaussianBlur(texture, (5, 5), 1)[None], frames, 0)


def around(name: str, radius: int = 10) -> tuple[slice, slice]:
    x, y = FACE if name == "face" else HANDS[name]
    return slice(y - radius, y + radius), slice(x - radius, x + radius)


def scored(generated: np.ndarray, truth: np.ndarray, points: np.ndarray | None = None, **options: Any) -> dict:
    scorer = FrameScorer(ScoringProtocol(), points, **options)
    for index, (ours, theirs) in enumerate(zip(generated, truth, strict=True)):
        scorer.update(index, ours, theirs)
    return scorer.result()


def test_a_perfect_video() -> None:
    truth = still_clip()
    result = scored(truth, truth, keypoints())
    assert result["mean"] == pytest.approx(
        {
            "ssim": 1.0,
            "psnr": 100.0,
            "ms_ssim": None,  # the frames are too small for it
            "hand_ssim": 1.0,
            "hand_psnr": 100.0,
            "hand_sharpness": 1.0,
            "face_ssim": 1.0,
            "face_psnr": 100.0,
            **{f"{part}_ssim": pytest.approx(1.0) for part in ("mouth", "eyes", "brows")},
            **{f"{part}_sharpness": pytest.approx(1.0) for part in ("mouth", "eyes", "brows")},
            "flicker": 0.0,
            "flicker_truth": 0.0,
            "flicker_excess": 0.0,
            "successive_ssim": 1.0,
            "successive_ssim_truth": 1.0,
            "successive_ssim_difference": 0.0,
            "warping_error": 0.0,
            "warping_error_truth": 0.0,
        }
    )


def test_a_constant_offset_has_the_closed_form_everywhere() -> None:
    truth = still_clip()
    mean = scored(truth + np.uint8(10), truth, keypoints())["mean"]
    expected = 20 * np.log10(255 / 10)
    assert [mean[m] for m in ("psnr", "hand_psnr", "face_psnr")] == pytest.approx([expected] * 3)
    assert mean["hand_sharpness"] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("part", ["left", "right", "face"])
def test_a_shifted_part_lowers_only_its_own_box(part: str) -> None:
    truth = still_clip()
    generated = truth.copy()
    ys, xs = around(part, 4)
    generated[:, ys, xs] = np.roll(truth, 3, axis=2)[:, ys, xs]
    points = keypoints()
    mean = scored(generated, truth, points)["mean"]
    hit, spared = ("face", "hand") if part == "face" else ("hand", "face")
    assert mean[f"{hit}_psnr"] < 40
    assert mean[f"{hit}_ssim"] < 0.97
    assert mean[f"{spared}_psnr"] == 100
    assert mean[f"{spared}_ssim"] == pytest.approx(1, abs=1e-6)
    if part != "face":
        points[:, LEFT if part == "left" else RIGHT] = np.nan
        assert scored(generated, truth, points)["mean"]["hand_psnr"] == 100


def test_blur_is_seen_by_sharpness_and_noise_too() -> None:
    truth = still_clip()
    blurred = np.stack([cv2.GaussianBlur(frame, (7, 7), 2) for frame in truth])
    noisy = np.clip(truth + np.random.default_rng(2).normal(0, 25, truth.shape), 0, 255).astype(np.uint8)
    assert scored(blurred, truth, keypoints())["mean"]["hand_sharpness"] < 0.5
    assert scored(noisy, truth, keypoints())["mean"]["hand_sharpness"] > 1.2


def test_flat_hands_have_no_sharpness() -> None:
    truth = np.full((2, HEIGHT, WIDTH, 3), 90, np.uint8)
    result = scored(truth, truth, keypoints(2))
    assert result["mean"]["hand_sharpness"] is None
    assert result["mean"]["hand_ssim"] == pytest.approx(1)
    assert "hand_sharpness" in result["not_computed"]


def test_hand_means_are_over_frames_with_a_hand() -> None:
    truth = still_clip(3)
    generated = truth.copy()
    generated[0] += 10
    points = keypoints(3)
    points[1, 91:133] = np.nan
    result = scored(generated, truth, points)
    rows = result["per_frame"]
    assert rows[1]["hand_ssim"] is None
    assert rows[1]["hand_psnr"] is None
    assert rows[1]["hand_sharpness"] is None
    assert rows[1]["face_ssim"] == pytest.approx(1)
    assert result["mean"]["hand_psnr"] == pytest.approx((20 * np.log10(25.5) + 100) / 2)
    assert "hand boxes in 2 of 3 frames" in result["notes"]


def test_boxes_at_the_edge_outside_and_of_one_point_do_not_crash() -> None:
    truth = still_clip(3)
    points = keypoints(3)
    points[0, LEFT, :2] += (WIDTH - 62, HEIGHT - 52)  # over the lower right corner
    points[1, 91:133, :2] -= 500  # both hands outside
    points[2, 91:133] = np.nan
    points[2, 91] = (30, 30, 1)  # a single finger tip
    rows = scored(truth, truth, points)["per_frame"]
    assert rows[0]["hand_ssim"] == pytest.approx(1)
    assert rows[1]["hand_ssim"] is None
    assert rows[2]["hand_ssim"] is None


def test_flicker_sees_a_flickering_background_and_not_a_moving_truth() -> None:
    truth = still_clip()
    for index, frame in enumerate(truth):
        frame[10 * index : 10 * index + 10, :10] = 255  # a square that moves
    still = scored(truth, truth)["mean"]
    assert still["flicker"] == still["flicker_truth"] == 0
    generated = truth.copy()
    generated[1::2] += 4
    generated[1::2][truth[1::2] == 255] = 255
    assert scored(generated, truth)["mean"]["flicker"] == pytest.approx(4, abs=0.05)
    frozen = np.repeat(truth[:1], FRAMES, 0)
    assert scored(frozen, truth)["mean"]["flicker"] == 0


def test_flicker_truth_is_the_truths_own_noise_and_needs_consecutive_frames() -> None:
    truth = still_clip()
    truth[1::2] += 2
    mean = scored(truth, truth)["mean"]
    assert mean["flicker"] == mean["flicker_truth"] == pytest.approx(2)
    scorer = FrameScorer()
    for index in (0, 2, 4):
        scorer.update(index, truth[index], truth[index])
    result = scorer.result()
    assert result["mean"]["flicker"] is None
    assert "flicker" in result["not_computed"]


def test_a_reader_that_reuses_its_buffer_gives_the_same_flicker() -> None:
    truth = still_clip()
    generated = truth.copy()
    generated[1::2] += 4
    scorer, ours, theirs = FrameScorer(), np.empty_like(truth[0]), np.empty_like(truth[0])
    for index in range(FRAMES):
        ours[:], theirs[:] = generated[index], truth[index]
        scorer.update(index, ours, theirs)
    assert scorer.result()["mean"] == scored(generated, truth)["mean"]


def test_baselines_are_scored_like_the_model() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    copied = np.repeat(truth[:1], FRAMES, 0)
    seen: list[tuple[int, float]] = []

    def sometimes(index: int, points: np.ndarray | None) -> np.ndarray | None:
        assert points is not None
        seen.append((index, float(points[91, 0])))
        return truth[index] if index % 2 else None

    points = keypoints()
    baselines = {"copy-source": CopySource(truth[0]), "nearest-pose": sometimes}
    result = scored(truth, truth, points, baselines=baselines)
    as_model = scored(copied, truth, points)["mean"]
    assert result["baselines"]["copy-source"] == pytest.approx(as_model)
    assert result["baselines"]["nearest-pose"]["psnr"] == 100  # over the frames it answered
    assert seen == [(i, float(points[i, 91, 0])) for i in range(FRAMES)]
    assert any("nearest-pose has no frame for 3 of 6" in note for note in result["notes"])


def test_copy_source_is_not_judged_on_the_frame_that_it_is_given() -> None:
    truth = still_clip()
    truth[1:, 20:40] += 9
    result = scored(truth, truth, keypoints(), baselines={"copy-source": CopySource(truth[0], own=0)})
    rows = result["per_frame_baselines"]["copy-source"]
    assert [row.get("own_truth") for row in rows] == [1] + [None] * (FRAMES - 1)
    assert rows[0]["ssim"] == 1
    copied = result["baselines"]["copy-source"]
    assert copied["ssim"] == pytest.approx(np.mean([row["ssim"] for row in rows[1:]]))
    both = np.mean([row["ssim"] for row in rows])
    told = next(note for note in result["notes"] if "leave out frame 0" in note)
    assert f"ssim {both:.4g}" in told  # both numbers are shown
    # a model that copies is level with it, though it shows the first frame, too
    copies = np.repeat(truth[:1], FRAMES, 0)
    copying = scored(copies, truth, keypoints(), baselines={"copy-source": CopySource(truth[0], own=0)})
    assert "does NOT beat" in verdict(copying)
    alone = scored(truth[:1], truth[:1], baselines={"copy-source": CopySource(truth[0], own=0)})
    assert alone["baselines"] == {}


def test_sharpness_is_a_ratio_of_sums() -> None:
    """A frame whose hand is nearly a blur in the truth does not decide: its own ratio is large, its energy is not."""
    truth = still_clip()
    dull = truth.copy()
    dull[1:] = (dull[1:].astype(float) * 0.1 + 110).astype(np.uint8)
    points = keypoints()
    result = scored(truth, dull, points)
    rows = result["per_frame"]
    ratio = sum(r["hand_gradient"] for r in rows) / sum(r["hand_gradient_truth"] for r in rows)
    assert result["mean"]["hand_sharpness"] == pytest.approx(ratio)
    assert np.mean([r["hand_sharpness"] for r in rows]) > 2 * ratio
    joined = mean_row([*rows, *rows], ["hand_sharpness"])
    assert joined["hand_sharpness"] == pytest.approx(ratio)


def test_a_baseline_without_any_answer_is_not_computed() -> None:
    truth = still_clip(2)
    result = scored(truth, truth, baselines={"nearest-pose": lambda index, points: None})
    assert result["baselines"] == {}
    assert result["not_computed"]["nearest-pose"] == "it has no frame for any of the poses"


def test_a_baseline_of_another_size_is_named() -> None:
    truth = still_clip(1)
    scorer = FrameScorer(baselines={"copy-source": CopySource(truth[0, :50])})
    with pytest.raises(VideoError, match="copy-source frame is 80x50, truth frame is 80x96"):
        scorer.update(0, truth[0], truth[0])


def test_lpips_is_used_for_model_and_baselines_and_left_out_when_frames_are_too_small() -> None:
    truth = still_clip(2)

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(a.astype(float) - b).mean())

    options: dict[str, Any] = {"lpips": distance, "baselines": {"copy-source": CopySource(truth[0] + np.uint8(3))}}
    result = scored(truth + np.uint8(5), truth, **options)
    assert result["mean"]["lpips"] == 5
    assert result["baselines"]["copy-source"]["lpips"] == 3
    small = scored(truth[:, :40, :40], truth[:, :40, :40], lpips=distance)
    assert small["mean"]["lpips"] is None
    assert "40x40" in small["not_computed"]["lpips"]


def test_the_result_has_the_documented_shape_and_is_json_without_nan() -> None:
    truth = still_clip()
    points = keypoints()
    points[2] = np.nan
    result = scored(
        truth + np.uint8(1),
        truth,
        points,
        baselines={"copy-source": CopySource(truth[0])},
        not_computed={"lpips": "weights missing"},
        notes=["a note"],
    )
    back = json.loads(json.dumps(result, allow_nan=False))
    assert back == result
    assert list(back) == [
        "protocol",
        "definitions",
        "frames",
        "mean",
        "baselines",
        "not_computed",
        "notes",
        "per_frame",
        "per_frame_baselines",
    ]
    assert back["protocol"].startswith("signgen-video: 8-bit RGB frames at the truth's native size (80x96)")
    assert back["frames"] == FRAMES == len(back["per_frame"])
    metrics = list(back["mean"])
    assert list(back["definitions"]) == metrics == list(back["baselines"]["copy-source"])
    sums = [column for name in metrics for column in RATIOS.get(name, ())]
    assert all([c for c in row if c not in sums] == ["frame", *metrics] for row in back["per_frame"])
    assert all(set(sums) <= row.keys() for row in back["per_frame"])
    assert [row["frame"] for row in back["per_frame"]] == list(range(FRAMES))
    lpips = dict.fromkeys(("lpips", "hand_lpips", "face_lpips"), "weights missing")
    lpips |= dict.fromkeys(LPIPS_VGG_METRICS, "not asked for")
    assert back["not_computed"] == {"ms_ssim": "frames are 80x96; MS-SSIM needs 176x176", **lpips}
    assert "a note" in back["notes"]


def test_quick_scores_are_the_same_numbers_and_the_rest_is_named() -> None:
    truth = still_clip(3)
    generated = truth.copy()
    generated[1] += 3
    quick, whole = (scored(generated, truth, keypoints(3), quick=quick) for quick in (True, False))
    assert set(whole["mean"]) - set(quick["mean"]) == set(SLOW_METRICS) - {"lpips_vgg"}
    assert quick["mean"] == {name: whole["mean"][name] for name in quick["mean"]}
    assert all("signgen evaluate" in quick["not_computed"][name] for name in SLOW_METRICS)


def test_a_canvas_score_is_marked_as_such() -> None:
    scorer = FrameScorer(ScoringProtocol(size_kind="canvas"))
    truth = still_clip(1)
    scorer.update(0, truth[0], truth[0])
    assert "canvas, NOT the native size" in scorer.result()["protocol"]


def _no_frames(scorer: FrameScorer, truth: np.ndarray) -> None:
    scorer.result()


def _past_the_keypoints(scorer: FrameScorer, truth: np.ndarray) -> None:
    scorer.update(2, truth[0], truth[0])


def _other_size(scorer: FrameScorer, truth: np.ndarray) -> None:
    scorer.update(0, truth[0, :, :40], truth[0])


@pytest.mark.parametrize(
    ("misuse", "error", "message"),
    [
        (_no_frames, VideoError, "no frames were scored"),
        (_past_the_keypoints, PoseError, "keypoints for 2 frames; expected one for frame 2"),
        (_other_size, VideoError, "generated frame is 40x96, truth frame is 80x96"),
    ],
)
def test_misuse_is_named(
    misuse: Callable[[FrameScorer, np.ndarray], None], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        misuse(FrameScorer(keypoints=keypoints(2)), still_clip(2))


def test_rows_equal_the_pure_functions_over_the_boxes() -> None:
    truth = still_clip(1)
    generated = np.clip(truth.astype(int) + np.random.default_rng(5).integers(-20, 20, truth.shape), 0, 255)
    generated = generated.astype(np.uint8)
    row = scored(generated, truth, keypoints(1))["per_frame"][0]
    assert row["ssim"] == image.ssim(generated[0], truth[0])
    assert row["psnr"] == image.psnr(generated[0], truth[0])
    # 12 px boxes grown by 15 % of their side on each side: from the pixel that holds -7.8 to the one that holds +7.8
    boxes = [(x - 8, y - 8, x + 9, y + 9) for x, y in HANDS.values()]
    mask = image.box_mask(boxes, HEIGHT, WIDTH)
    assert mask is not None
    error = (generated[0].astype(float) - truth[0])[mask] ** 2
    assert row["hand_psnr"] == pytest.approx(10 * np.log10(255**2 / error.mean()))
    assert row["hand_ssim"] == pytest.approx(float(image.ssim_map(generated[0], truth[0])[mask].mean()), abs=1e-6)
