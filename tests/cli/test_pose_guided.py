"""`--pose-guidance` of all commands that render: what it changes, what files say of it, and who may not judge then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from signgen.metrics.definitions import FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.models.posenet import PoseNet
from signgen.models.posenet_card import PoseNetCard, save_posenet
from signgen.rendering.guide import chosen_settings
from signgen.rendering.parts import Parts
from signgen.video.origin import origin_of
from signgen.video.reader import open_frames
from tests.line import Command, Line
from tests.models.test_pose_adapters import Dots, onnx_file
from tests.models.test_pose_guidance import SMALL, network


def save(made: PoseNet, folder: Path) -> Path:
    known: dict[str, Any] = {"canvas": dict(SMALL)["canvas"], "recipe": {}, "licence": "", "data": {}, "accuracy": {}}
    counts = {"seed": 0, "steps": 0, "frames": 0, "signers": 0, "unseen_signers": 0, "definition": ""}
    save_posenet(made, PoseNetCard(made.digest, made.joints, **known, **counts), folder)
    return folder


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """A pose network with random weights, whose folder has a name that no file may hold."""
    return save(network(), tmp_path / "secret-place")


@pytest.fixture
def scripted(tmp_path: Path) -> tuple[Path, Path]:
    """A TorchScript archive of four heat maps, and a file of joints for it."""
    torch.jit.trace(Dots(), torch.zeros(1, 3, 64, 64)).save(str(tmp_path / "secret-place.pt"))
    (tmp_path / "secret-joints.json").write_text("[9, null, 10, 0]")
    return tmp_path / "secret-place.pt", tmp_path / "secret-joints.json"


def words(line: Line, out: Path, *more: object) -> tuple[object, ...]:
    return ("render", line.video, line.poses, "--model", line.model, "--frames", "2:5", "--out", out, *more)


def guided(judge: Path, scale: float = 50, steps: int = 4) -> tuple[object, ...]:
    return ("--steps", steps, "--pose-guidance", scale, "--pose-network", judge)


def used(video: Path) -> dict[str, Any]:
    return json.loads(video.with_name(f"{video.stem}.metrics.json").read_text())["render"]


def hides(*files: Path) -> bool:
    """Whether neither name is in any of these files; of metrics, but in the command line as it was typed."""
    written = [path for path in files if path.is_file()]
    assert written
    for path in written:
        content = path.read_bytes()
        if path.name.endswith("metrics.json"):
            found = json.loads(content)
            assert found.pop("provenance")["command"].startswith("signgen ")
            content = json.dumps(found).encode()
        if b"secret-" in content:
            return False
    return True


def test_guidance_changes_frames_and_scale_0_is_no_guidance(
    line: Line, command: Command, tmp_path: Path, judge: Path
) -> None:
    frames = {}
    for name, more in (
        ("plain", ("--steps", 4)),
        ("nothing", guided(judge, 0)),
        ("cheap", guided(judge)),
        ("full", (*guided(judge), "--pose-mode", "full")),
        ("high", (*guided(judge), "--pose-guide-in", 0.9, 1)),
    ):
        out = tmp_path / "out" / f"{name}.mp4"
        command.works(*words(line, out, *more, "--save-frames", tmp_path / "out" / name))
        frames[name] = open_frames(tmp_path / "out" / name).read()
    assert np.array_equal(frames["plain"], frames["nothing"])
    plain, nothing = (tmp_path / "out" / f"{name}.mp4" for name in ("plain", "nothing"))
    assert plain.read_bytes() == nothing.read_bytes()
    differing = ("plain", "cheap", "full", "high")
    for number, one in enumerate(differing):
        for other in differing[:number]:
            assert not np.array_equal(frames[one], frames[other]), (one, other)
    # what files say
    assert hides(*(tmp_path / "out").rglob("*"))
    digest = network().digest
    render = used(tmp_path / "out" / "cheap.mp4")
    assert (render["pose_network"], render["pose_guidance"], render["pose_mode"]) == (digest, 50, "cheap")
    for name in ("cheap.mp4", "cheap"):
        origin = origin_of(tmp_path / "out" / name)
        assert origin is not None
        assert origin.pose_networks == (digest,)
        assert digest in origin.settings
    unguided = origin_of(nothing)
    assert unguided is not None
    assert unguided.pose_networks == ()
    assert used(nothing)["pose_network"] is None


def test_a_file_of_joints_is_named_by_what_it_says(
    line: Line, command: Command, tmp_path: Path, scripted: tuple[Path, Path]
) -> None:
    path, joints = scripted
    out = tmp_path / "out" / "o.mp4"
    command.works(*words(line, out, *guided(path), "--pose-joints", joints))
    assert used(out)["pose_joints"].startswith("joints:")
    assert used(out)["pose_network"].startswith("torchscript:")
    assert hides(*(tmp_path / "out").rglob("*"))


def test_what_cannot_guide_is_one_line(
    line: Line, command: Command, tmp_path: Path, judge: Path, scripted: tuple[Path, Path]
) -> None:
    def refusal(*more: object) -> str:
        found = command.refuses(*words(line, tmp_path / "out" / "o.mp4", *more))
        assert not list((tmp_path / "out").glob("*"))
        return " ".join(found.split())

    assert "--pose-guidance without --pose-network; expected what `signgen train-posenet`" in refusal(
        "--pose-guidance", 1
    )
    assert "--pose-network without --pose-guidance" in refusal("--steps", 4, "--pose-network", judge)
    # no step in the interval: nano has one, at the noisy end
    assert "none of 1 sampling step(s) lies in --pose-guide-in 0.0 0.5" in refusal(*guided(judge, 1, 1))
    assert "--pose-guide-in 0.98 0.99" in refusal(*guided(judge), "--pose-guide-in", 0.98, 0.99)
    # what is no network
    assert "no such file or folder" in refusal(*guided(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    assert "lacks posenet.json" in refusal(*guided(tmp_path / "empty"))
    # joints
    assert "--pose-joints with" in refusal(*guided(judge), "--pose-joints", "coco17")
    assert "without --pose-joints" in refusal(*guided(scripted[0]))
    assert "expected 17 heat maps" in refusal(*guided(scripted[0]), "--pose-joints", "coco17")


def test_a_network_without_gradients_does_not_guide(line: Line, command: Command, tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "net.onnx", 1)
    (tmp_path / "joints.json").write_text("[9, null, 10, 0]")
    call = words(line, tmp_path / "o.mp4", *guided(path), "--pose-joints", tmp_path / "joints.json")
    assert "no gradient passes through it; expected a folder of train-posenet" in command.refuses(*call)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_an_export_has_no_gradient(line: Line, command: Command, tmp_path: Path, judge: Path, backend: str) -> None:
    """Whether it is there or not."""
    call = words(line, tmp_path / "o.mp4", *guided(judge), "--backend", backend, "--device", "cpu")
    assert f"--pose-mode full with --backend {backend}" in command.refuses(*call, "--pose-mode", "full")
    assert "--pose-mode" not in command.refuses(*call)  # but that there is no export


def test_another_scale_or_network_is_another_rendering(
    line: Line, command: Command, tmp_path: Path, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which network it is counts, not where it lies; of a rendering that goes on, and of a set in one folder."""
    moved = Path(shutil.copytree(judge, tmp_path / "moved"))
    other = save(network(1), tmp_path / "other")
    monkeypatch.setattr(Parts, "remove", lambda self: None)  # as where it was interrupted
    command.works(*words(line, tmp_path / "o.mp4", *guided(judge)))
    for more, differs in ((guided(judge, 2), "sampling.pose_guidance"), (guided(other), "sampling.pose_network")):
        assert f"--resume with another {differs}" in command.refuses(
            *words(line, tmp_path / "o.mp4", *more), "--resume"
        )
    assert "3 of 3 frames are there already" in command.works(
        *words(line, tmp_path / "o.mp4", *guided(moved)), "--resume"
    )
    assert hides(*(tmp_path / "o.parts").iterdir())
    # a set
    whole = ("render-set", line.pairs, "--model", line.model, "--split", "val", "--limit", 1, "--out", tmp_path / "set")
    command.works(*whole, *guided(judge))
    assert "another pose guidance (50.0, not 2.0)" in " ".join(command.refuses(*whole, *guided(judge, 2)).split())
    assert "another pose network (posenet:" in command.refuses(*whole, *guided(other))
    assert "1 of them are there already" in command.works(*whole, *guided(moved))
    assert hides(*(tmp_path / "set").rglob("*"))
    assert json.loads((tmp_path / "set" / "metrics.json").read_text())["render"]["pose_network"] == network().digest


def test_a_network_that_guides_does_not_judge(line: Line, command: Command, tmp_path: Path, judge: Path) -> None:
    """By its digest; another one does, and so does the same one where it does not guide."""
    moved = Path(shutil.copytree(judge, tmp_path / "moved"))
    other = save(network(1), tmp_path / "other")
    digest = network().digest
    call = ("evaluate-model", line.model, line.pairs, "--split", "val", "--threads", 1, "--steps", 4)

    def scored(*more: object) -> tuple[str, dict[str, Any]]:
        out = command.works(*call, *more, "--out", tmp_path / "r")
        return " ".join(out.split()), json.loads((tmp_path / "r" / "metrics.json").read_text())

    out, result = scored(*guided(judge, 1)[2:], "--posenet", moved, "--keep", tmp_path / "kept")
    assert "no keypoints are estimated" in out
    for name in (*POSE_METRICS, *FINGER_METRICS, *SEQUENCE_METRICS):
        assert f"guided by this very network ({digest})" in result["not_computed"][name]
        assert name not in result["mean"]
    assert result["mean"]["psnr"] is not None
    assert result["render"]["pose_network"] == digest
    assert hides(tmp_path / "r" / "metrics.json")
    origin = origin_of(tmp_path / "kept")
    assert origin is not None
    assert origin.pose_networks == (digest,)
    for more in ((*guided(judge, 1)[2:], "--posenet", other), (*guided(judge, 0)[2:], "--posenet", moved)):
        out, result = scored(*more)
        assert "no keypoints are estimated" not in out
        assert not any("very network" in reason for reason in result["not_computed"].values())


def test_results_of_other_commands_name_it_too(line: Line, command: Command, tmp_path: Path, judge: Path) -> None:
    call = ("robustness", line.model, line.pairs, "--split", "val", "--studies", "noise", "--noise", "0")
    command.works(*call, *guided(judge), "--out", tmp_path / "r")
    render = json.loads((tmp_path / "r" / "robustness.json").read_text())["render"]
    assert (render["pose_network"], render["steps"]) == (network().digest, 4)
    found = chosen_settings({"steps": None, "pose_network": str(judge), "pose_joints": "coco17", "w_c": 1.0}, None)
    assert found == {"w_c": 1.0}
    assert "without --pose-network" in command.refuses(*call, "--pose-guidance", 1, "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
