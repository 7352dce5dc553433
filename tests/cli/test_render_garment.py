"""`signgen render --garment`: what is said, what the files hold, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.rendering import inputs
from signgen.video.reader import open_frames, write_png
from tests.line import Command, Line
from tests.worlds import figure_poses, write_mmpose


@pytest.fixture
def garment(line: Line, tmp_path: Path) -> tuple[Path, Path]:
    """A frame of the other clip, in other colours, and the keypoints of that clip, of which it is the first."""
    image, poses = tmp_path / "garment.png", tmp_path / "clothes.json"
    write_png(image, 255 - open_frames(line.videos / "clip1.mp4").read(0, 1)[0])
    shutil.copy(line.videos / "clip1.mmpose.json", poses)
    return image, poses


def words(line: Line, out: Path, *more: object) -> list[object]:
    base = ["render", line.video, line.poses, "--model", line.model, "--out", out, "--device", "cpu", "--frames", "2:5"]
    return [*base, *more]


def test_clothes_change_the_picture_and_are_told_of(
    line: Line, garment: tuple[Path, Path], tmp_path: Path, command: Command
) -> None:
    worn = ("--garment", garment[0], "--garment-poses", garment[1])
    plain, out = tmp_path / "plain", tmp_path / "worn"
    command.works(*words(line, tmp_path / "plain.mp4", "--save-frames", plain))
    said = " ".join(command.works(*words(line, tmp_path / "a.mp4", *worn, "--save-frames", out)).split())
    assert "the part warp takes trunk and arms of garment; head, hands and background are those of clip0" in said
    assert "clip0.mp4 does not show the garment; --truth names frames that do" in said
    assert not (tmp_path / "a.metrics.json").exists()
    assert not np.array_equal(open_frames(plain).read(), open_frames(out).read())
    assert "clip0.mp4, clothes of garment.png" in " ".join(command.works("info", tmp_path / "a.mp4").split())


def test_keypoints_beside_the_image_are_found_and_called_the_garments(
    line: Line, garment: tuple[Path, Path], tmp_path: Path, command: Command
) -> None:
    write_mmpose(figure_poses(1), tmp_path / "garment.json")
    said = command.works(*words(line, tmp_path / "x.mp4", "--garment", garment[0], "--dry-run"))
    assert "garment: its pose is that of" in said
    assert not (tmp_path / "x.mp4").exists()


def test_with_a_named_truth_the_scores_say_so_and_copy_source_is_the_plain_one(
    line: Line, garment: tuple[Path, Path], tmp_path: Path, command: Command
) -> None:
    worn = ("--garment", garment[0], "--garment-poses", garment[1], "--truth", line.video)
    command.works(*words(line, tmp_path / "plain.mp4", "--truth", line.video))
    command.works(*words(line, tmp_path / "worn.mp4", *worn))
    plain, found = (json.loads((tmp_path / f"{name}.metrics.json").read_text()) for name in ("plain", "worn"))
    assert any("trunk and arms of garment" in note for note in found["notes"])
    assert any(file["role"] == "garment" for file in found["provenance"]["files"])
    assert found["baselines"]["copy-source"] == plain["baselines"]["copy-source"]


def test_what_cannot_be_is_refused_in_one_line(
    line: Line, garment: tuple[Path, Path], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(*_given: object) -> None:
        raise PoseError("no estimator")

    monkeypatch.setattr(inputs, "open_estimator", not_installed)
    image, poses = garment
    out = tmp_path / "x.mp4"
    refused = command.refuses(*words(line, out, "--garment", image))
    assert "the keypoints of the garment image are not known" in refused
    assert "--garment-poses" in refused
    assert "--garment-poses without --garment" in command.refuses(*words(line, out, "--garment-poses", poses))
    both = ("--garment", image, "--garment-poses", poses, "--references", line.videos / "clip1.mp4")
    assert "--garment with --references" in command.refuses(*words(line, out, *both, "--reference-poses", poses))
    assert "gone.png" in command.refuses(*words(line, out, "--garment", tmp_path / "gone.png"))
    assert not out.exists()
