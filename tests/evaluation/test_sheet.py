"""`evaluate-images --sheet`: which picture stands in which cell, by its colour, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signgen.errors import OptionError, PairSetError, PoseError
from signgen.evaluation.named_runs import named_runs
from signgen.evaluation.sheet import SheetRequest, plan_sheet
from signgen.reporting.sheet import HEIGHT
from signgen.video.reader import read_image, write_png
from tests.line import Command

SHIRT = "WOMEN/Blouses_Shirts/id_00003372"
VIEWS = ("03_1_front", "03_2_side", "03_3_back")
SIZE = (352, 512)


def picture(grey: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """One colour, so that a cell says where it came from."""
    return np.full((size[1], size[0], 3), grey, np.uint8)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Truth of three views, two methods with their own spelling of names, keypoints of every view."""
    for number, view in enumerate(VIEWS):
        write_png(tmp_path / "img" / SHIRT / f"{view}.png", picture(10 + number))
        rows = np.full((18, 2), -1)
        rows[[0, 1, 2, 5]] = [[128, 50 + 10 * number], [128, 90], [100, 90], [156, 90]]
        text = tmp_path / "pose" / SHIRT / f"{view}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(text, rows, fmt="%d")
    flat = SHIRT.replace("/", "")
    for number, (source, target) in enumerate([(2, 0), (0, 1), (1, 2)]):
        ours = f"{flat}{VIEWS[source]}.jpg_2_{flat}{VIEWS[target]}.jpg.png"
        write_png(tmp_path / "fpdm" / ours, picture(100 + number))
        theirs = f"fashion{flat}{VIEWS[source]}_to_fashion{flat}{VIEWS[target]}.png"
        write_png(tmp_path / "pcdms" / theirs, picture(200 + number, (176, 256)))
    return tmp_path


def request(world: Path, **changes: object) -> SheetRequest:
    base = SheetRequest(world / "fpdm", world / "img", 3, {"PCDMs": world / "pcdms"}, poses=world / "pose")
    return SheetRequest(**{**base.__dict__, **changes})


def test_every_cell_is_of_its_pair(world: Path) -> None:
    rows = plan_sheet(request(world))
    assert [list(row.cells) for row in rows] == [["source", "pose", "truth", "generated", "PCDMs"]] * 3
    for row in rows:
        cells = {name: read() for name, read in row.cells.items()}
        number = int(cells["generated"][0, 0, 0]) - 100
        source, target = [(2, 0), (0, 1), (1, 2)][number]
        assert int(cells["PCDMs"][0, 0, 0]) == 200 + number
        assert int(cells["source"][0, 0, 0]) == 10 + source
        assert int(cells["truth"][0, 0, 0]) == 10 + target
        assert cells["pose"].shape == cells["truth"].shape
        top = np.flatnonzero(cells["pose"].any((1, 2)))[0]  # the nose, drawn where this target has it
        assert abs(top - (50 + 10 * target) * SIZE[1] / 256) < 8


def test_rows_are_drawn_at_random_and_the_same_again(world: Path) -> None:
    one = [row.name for row in plan_sheet(request(world, count=2))]
    assert one == [row.name for row in plan_sheet(request(world, count=2))]
    assert len(one) == 2
    many = {tuple(row.name for row in plan_sheet(request(world, count=1, seed=seed))) for seed in range(20)}
    assert len(many) == 3


def test_poses_may_be_pictures_with_the_targets_names(world: Path) -> None:
    for number, view in enumerate(VIEWS):
        write_png(world / "drawn" / f"{SHIRT.replace('/', '')}{view}.png", picture(60 + number))
    rows = plan_sheet(request(world, poses=world / "drawn"))
    for row in rows:
        assert int(row.cells["pose"]()[0, 0, 0]) - 60 == int(row.cells["truth"]()[0, 0, 0]) - 10
    (world / "drawn" / f"{SHIRT.replace('/', '')}{VIEWS[0]}.png").unlink()
    with pytest.raises(PairSetError, match=r"no picture of the pose of .*03_1_front"):
        plan_sheet(request(world, poses=world / "drawn"))


def test_what_is_missing_is_named_before_anything_is_scored(world: Path) -> None:
    next((world / "pose").rglob("03_1_front.txt")).unlink()
    with pytest.raises(PoseError, match=r"no keypoints of .*03_1_front"):
        plan_sheet(request(world))
    next((world / "pcdms").glob("*03_1_front_to_*")).unlink()
    with pytest.raises(PairSetError, match=r"03_2_side.*no generated image"):
        plan_sheet(request(world, poses=None))
    with pytest.raises(OptionError, match="truth: the name of a column"):
        plan_sheet(request(world, others={"truth": world / "pcdms"}))


def test_the_command_draws_it_and_links_it(world: Path, command: Command) -> None:
    out = world / "report"
    call = ("evaluate-images", world / "fpdm", world / "img", "--protocol", "fpdm", "--out", out)
    command.works(*call, "--sheet", 2, "--with", f"PCDMs={world / 'pcdms'}", "--poses", world / "pose")
    sheet = read_image(out / "sheet.png")
    width = round(SIZE[0] * HEIGHT / SIZE[1])
    assert sheet.shape == (26 + 2 * (HEIGHT + 4), 5 * (width + 4), 3)
    greys = sheet[26 + HEIGHT // 2, [2, 2 * (width + 4) + 2, 3 * (width + 4) + 2, 4 * (width + 4) + 2], 0].tolist()
    assert greys[2] - 100 == greys[3] - 200
    assert (sheet[:26].min() < 100).all()  # names stand above
    assert 'href="sheet.png"' in (out / "report.html").read_text()
    assert "add --sheet N" in command.refuses(*call, "--with", f"PCDMs={world / 'pcdms'}")


def test_two_clips_are_matched_by_frame(tmp_path: Path) -> None:
    for number in range(4):
        write_png(tmp_path / "truth" / f"{number:03d}.png", picture(number, (64, 64)))
        write_png(tmp_path / "ours" / f"{number:03d}.png", picture(50 + number, (64, 64)))
    rows = plan_sheet(SheetRequest(tmp_path / "ours", tmp_path / "truth", 4, {"again": tmp_path / "ours"}))
    for row in rows:
        assert int(row.cells["generated"]()[0, 0, 0]) - 50 == int(row.cells["truth"]()[0, 0, 0])
    assert "source" not in rows[0].cells  # names of frames do not tell it


def test_names_of_runs(tmp_path: Path) -> None:
    (tmp_path / "cfld.v2").mkdir()
    assert named_runs([f"A={tmp_path}", str(tmp_path / "cfld.v2")]) == {"A": tmp_path, "cfld": tmp_path / "cfld.v2"}
    with pytest.raises(OptionError, match="the name 'A' is empty or taken"):
        named_runs([f"A={tmp_path}"], {"A"})
    with pytest.raises(OptionError, match="no such file or folder"):
        named_runs(["A=nowhere"])
