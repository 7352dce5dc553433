"""States on disk: the last few are kept, a damaged one falls back to the one before, half a state is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from signgen.errors import ModelError
from signgen.training.checkpoints import Checkpoints, Progressed, read_progress


def files(value: float) -> list[tuple[str, Any]]:
    return [("weights.pt", {"w": torch.full((100,), float(value))}), ("ema.pt", {"w": torch.zeros(3)})]


@pytest.fixture
def three(tmp_path: Path) -> Checkpoints:
    """States of steps 1, 2 and 3, of which the last two are kept."""
    found = Checkpoints(tmp_path, "line", keep=2)
    for step in (1, 2, 3):
        found.write(Progressed(step, 9, step / 2), files(step))
    return found


def read(found: Checkpoints) -> tuple[Progressed, list[str], float]:
    seen: dict[str, float] = {}

    def load(content: Callable[[str], Any]) -> None:
        seen["w"] = float(content("weights.pt")["w"][0])

    state = found.read(load, "cpu")
    assert state is not None
    return *state, seen["w"]


def test_the_last_ones_are_kept_and_the_newest_is_read(three: Checkpoints, tmp_path: Path) -> None:
    assert sorted(path.name for path in three.folder.iterdir()) == ["00000002", "00000003"]
    assert read(three) == (Progressed(3, 9, 1.5), [], 3.0)
    assert read_progress(tmp_path, "line") == Progressed(3, 9, 1.5)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    """One bit, which torch.load does not notice."""
    data = bytearray(path.read_bytes())
    place = data.index(torch.full((4,), 3.0).numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "cut": ("weights.pt", cut, "bytes of"),
    "a bit": ("weights.pt", flip, "CRC-32"),
    "gone": ("ema.pt", Path.unlink, "No such file"),
    "progress": ("progress.json", lambda path: path.write_text("{"), "damaged"),
    "a step": ("progress.json", lambda path: path.write_text('{"step": -1, "steps": 9}'), "step -1 of 9"),
    "sums": ("progress.json", lambda path: path.write_text('{"step": 3, "steps": 9, "files": []}'), "files is"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_state_falls_back_to_the_one_before(three: Checkpoints, tmp_path: Path, kind: str) -> None:
    name, damage, named = DAMAGE[kind]
    damage(three.of(3) / name)
    progress, told, value = read(three)
    assert (progress, value) == (Progressed(2, 9, 1.0), 2.0)
    (line,) = told
    assert name in line
    assert named in line
    assert line.endswith("stage line goes on from step 2")
    assert read(three)[1] == []  # it was put aside, so that it is told once
    assert {path.name for path in three.folder.iterdir()} == {"00000002", "damaged-00000003"}
    three.write(Progressed(3, 9), files(3))
    assert read(Checkpoints(tmp_path, "line"))[0].step == 3


def test_the_same_step_again_takes_the_place_of_the_first(three: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    three.write(Progressed(3, 3), files(30))
    assert read(three) == (Progressed(3, 3, 0.0), [], 30.0)
    assert sorted(path.name for path in three.folder.iterdir()) == ["00000002", "00000003"]


def test_where_all_are_damaged_nothing_is_made_up(three: Checkpoints) -> None:
    for step in (2, 3):
        cut(three.of(step) / "weights.pt")
    with pytest.raises(ModelError, match=r"weights\.pt is damaged .*delete the folder"):
        read(three)


def test_an_interrupted_write_is_no_state(three: Checkpoints, tmp_path: Path) -> None:
    def dies() -> Any:
        yield "weights.pt", {"w": torch.zeros(3)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        three.write(Progressed(4, 9), dies())
    assert (three.folder / ".00000004.new").is_dir()
    assert read(Checkpoints(tmp_path, "line"))[0].step == 3
    three.write(Progressed(4, 9), files(4))
    assert not list(three.folder.glob(".*"))


def test_a_full_disk_leaves_the_older_states(three: Checkpoints) -> None:
    def full() -> Any:
        yield "weights.pt", {"w": torch.zeros(3)}
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        three.write(Progressed(4, 9), full())
    assert three.steps() == [2, 3]
    assert not list(three.folder.glob(".*"))


def test_the_one_state_of_older_versions_is_moved(tmp_path: Path) -> None:
    state = tmp_path / "state" / "line"
    state.mkdir(parents=True)
    torch.save({"w": torch.full((100,), 7.0)}, state / "weights.pt")
    (state / "progress.json").write_text(json.dumps({"step": 5, "steps": None}))
    state.rename(state.with_name(".line.old"))  # it even died between the two renames of those versions
    found = Checkpoints(tmp_path, "line")
    assert read(found) == (Progressed(5, None, 0.0), [], 7.0)
    assert {path.name for path in state.iterdir()} == {"00000005"}


def test_there_may_be_none(tmp_path: Path) -> None:
    found = Checkpoints(tmp_path, "line")
    assert (found.newest(), found.steps()) == (None, [])
    assert found.read(lambda _: None, "cpu") is None
