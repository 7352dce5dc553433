"""LPIPS: found or named as missing, never downloaded; the loading code runs on a trunk written by the test."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import WeightsError
from signgen.evaluation.scorer import find_lpips
from signgen.metrics.image.lpips import TRUNKS, Lpips, build_network, load_lpips
from signgen.metrics.weights import hub_folder

ALEXNET = TRUNKS["alex"]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights in any of the usual places."""
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network()


def write_trunk(network: torch.nn.Module, path: Path) -> Path:
    """The network's trunk under torchvision's names, with classifier layers beside it as in the published file."""
    state = {
        f"features.{name.split('.', 2)[2]}": value
        for name, value in network.state_dict().items()
        if name.startswith("net.slice")
    }
    assert len(state) in (10, 26)  # weights and biases of AlexNet's 5 convolutions, of VGG's 13
    state["classifier.6.bias"] = torch.zeros(1000)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def frames(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 200, (64, 72, 3), dtype=np.uint8)
    return truth + rng.integers(0, 40, truth.shape, dtype=np.uint8), truth


def test_missing_weights_are_named_with_the_command_that_gets_them(nowhere: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_lpips()
    message = str(caught.value)
    assert message.endswith("get them with: signgen weights fetch lpips-alex")
    assert "\n" not in message
    target, url = nowhere / "mine" / ALEXNET.file, "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    target.parent.mkdir()
    with pytest.raises(WeightsError, match=re.escape(f"curl -L --create-dirs -o '{target}' {url}")):
        load_lpips(target.parent)
    with pytest.raises(WeightsError, match=r"elsewhere/trunk\.pth"):
        load_lpips(nowhere / "elsewhere" / "trunk.pth")


def test_places_are_searched_in_order(nowhere: Path, network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = write_trunk(network, hub_folder() / ALEXNET.file)
    assert ALEXNET.find() == cached
    monkeypatch.setenv("SIGNGEN_WEIGHTS", str(nowhere / "weights"))
    assert ALEXNET.find() == cached
    chosen = write_trunk(network, nowhere / "weights" / ALEXNET.file)
    assert ALEXNET.find() == chosen
    explicit = write_trunk(network, nowhere / "mine.pth")
    assert ALEXNET.find(explicit) == explicit
    assert ALEXNET.find(nowhere / "weights") == chosen
    with pytest.raises(WeightsError):
        ALEXNET.find(nowhere / "torch")  # an explicit place is the only place


def test_hub_folder_is_torchs_own(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    assert hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_a_loaded_trunk_gives_the_distances_of_its_network(nowhere: Path, network: torch.nn.Module) -> None:
    loaded = load_lpips(write_trunk(network, nowhere / "trunk.pth"))
    generated, truth = frames()
    signed = [torch.from_numpy(x).permute(2, 0, 1)[None].float() / 127.5 - 1 for x in (generated, truth)]
    with torch.no_grad():
        expected = network(*signed).item()
    assert expected > 0
    assert loaded(generated, truth) == pytest.approx(expected, rel=1e-5)
    assert loaded(truth, truth) == 0
    assert Lpips(build_network())(generated, truth) != pytest.approx(expected, rel=1e-3)  # another random trunk


def test_vgg_is_another_network_in_another_file(nowhere: Path) -> None:
    torch.manual_seed(1)
    network = build_network("vgg")
    write_trunk(network, nowhere / "weights" / TRUNKS["vgg"].file)
    loaded = load_lpips(nowhere / "weights", net="vgg")
    generated, truth = frames()
    assert loaded(generated, truth) == pytest.approx(Lpips(network)(generated, truth), rel=1e-5)
    with pytest.raises(WeightsError, match="alexnet"):
        load_lpips(nowhere / "weights")
    with pytest.raises(WeightsError, match="not AlexNet weights"):
        load_lpips(nowhere / "weights" / TRUNKS["vgg"].file)


def test_clips_take_each_network_that_is_there(nowhere: Path, network: torch.nn.Module) -> None:
    """AlexNet alone, VGG alone; the reason of the other one names its own file."""
    found, missing = find_lpips(None, nowhere / "weights")
    assert (found, set(missing)) == ({}, {"lpips", "lpips_vgg"})
    torch.manual_seed(1)
    vgg = build_network("vgg")
    write_trunk(vgg, nowhere / "weights" / TRUNKS["vgg"].file)
    found, missing = find_lpips(None, nowhere / "weights")
    assert (set(found), set(missing)) == ({"vgg"}, {"lpips"})
    generated, truth = frames()
    assert found["vgg"](generated, truth) == pytest.approx(Lpips(vgg)(generated, truth), rel=1e-5)
    found, missing = find_lpips(write_trunk(network, nowhere / "mine.pth"), None)
    assert set(found) == {"alex"}
    assert "signgen weights fetch lpips-vgg" in missing["lpips_vgg"]
    assert "vgg16-397923af.pth" in missing["lpips_vgg"]


def test_other_files_are_refused_in_one_line(nowhere: Path) -> None:
    garbage = nowhere / "garbage.pth"
    garbage.write_bytes(b"<html>not found</html>")
    other = nowhere / "other.pth"
    torch.save({"features.0.weight": torch.zeros(3)}, other)
    evil = nowhere / "evil.pth"
    torch.save(Evil(), evil)
    for path in (garbage, other, evil):
        with pytest.raises(WeightsError, match=f"{path.name}: not AlexNet weights") as caught:
            load_lpips(path)
        assert "\n" not in str(caught.value)


class Evil:
    """Something that plain unpickling would build."""

    def __init__(self) -> None:
        self.state = 1
