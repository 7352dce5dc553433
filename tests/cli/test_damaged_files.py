"""Every file the product writes, empty, cut in half and with a wrong byte in its head: one line that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import VideoError
from signgen.pairs.pairset import PairSet
from signgen.poses.readers import read_poses
from tests.line import Command, Line
from tests.study.worlds import answers_of, key_of, save, write_images

Damager = Callable[[bytes], bytes]


def flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x80
    return bytes(changed)


DAMAGE: dict[str, Damager] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    # Parquet's head is at its end
    "flipped": lambda data: flip(data, -6 if data[:4] == b"PAR1" else 1),
}
KINDS = pytest.mark.parametrize("kind", DAMAGE)
STATE = "state/diffusion/00000008"  # the tiny recipe's last step


def damaged(path: Path, kind: str) -> Iterator[None]:
    """The file is damaged for one turn of a loop."""
    content = path.read_bytes()
    path.write_bytes(DAMAGE[kind](content))
    try:
        yield
    finally:
        path.write_bytes(content)


def refuse_each(command: Command, files: list[Path], kind: str, *lines: tuple[object, ...]) -> None:
    """Each command refuses each damaged file in one line that names it, and does not call it Ctrl-C."""
    assert files
    for path in files:
        for _ in damaged(path, kind):
            for words in lines:
                said = command.refuses(*words)
                named = path.name in said or path.name.split(".")[0] in said
                assert named, f"{path} {kind} {words[0]}: {said}"
                assert "Ctrl-C" not in said


@pytest.fixture(scope="module")
def copy(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The line's pair set and run, to be damaged."""
    root = tmp_path_factory.mktemp("damaged")
    shutil.copytree(line.pairs, root / "pairs")
    shutil.copytree(line.run, root / "run")
    return Line(line.videos, root / "pairs", root / "run", line.built, line.trained)


@KINDS
def test_pair_sets(kind: str, copy: Line, command: Command, tmp_path: Path) -> None:
    files = [copy.pairs / name for name in ("meta.json", "clips.parquet", "triples.parquet")]
    out = tmp_path / "out"
    score = ("evaluate", copy.video, copy.video, "--poses", copy.poses, "--pairs", copy.pairs, "--out", out)
    render = ("render", copy.video, copy.poses, "--model", copy.model, "--pairs", copy.pairs, "--out", out / "a.mp4")
    model = ("evaluate-model", copy.model, copy.pairs, "--out", out, "--split", "val")
    fusion = ("evaluate-fusion", copy.model, copy.pairs, "--out", out)
    train = ("train", copy.pairs, "--config", "nano", "--out", out, "--device", "cpu")
    robust = ("robustness", copy.model, copy.pairs, "--out", out)
    refuse_each(command, files, kind, score, render, model, fusion, train, robust)
    refuse_each(command, [copy.pairs / "poses" / "clip0.poses.npz"], kind, score, model)


@KINDS
def test_stores(kind: str, line: Line, command: Command, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    command.works("build-pairs", line.videos, "--out", pairs, "--store")
    train = ("train", pairs, "--config", "nano", "--out", tmp_path / "run", "--device", "cpu")
    refuse_each(command, [pairs / "store" / "index.parquet"], kind, train)


@KINDS
def test_model_folders(kind: str, copy: Line, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    render = ("render", copy.video, copy.poses, "--model", copy.model, "--out", out, "--frames", "0:1")
    files = [path for path in sorted(copy.model.rglob("*")) if path.is_file()]
    refuse_each(command, files, kind, render)
    card = copy.model / "signgen.json"
    model = ("evaluate-model", copy.model, copy.pairs, "--out", tmp_path / "r", "--split", "val")
    refuse_each(command, [card, copy.model / "unet" / "config.json"], kind, model)


@KINDS
def test_runs(kind: str, copy: Line, command: Command) -> None:
    """What `train --resume` reads."""
    resume = ("train", copy.pairs, "--out", copy.run, "--resume", "--device", "cpu")
    files = [copy.run / "recipe.yaml", copy.run / "settings.json"]
    files += sorted((copy.run / STATE).iterdir())
    files += [*(copy.run / "state" / "fusion").glob("*/progress.json"), *sorted((copy.run / "fusion").iterdir())]
    if kind == "empty":  # an empty YAML file
        files = files[1:]
    refuse_each(command, files, kind, resume)


@KINDS
def test_the_state_of_the_first_stage(kind: str, copy: Line, command: Command, tmp_path: Path) -> None:
    """Read where stage 1 was interrupted."""
    run = tmp_path / "run"
    shutil.copytree(copy.run, run)
    shutil.rmtree(run / "fusion")
    resume = ("train", copy.pairs, "--out", run, "--resume", "--device", "cpu")
    (state,) = (run / "state" / "fusion").iterdir()
    refuse_each(command, [state / name for name in ("weights.pt", "optimizer.pt")], kind, resume)


@KINDS
def test_poses(kind: str, line: Line, command: Command, tmp_path: Path) -> None:
    path, out = tmp_path / "a.poses.npz", tmp_path / "out.poses.npz"
    read_poses(line.poses, size=(64, 64)).save(path)
    lines = (
        ("poses", "info", path),
        ("poses", "convert", path, out),
        ("poses", "clean", path, out),
        ("poses", "retarget", path, out, "--to", line.poses, "--to-size", "64x64"),
        ("poses", "retarget", line.poses, out, "--size", "64x64", "--to", path),
        ("poses", "draw", path, tmp_path / "o.mp4"),
        ("render", line.video, path, "--model", line.model, "--out", tmp_path / "r.mp4"),
        ("render", line.video, line.poses, "--source-poses", path, "--model", line.model, "--out", tmp_path / "r.mp4"),
        ("evaluate", line.video, line.video, "--poses", path, "--out", tmp_path / "r"),
        ("evaluate", line.video, line.video, "--generated-poses", path, "--poses", line.poses, "--out", tmp_path / "r"),
    )
    refuse_each(command, [path], kind, *lines)


@KINDS
def test_videos(kind: str, line: Line, command: Command, tmp_path: Path) -> None:
    """A byte in an mp4's first box is no damage; in its coded frames tests/video/test_damage.py has it."""
    if kind == "flipped":
        return
    path = tmp_path / "a.mp4"
    shutil.copy(line.video, path)
    lines = (
        ("evaluate", path, line.video, "--out", tmp_path / "r"),
        ("evaluate", line.video, path, "--out", tmp_path / "r"),
        ("poses", "draw", line.poses, tmp_path / "o.mp4", "--over", path),
        ("poses", "extract", path, tmp_path / "o.poses.npz"),
        ("render", path, line.poses, "--model", line.model, "--out", tmp_path / "r.mp4"),
    )
    refuse_each(command, [path], kind, *lines)


@KINDS
def test_scores(kind: str, line: Line, command: Command, tmp_path: Path) -> None:
    command.works("evaluate", line.video, line.video, "--out", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    lines = (("compare", tmp_path / "one", tmp_path / "two"), ("compare", tmp_path / "two", tmp_path / "one"))
    refuse_each(command, [tmp_path / "one" / "metrics.json"], kind, *lines)


@KINDS
def test_studies(kind: str, command: Command, tmp_path: Path) -> None:
    write_images(tmp_path / "w", 12)
    runs = [f"{name}={tmp_path / 'w' / name}" for name in ("good", "poor")]
    study = tmp_path / "study"
    command.works("study", "build", *runs, "--truth", tmp_path / "w" / "truth", "--out", study, "--raters", "2")
    answers = save(answers_of(key_of(study), 1), study / "answers")
    command.works("study", "score", study / "answers")
    refuse_each(command, [study / "key.json", answers], kind, ("study", "score", study / "answers"))


@KINDS
def test_recipes(kind: str, line: Line, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shutil.copy(line.run / "recipe.yaml", path)
    train = ("train", line.pairs, "--config", path, "--out", tmp_path / "run", "--device", "cpu")
    if kind != "half":  # half a recipe may be a recipe
        refuse_each(command, [path], kind, train)


def test_json_of_another_kind(copy: Line, command: Command, tmp_path: Path) -> None:
    """Whole JSON that holds something else."""
    out = tmp_path / "out.mp4"
    render = ("render", copy.video, copy.poses, "--model", copy.model, "--out", out, "--frames", "0:1")
    for name in ("signgen.json", "model_index.json", "unet/config.json"):
        for text in ("[]", "3", "null", "{}"):
            path = copy.model / name
            content = path.read_bytes()
            path.write_text(text)
            said = command.refuses(*render)
            path.write_bytes(content)
            assert "model" in said


def test_an_end_of_file_is_no_ctrl_c(command: Command, line: Line, tmp_path: Path, monkeypatch) -> None:
    """Typer takes EOFError for an interrupt."""

    def ends(*_: object, **__: object) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr("signgen.poses.readers.read_file", ends)
    monkeypatch.setattr("signgen.poses.read_file", ends)
    called = command("poses", "info", line.poses)
    assert called.code == 2
    assert "ends too early" in called.err
    assert "Ctrl-C" not in called.err


def harmed(path: Path, **values: object) -> Iterator[None]:
    """A JSON file with other values for one turn of a loop."""
    content = path.read_text()
    path.write_text(json.dumps({**json.loads(content), **values}))
    try:
        yield
    finally:
        path.write_text(content)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("model_index.json", {"unet": ["os", "system"]}),
        ("model_index.json", {"scheduler": ["subprocess", "Popen"]}),
        ("model_index.json", {"other": ["shutil", "rmtree"]}),
        ("model_index.json", {"unet": []}),
        ("model_index.json", {"_class_name": "StableDiffusionPipeline"}),
        ("model_index.json", {"source_side": 33}),
        ("model_index.json", {"base_scale": "x"}),
        ("image_space/config.json", {"factor": 2**62}),
        ("fusion/config.json", {"side": 0.5}),
        ("scheduler/scheduler_config.json", {"timestep_spacing": 0}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 2**31}),
        ("source_encoder/config.json", {"layer_norm_eps": "x"}),
        ("unet/config.json", {"layers_per_block": 2**31}),
        ("unet/config.json", {"time_embedding_act_fn": "nothing"}),
        ("unet/config.json", {"norm_eps": "x"}),
        ("signgen.json", {"recipe": []}),
        ("signgen.json", {"data": {}}),
    ],
)
def test_what_a_model_folder_cannot_say(name: str, values: dict, copy: Line, command: Command, tmp_path: Path) -> None:
    """Whole JSON whose values would import other code, or make a network that does not run."""
    render = ("render", copy.video, copy.poses, "--model", copy.model, "--out", tmp_path / "o.mp4", "--frames", "0:1")
    for _ in harmed(copy.model / name, **values):
        assert name.split("/")[0].split(".")[0] in command.refuses(*render) or "model" in command.refuses(*render)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("settings.json", {"max_minutes": [1]}),
        ("settings.json", {"init": 3}),
        (f"{STATE}/progress.json", {"step": "1"}),
        (f"{STATE}/progress.json", {"step": -1}),
        (f"{STATE}/progress.json", {"steps": 1.5}),
    ],
)
def test_what_a_run_cannot_say(name: str, values: dict, copy: Line, command: Command) -> None:
    for _ in harmed(copy.run / name, **values):
        said = command.refuses("train", copy.pairs, "--out", copy.run, "--resume", "--device", "cpu")
        assert Path(name).name in said


@pytest.mark.parametrize("content", [b"step,loss\nten,1\n", b"\xff\xfe", b"", b"step\n\n"])
def test_the_log_of_a_run(content: bytes, copy: Line, command: Command, tmp_path: Path) -> None:
    """Rows of the log are dropped on resuming; of a damaged one nothing is changed."""
    run = tmp_path / "run"
    shutil.copytree(copy.run, run)
    log = run / "logs" / "diffusion-train.csv"
    log.write_bytes(content)
    said = command.refuses("train", copy.pairs, "--out", run, "--resume", "--device", "cpu")
    assert "diffusion-train.csv: not the log of a stage" in said
    assert log.read_bytes() == content


@pytest.mark.parametrize("values", [{"num_frames": 7.5}, {"name": "../../x"}, {"width": "64"}, {"images": [3]}])
def test_clips_of_a_pair_set(values: dict, copy: Line, command: Command, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pairs = tmp_path / "pairs"
    shutil.copytree(copy.pairs, pairs)
    table = pq.read_table(pairs / "clips.parquet")
    rows = [{**row, **values} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, metadata=table.schema.metadata), pairs / "clips.parquet")
    train = ("train", pairs, "--config", "nano", "--out", tmp_path / "run", "--device", "cpu")
    assert "clips.parquet: other columns than expected" in command.refuses(*train)


@pytest.mark.parametrize("header", [b"{'descr': (", b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2)}"])
def test_arrays_of_a_store(header: bytes, line: Line, command: Command, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    command.works("build-pairs", line.videos, "--out", pairs, "--store")
    path = pairs / "store" / "clip0.npy"
    content = path.read_bytes()
    path.write_bytes(content[:10] + header.ljust(118) + content[128:])
    frames = PairSet.load(pairs).training_frames("clip0")
    with pytest.raises(VideoError, match=r"clip0\.npy"):
        frames.read(0, 1)


def test_weights_of_other_names(copy: Line, command: Command, tmp_path: Path) -> None:
    """As many numbers as there have to be: counting them does not show it."""
    from safetensors.torch import load_file, save_file

    path = copy.model / "unet" / "diffusion_pytorch_model.safetensors"
    content = path.read_bytes()
    tensors = load_file(path)
    tensors["conv_in.bias_"] = tensors.pop("conv_in.bias")
    save_file(tensors, path)
    render = ("render", copy.video, copy.poses, "--model", copy.model, "--out", tmp_path / "o.mp4", "--frames", "0:1")
    said = command.refuses(*render)
    path.write_bytes(content)
    assert "unet" in said


def test_a_defect_of_the_renderer_is_not_blamed_on_the_model(copy: Line, command: Command, tmp_path: Path, monkeypatch):
    """Where the networks run on an empty picture, an error is passed on as it is."""

    wrong = np.zeros((1, 7, 5, 4), np.uint8)
    monkeypatch.setattr("signgen.rendering.renderer.Renderer.draw_windows", lambda *_: wrong)
    render = ("render", copy.video, copy.poses, "--model", copy.model, "--out", tmp_path / "o.mp4", "--frames", "0:1")
    with pytest.raises(RuntimeError):
        command(*render)
