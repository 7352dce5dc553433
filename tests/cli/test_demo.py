"""`signgen demo --quick`: every step a command, a table at the end, and going on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signgen.cli.demo import _run
from signgen.errors import SigngenError
from signgen.evaluation.demo import Step
from tests.line import Command

CASES = ("seen", "unseen", "crossed")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo"


def test_the_demo_shows_everything(command: Command, place: Path) -> None:
    result = command("demo", "--quick", "--out", place)
    assert result.code == 0, result.err
    for word in ("synthesize", "build-pairs", "train", "poses retarget", "render", "evaluate"):
        assert f"$ signgen {word} " in result.out
    for case in CASES:
        for name in (f"{case}.mp4", f"{case}.side-by-side.mp4"):
            assert (place / name).stat().st_size > 0
        report = json.loads((place / f"{case}-report" / "metrics.json").read_text())
        assert report["frames"] == 16
        assert set(report["baselines"]) == {"copy-source", "nearest-pose"}
    rows = [
        [word.strip() for word in line.strip("|").split("|")] for line in (place / "table.md").read_text().split("\n")
    ]
    assert [row[:2] for row in rows[2:-1]] == [
        [case, who] for case in CASES for who in ("nano", "copy-source", "nearest-pose")
    ]
    crossed = json.loads((place / "crossed-report" / "metrics.json").read_text())
    assert f"{float(rows[-4][2]):.3f}" == f"{crossed['mean']['ssim']:.3f}"


def test_a_finished_demo_does_nothing_again(command: Command, place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*.mp4")}
    result = command("demo", "--quick", "--out", place)
    assert result.code == 0, result.err
    assert result.out.count("is done") == 10
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*.mp4")} == before


def test_a_demo_with_other_settings_is_refused(command: Command, place: Path) -> None:
    result = command("demo", "--quick", "--seed", "1", "--out", place)
    assert result.code == 2
    assert "other settings" in result.err


SMALL = ("--signers", 1, "--clips", 1, "--frames", 2, "--width", 64, "--height", 80, "--processes", 1)


def test_a_half_written_corpus_is_drawn_again(tmp_path: Path) -> None:
    """What an interrupted `synthesize` leaves is refused by the next one; the demo clears it away."""
    corpus = tmp_path / "corpus"
    result = corpus / "keypoints" / "Phoenix-2014T.test"
    (corpus / "PHOENIX-2014-T-release-v3" / "PHOENIX-2014-T").mkdir(parents=True)
    with pytest.raises(SigngenError, match="exit code 2"):
        _run(Step(("synthesize", corpus, *SMALL), result))
    _run(Step(("synthesize", corpus, *SMALL), result, partial=corpus))
    assert result.stat().st_size > 0
