"""report.html without a browser: what stands in it, what it must not ask for, and how little a file name can do."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from signgen.metrics.definitions import DEFINITIONS
from signgen.reporting.charts import HEIGHT, WIDTH, curves, histograms, shown_range
from signgen.reporting.clip_report import PLAYER_BYTES, ClipFrames, hand_crops, shown_frames
from signgen.reporting.slices import shakiest_row, time_slices
from signgen.video.reader import open_frames, write_png
from tests.line import Command, Line
from tests.worlds import figure_frames, figure_poses

FRAMES = 14
NASTY = "<img src=x onerror=alert(1)> & \"'"


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A generated clip in a folder with a nasty name, the truth, and the truth's keypoints."""
    poses = figure_poses(FRAMES)
    truth = figure_frames(poses)
    noise = np.random.default_rng(0).integers(0, 40, truth.shape, dtype=np.uint8)
    for index in range(FRAMES):
        write_png(tmp_path / NASTY / f"images{index + 1:04}.png", truth[index] // 2 + noise[index])
        write_png(tmp_path / "truth" / f"images{index + 1:04}.png", truth[index])
    poses.save(tmp_path / "k.poses.npz")
    return tmp_path / NASTY, tmp_path / "truth", tmp_path / "k.poses.npz"


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)


def test_the_page_says_what_the_files_say(command: Command, clips: tuple[Path, Path, Path], tmp_path: Path) -> None:
    generated, truth, keypoints = clips
    out = command.works("evaluate", generated, truth, "--poses", keypoints, "--out", tmp_path / "r")
    result = json.loads((tmp_path / "r" / "metrics.json").read_text())
    page = Page(tmp_path / "r" / "report.html")
    assert result["verdict"].startswith("The model does NOT beat copy-source on hands")
    assert next(iter(result)) == "verdict"
    assert page.text.split("<h1>")[0].strip().splitlines()[0] != ""
    body = re.search(r"<body>\s*<header>\s*<h1>(.*?)</h1>", page.source, re.DOTALL)
    assert body is not None
    assert body[1] == result["verdict"]
    assert out.startswith(result["verdict"])
    for metric, text in result["definitions"].items():
        assert {"id": f"def-{metric}"} in page.of("dt")
        assert text in page.text
        if result["mean"][metric] is not None:
            assert any(a.get("title") == text and a["href"] == f"#def-{metric}" for a in page.of("a"))
    for reason in result["not_computed"].values():
        assert reason in page.text
    assert {a["href"] for a in page.of("a")} >= {"metrics.json", "per_frame.csv", "per_frame.parquet"}
    table = pq.read_table(tmp_path / "r" / "per_frame.parquet").to_pylist()
    assert table == result["per_frame"]
    assert [row["frame"] for row in result["per_frame_baselines"]["copy-source"]] == list(range(FRAMES))
    assert result["provenance"]["command"].startswith("signgen evaluate ")
    assert result["provenance"]["files"][1]["bytes"] == sum(p.stat().st_size for p in truth.iterdir())


def test_the_page_asks_for_nothing_and_runs_nothing_else(
    command: Command, clips: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    generated, truth, keypoints = clips
    command.works("evaluate", generated, truth, "--poses", keypoints, "--out", tmp_path / "r")
    page = Page(tmp_path / "r" / "report.html")
    for tag, attributes in page.tags:
        for name in ("src", "href", "data", "action", "srcset", "poster"):
            value = attributes.get(name)
            beside = tag == "a" and re.fullmatch(r"#[\w-]+|metrics\.json|per_frame\.(csv|parquet)", value or "")
            assert value is None or value.startswith("data:") or beside, (tag, name, value)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert "style" not in attributes
    assert NASTY in page.text
    assert "<img src=x" not in page.source
    policy = next(meta["content"] for meta in page.of("meta") if "content" in meta and "default-src" in meta["content"])
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_ten_worst_frames_and_hands_are_there(
    command: Command, clips: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    generated, truth, keypoints = clips
    command.works("evaluate", generated, truth, "--poses", keypoints, "--out", tmp_path / "r")
    rows = json.loads((tmp_path / "r" / "metrics.json").read_text())["per_frame"]
    page = Page(tmp_path / "r" / "report.html")
    jumps = [int(button["data-frame"] or 0) for button in page.of("button") if button.get("class") == "jump"]
    assert jumps[:10] == [row["frame"] for row in sorted(rows, key=lambda row: row["ssim"])[:10]]
    worst_hands = [row["frame"] for row in sorted(rows, key=lambda row: row["hand_ssim"])[:10]]
    assert jumps[10:20] == worst_hands
    others = [row["frame"] for row in rows if row["frame"] not in worst_hands]
    drawn = jumps[20:]
    assert len(drawn) == min(10, len(others))
    assert set(drawn) <= set(others)
    assert drawn == sorted(drawn)
    assert 'id="slices"' in page.source


def test_hand_crops_are_the_scored_boxes(tmp_path: Path, clips: tuple[Path, Path, Path]) -> None:
    from PIL import Image

    poses = figure_poses(FRAMES)
    truth = open_frames(clips[1])
    crops = hand_crops(ClipFrames(truth, truth, 0, poses.keypoints), 3)
    assert [crop["name"] for crop in crops] == ["left hand", "right hand"]
    assert {crop["ssim"] for crop in crops} == {"1.000"}
    assert crops[0]["generated"] == crops[0]["truth"]
    from base64 import b64decode
    from io import BytesIO

    from signgen.metrics.definitions import BOX_MARGIN
    from signgen.poses.parts import part_boxes

    picture = np.array(Image.open(BytesIO(b64decode(crops[1]["truth"].split(",")[1]))))
    x0, y0, x1, y1 = part_boxes(poses.keypoints[3], truth.width, truth.height, BOX_MARGIN)["right_hand"]
    np.testing.assert_array_equal(picture, truth.read(3, 4)[0][y0:y1, x0:x1])


def test_a_slice_is_one_row_of_every_frame_where_it_shakes_most() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 255, (1, 20, 30, 3), dtype=np.uint8), 8, 0)
    generated = truth.copy()
    generated[1::2, 13] ^= 40  # row 13 flickers
    assert shakiest_row(zip(generated, truth, strict=True)) == 13
    moving = truth.copy()
    moving[1::2, 5] ^= 80  # row 5 moves, in both
    assert shakiest_row(zip(np.where(generated != truth, generated, moving), moving, strict=True)) == 13
    ours, theirs = time_slices(zip(generated, truth, strict=True), 13)
    np.testing.assert_array_equal(ours, generated[:, 13])
    np.testing.assert_array_equal(theirs, truth[:, 13])
    assert shakiest_row([(generated[0], truth[0])]) == 0


def test_long_clips_are_thinned_and_the_worst_stay() -> None:
    numbers = list(range(100, 5100))
    shown = shown_frames(numbers, [107, 4001], 20_000)
    assert 0.5 * PLAYER_BYTES < 20_000 * len(shown) <= PLAYER_BYTES + 2 * 20_000
    assert {100, 107, 4001} <= set(shown)
    assert shown == sorted(shown)
    assert shown_frames(numbers[:400], [107], 20_000) == numbers[:400]


def test_a_set_of_images_has_its_rows_and_worst_images(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(12):
        picture = np.kron(rng.integers(0, 255, (8, 6, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        noise = rng.integers(0, 5 * index + 1, picture.shape)
        write_png(tmp_path / "truth" / f"i{index}.png", picture)
        write_png(tmp_path / "generated" / f"i{index}.png", np.clip(picture + noise, 0, 255).astype(np.uint8))
    command.works(
        "evaluate-images", tmp_path / "generated", tmp_path / "truth", "--protocol", "strict", "--out", tmp_path / "r"
    )
    page = Page(tmp_path / "r" / "report.html")
    images = [image["alt"] for image in page.of("img")]
    rows = json.loads((tmp_path / "r" / "metrics.json").read_text())["per_frame"]
    worst = min(rows, key=lambda row: row["ssim"])["frame"]
    assert images[:2] == [f"generated, image {worst}", f"truth, image {worst}"]
    assert len(images) == 20
    assert not page.of("canvas")
    assert "Every image" in page.text
    assert str(tmp_path / "truth" / "i3.png") in page.text
    assert "script-src 'none'" in page.source.replace("&#39;", "'")


def test_render_writes_a_report_when_asked(command: Command, line: Line, tmp_path: Path) -> None:
    render = "render", line.video, line.poses, "--model", line.model, "--out", tmp_path / "o.mp4", "--frames", "4:10"
    command.works(*render, "--report")
    page = Page(tmp_path / "o.report.html")
    assert "Generated pictures are those of o.mp4; scores were taken before it was encoded." in page.text
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.source, re.DOTALL)[1])
    assert data["frames"] == list(range(4, 10))
    assert {"o.mp4", "o.metrics.json", "o.per_frame.csv"} <= {a["href"] for a in page.of("a")}
    assert "noise_scale" in page.text
    assert "name the real frames with --truth" in command.refuses(*render, "--report", "--truth", "none")


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_curves_lie_where_the_numbers_are() -> None:
    rows = [{"frame": 10 + i, "ssim": value} for i, value in enumerate([0.0, 1.0, None, 0.5, 0.25])]
    (chart,) = curves({"model": rows}, {"ssim": "S."})
    assert [x for x, _ in points(chart.lines[0].path)] == [0, WIDTH / 4, WIDTH * 3 / 4, WIDTH]
    heights = [y for _, y in points(chart.lines[0].path)]
    assert heights[1] < heights[2] < heights[3] < heights[0]
    assert heights[2] - heights[1] == pytest.approx(2 * (heights[3] - heights[2]), abs=0.3)
    assert chart.lines[0].path.count("M") == 2  # broken where the value is missing
    assert "model from 0.000 to 1.000, mean 0.438" in chart.label


def test_the_goal_is_drawn_and_a_copy_of_the_truth_does_not_squeeze_the_rest() -> None:
    rows = [{"frame": i, "hand_sharpness": 0.5 + i / 100, "psnr": 20 + i / 100} for i in range(100)]
    rows[0]["psnr"] = 100.0
    sharpness, psnr = curves({"model": rows}, {"hand_sharpness": "H.", "psnr": "P."})
    assert sharpness.goal.startswith("M0.0 ")
    assert psnr.goal == ""
    assert (psnr.high, psnr.cut) == ("21.03", 1)
    assert max(y for _, y in points(psnr.lines[0].path)) <= HEIGHT
    low, high, cut = shown_range([np.array([1.0, 1.0, np.nan])])
    assert (low, high, cut) == (0.46, 1.54, 0)


def test_a_long_curve_keeps_its_extremes() -> None:
    rows = [{"frame": i, "psnr": 20.0 + (i % 7)} for i in range(30_000)]
    rows[12_345]["psnr"] = 28.0
    (chart,) = curves({"model": rows}, {"psnr": "P."})
    assert len(points(chart.lines[0].path)) <= 2000
    assert min(points(chart.lines[0].path), key=lambda point: point[1])[0] == pytest.approx(411.5, abs=0.5)


def test_histograms_count_shares() -> None:
    rows = [{"frame": i, "ssim": value} for i, value in enumerate([0.1] * 3 + [0.9])]
    (chart,) = histograms({"model": rows}, {"ssim": "S."})
    assert chart.top == "75%"
    heights = [1 - y / HEIGHT for _, y in points(chart.lines[0].path)][1:]
    assert (max(heights), sorted(h for h in heights if h > 0)) == (1, [pytest.approx(1 / 3, abs=0.01), 1])


def test_no_metric_is_written_into_the_pages() -> None:
    """Names and definitions come from the metrics file; hand crops carry the SSIM that the page computes itself."""
    folder = Path(__file__).parents[2] / "signgen" / "reporting"
    for path in folder.glob("templates/*"):
        text = path.read_text(encoding="utf-8")
        assert [name for name in DEFINITIONS if re.search(rf"[\">#-]{name}[\"<]", text)] == [], path
