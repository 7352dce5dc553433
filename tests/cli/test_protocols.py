"""`signgen evaluate-images --protocol`: files written, real networks found or named, one line for every wrong input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from signgen.metrics.distribution.inception import WEIGHTS
from signgen.metrics.image.lpips import TRUNKS, build_network
from signgen.video.reader import write_png
from signgen.video.writer import VideoWriter
from tests.line import Command

SIDE, BACK = "337203_2side", "337203_3back"
WOMAN = "fashionWOMENBlouses_Shirtsid0000"


def picture(seed: int) -> np.ndarray:
    smooth = np.kron(np.random.default_rng(seed).integers(0, 255, (16, 11, 3), dtype=np.uint8), np.ones((16, 16, 1)))
    return smooth.astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two generated images, NTED's names, and their truth, 176x256; no weights anywhere."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)
    for seed, (source, target) in enumerate([(SIDE, BACK), (BACK, SIDE)]):
        write_png(tmp_path / "generated" / f"{WOMAN}{source}_2_{WOMAN}{target}_vis.png", picture(seed))
        write_png(tmp_path / "truth" / f"{WOMAN}{target}.png", picture(seed + 5))
    return tmp_path / "generated", tmp_path / "truth"


def test_a_set_of_images_is_scored_and_what_is_missing_is_named(
    command: Command, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = command.works("evaluate-images", *folders, "--protocol", "strict", "--out", tmp_path / "report")
    assert "2 pairs by the rule nted-pidm: SOURCE_2_TARGET_vis.png" in out
    assert "not computed: lpips_vgg: weights missing: vgg16-397923af.pth" in out
    result = json.loads((tmp_path / "report" / "metrics.json").read_text())
    computed = {name for name, value in result["mean"].items() if value is not None}
    assert computed == {"ssim", "ms_ssim", "psnr", "l1"}
    assert computed | set(result["not_computed"]) == set(result["definitions"])
    assert "--train-images" in result["not_computed"]["fid_train"]
    assert "signgen weights fetch inception-fid" in result["not_computed"]["kid_test"]
    with (tmp_path / "report" / "per_frame.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [Path(row["truth"]).name for row in rows] == [f"{WOMAN}{BACK}.png", f"{WOMAN}{SIDE}.png"]
    assert np.mean([float(row["psnr"]) for row in rows]) == pytest.approx(result["mean"]["psnr"])


def test_with_weights_everything_is_computed(command: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The real classes with random weights: LPIPS's AlexNet and torchvision's Inception."""
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    weights = tmp_path / "weights"
    weights.mkdir()
    trunk = {n: v for n, v in build_network().state_dict().items() if n.startswith("net.slice")}
    torch.save({f"features.{n.split('.', 2)[2]}": v for n, v in trunk.items()}, weights / TRUNKS["alex"].file)
    inception = inception_v3(weights=None, init_weights=False, transform_input=False)
    torch.save(inception.state_dict(), weights / WEIGHTS["torchvision"].file)
    command.works("evaluate-images", *folders, "--protocol", "fpdm", "--weights", weights, "--out", tmp_path / "report")
    result = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert result["not_computed"] == {}
    assert result["mean"]["lpips"] > 0
    assert result["mean"]["fid"] > 0
    assert "RGB in [-1, 1], a last batch of fewer than 10 dropped" in result["definitions"]["lpips"]
    assert "test targets" in result["definitions"]["fid"]


def test_videos_are_scored_frame_by_frame(command: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name, seeds in (("a", (0, 1, 2)), ("b", (0, 1, 5)), ("short", (0, 1))):
        with VideoWriter(tmp_path / f"{name}.mp4", 176, 256, 25) as writer:
            for seed in seeds:
                writer.write(picture(seed))
    a, b, short = (tmp_path / f"{name}.mp4" for name in ("a", "b", "short"))
    command.works("evaluate-images", a, b, "--protocol", "cfld", "--out", tmp_path / "report")
    rows = json.loads((tmp_path / "report" / "metrics.json").read_text())["per_frame"]
    assert [row["psnr"] > 30 for row in rows] == [True, True, False]
    assert rows[2]["truth"].endswith("b.mp4#2")
    assert 'id="curve-psnr"' in (tmp_path / "report" / "report.html").read_text()
    assert "has 3 frames" in command.refuses("evaluate-images", a, short, "--protocol", "cfld", "--out", tmp_path / "x")


def test_strict_says_that_a_generated_video_is_lossy(
    command: Command, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    generated, lossless = tmp_path / "a.mp4", tmp_path / "a.mkv"
    with VideoWriter(generated, 176, 256, 25) as writer, av.open(str(lossless), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=176, height=256, pix_fmt="bgr0")
        for seed in range(2):
            writer.write(picture(seed))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(seed), format="rgb24")))
        container.mux(stream.encode(None))
    strict = ("--protocol", "strict", "--out", tmp_path / "r")
    out = command.works("evaluate-images", generated, lossless, *strict)
    said = f"{generated} is a lossy video (h264), and --protocol strict asks for PNG"
    assert f"note: {said}: how far that alone moves SSIM and PSNR is not known" in out
    result = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert said in " ".join(result["notes"])
    assert "a lossy video between model and score, NOT the PNG" in result["protocol"]
    assert "nothing lossy" not in out + result["protocol"]
    clean = command.works("evaluate-images", lossless, generated, *strict)
    assert "nothing lossy between model and score" in clean
    assert "lossy video" not in clean
    assert "lossy video" not in command.works("evaluate-images", generated, lossless, "--protocol", "cfld", *strict[2:])
    for number in range(2):
        write_png(tmp_path / "frames" / f"{number}.png", picture(number))
        (tmp_path / "frames" / f"{number}.png").rename(tmp_path / "frames" / f"{number}.jpg")
    assert "0.jpg and 1 more: a lossy file" in command.refuses(
        "evaluate-images", tmp_path / "frames", lossless, *strict
    )


def test_a_clip_is_not_read_again_for_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame 0 of a video is the source of all its frames: reading it for each would seek back and forth."""
    from signgen.evaluation.images import ImagesRequest, Picture, evaluate_images

    for name in ("a", "b"):
        with VideoWriter(tmp_path / f"{name}.mp4", 176, 256, 25) as writer:
            for seed in range(6):
                writer.write(picture(seed))
    read: list[Picture] = []
    original = Picture.read

    def counted(self: Picture) -> np.ndarray:
        read.append(self)
        return original(self)

    monkeypatch.setattr(Picture, "read", counted)
    evaluate_images(ImagesRequest(tmp_path / "a.mp4", tmp_path / "b.mp4", "cfld"))
    assert read.count(Picture(tmp_path / "b.mp4", 0)) == 2  # as a truth, and as the source of all
    assert len(read) == 13


def test_wrong_input_is_one_line(command: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    generated, truth = folders
    base = ("evaluate-images", generated, truth, "--out", tmp_path / "x")
    assert "did you mean strict" in command.refuses(*base, "--protocol", "stric")
    assert "Missing option '--protocol'" in command.refuses(*base, "--size", "176x256")
    assert "No such option: --frames" in command.refuses(*base, "--protocol", "fpdm", "--frames", "0:1")
    assert "expected WIDTHxHEIGHT" in command.refuses(*base, "--protocol", "fpdm", "--size", "large")
    assert "takes and does not resize" in command.refuses(*base, "--protocol", "pidm")
    assert "no --size" in command.refuses(*base, "--protocol", "gfla", "--size", "176x256")
    write_png(truth / "another.png", picture(9))
    assert "another.png: no generated image" in command.refuses(*base, "--protocol", "fpdm")
    (truth / "another.png").unlink()
    lossless = generated / f"{WOMAN}{SIDE}_2_{WOMAN}{BACK}_vis.png"
    lossless.rename(lossless.with_suffix(".jpg"))
    assert "a lossy file; expected PNG" in command.refuses(*base, "--protocol", "strict")
    assert not (tmp_path / "x").exists()
