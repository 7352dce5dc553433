"""The functions behind the commands: offered lazily, silent, with results that carry what was said."""

from __future__ import annotations

import ast
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import signgen
from signgen import (
    BuildPairsRequest,
    ClipRequest,
    ImagesRequest,
    ModelRequest,
    RenderRequest,
    TrainRequest,
    build_pairs,
    evaluate_clip,
    evaluate_images,
    evaluate_model,
    render,
    train,
)
from signgen.progress import Bar, Progress
from signgen.video.reader import open_frames, write_png
from tests.line import Line
from tests.tiny import TINY


class Recorded(Progress):
    """Remembers notes, and how far each bar came."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.bars: dict[str, int] = {}

    @contextmanager
    def bar(self, what, total=None, keep=False):
        shown = Counted()
        yield shown
        self.bars[what] = shown.count

    def note(self, text, about=""):
        self.notes.append(f"{about}: {text}" if about else text)


class Counted(Bar):
    count = 0

    def advance(self, count=1):
        self.count += count

    def update(self, completed, total=None, note=""):
        self.count = completed


@pytest.fixture(autouse=True)
def silent(capfd, monkeypatch, tmp_path):
    """Nothing may be printed by any of them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    yield
    assert capfd.readouterr().out == ""


def test_pairs_are_built_and_what_was_said_is_in_the_result(line: Line, tmp_path: Path) -> None:
    progress = Recorded()
    built = build_pairs(BuildPairsRequest(line.videos, tmp_path / "pairs", store=True), progress)
    assert (built.folder, built.clips, built.put_aside) == (tmp_path / "pairs", 2, False)
    assert built.triples["train"] > 0
    assert built.notes[0] == "paired: clip0: clip0.mp4 + clip0.mmpose.json (mmpose, 133 points, 16 frames)"
    assert list(built.notes) == progress.notes
    assert progress.bars == {"looking at clips": 2, "keypoints": 2, "storing frames": 2}


def test_a_run_is_trained(line: Line, tmp_path: Path) -> None:
    progress = Recorded()
    request = TrainRequest(line.pairs, tmp_path / "run", overrides=TINY, stage="fusion", device="cpu")
    result = train(request, progress)
    assert (result.model, result.fusion) == (None, tmp_path / "run" / "fusion")
    assert result.notes == ("recipe: nano, 264 training triples, 8 validation rows, device cpu",)
    assert progress.bars == {"stage fusion": 6}


def test_a_clip_is_rendered_and_scored(line: Line, tmp_path: Path) -> None:
    progress = Recorded()
    request = RenderRequest(line.video, line.poses, line.model, tmp_path / "o.mp4", frames="12:14", device="cpu")
    result = render(request, progress)
    assert result.written == (tmp_path / "o.mp4",)
    assert open_frames(tmp_path / "o.mp4").num_frames == 2
    assert result.scores is not None
    assert result.scores["frames"] == 2
    assert [path.name for path in result.score_files] == ["o.metrics.json", "o.per_frame.csv"]
    assert all(path.is_file() for path in result.score_files)
    assert any(note.startswith("truth: the frames of ") for note in result.notes)
    assert progress.bars == {"rendering": 2}


def test_two_clips_are_scored(line: Line) -> None:
    progress = Recorded()
    result = evaluate_clip(ClipRequest(line.video, line.video, frames="0:3", poses=line.poses), progress)
    assert result.scores["mean"]["ssim"] == 1
    assert "frames 0:3 of both clips" in result.notes
    assert (result.pair.selection, progress.bars) == (slice(0, 3), {"scoring": 3})


def test_two_folders_are_scored(line: Line, tmp_path: Path) -> None:
    for number, frame in enumerate(open_frames(line.video).read(0, 2)):
        write_png(tmp_path / "a" / f"{number}.png", frame)
        write_png(tmp_path / "b" / f"{number}.png", frame)
    result = evaluate_images(ImagesRequest(tmp_path / "a", tmp_path / "b", "strict"))
    assert result.scores["mean"]["l1"] == 0
    assert len(result.pairs) == 2
    assert result.notes[0].startswith("2 pairs by the rule same-name")


def test_a_model_is_scored_on_a_split(line: Line) -> None:
    progress = Recorded()
    result = evaluate_model(ModelRequest(line.model, line.pairs, "val", device="cpu", threads=1), progress)
    assert result.scores["frames"] == 8
    assert result.scores["render"] == {"split": "val", "seed": 0}
    assert progress.notes == ["8 val pairs of 2 clips"]
    assert progress.bars == {"rendering and scoring": 8}


def test_paths_may_be_given_as_text() -> None:
    request = BuildPairsRequest("clips", "pairs", pair_lists=["a.csv"], clips=["hello"])
    assert (request.root, request.out, request.keypoints) == (Path("clips"), Path("pairs"), None)
    assert (request.pair_lists, request.clips) == ((Path("a.csv"),), ("hello",))
    assert RenderRequest("v.mp4", "p.json", "run/model", "o.mp4", truth="auto").truth == "auto"


def test_everything_that_is_offered_is_there() -> None:
    for name in signgen.__all__:
        found = getattr(signgen, name)
        assert found.__doc__ or name == "__version__"
        if name.endswith(("Request", "Result")):
            assert is_dataclass(found)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = signgen.nothing
    assert set(signgen.__all__) <= set(dir(signgen))


def test_the_names_for_type_checkers_are_those_that_are_offered() -> None:
    """They stand twice in the file, since a checker cannot follow a lazy import."""
    tree = ast.parse(Path(signgen.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed | {"__version__"} == set(signgen.__all__) == {*signgen._MODULE_OF, "__version__"}


def test_the_package_alone_loads_no_torch() -> None:
    code = "import sys, signgen; assert not {'torch', 'numpy', 'rich'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
