"""Both Inception networks, the real classes with random weights: loading, what they are fed, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import WeightsError
from signgen.metrics.distribution.inception import WEIGHTS, InceptionFeatures, load_inception

NO_TORCH_FIDELITY = "torch-fidelity is not installed (pip install 'signgen[fid]')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of both, under the names and in the layout they are published in."""
    from torchvision.models import inception_v3

    place = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = inception_v3(weights=None, init_weights=False, transform_input=False)
    torch.save(network.state_dict(), place / WEIGHTS["torchvision"].file)
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("AuxLogits")}
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(state, place / WEIGHTS["pytorch-fid"].file)
    return place


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (64, 44, 3), dtype=np.uint8)


def test_torchvisions_features_are_those_before_its_classifier(folder: Path) -> None:
    from torchvision.models import inception_v3

    features = load_inception("torchvision", folder, signed=True)
    reference = inception_v3(weights=None, init_weights=False, transform_input=False).eval()
    reference.load_state_dict(torch.load(folder / WEIGHTS["torchvision"].file, weights_only=True))
    reference.fc = torch.nn.Identity()
    found = features(picture())
    with torch.inference_mode():
        expected = reference(features.network_input(picture()))[0].numpy()
    assert found.shape == (2048,)
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_pytorch_fids_network_is_another_one(folder: Path) -> None:
    """Same weights, other pooling inside its blocks; against torchmetrics' wrapper at the network's own size."""
    pytest.importorskip("torch_fidelity", reason=NO_TORCH_FIDELITY)
    from torchmetrics.image.fid import NoTrainInceptionV3

    features = load_inception("pytorch-fid", folder)
    image = np.random.default_rng(1).integers(0, 255, (299, 299, 3), dtype=np.uint8)
    reference = NoTrainInceptionV3("x", ["2048"], str(folder / WEIGHTS["pytorch-fid"].file))
    expected = reference(torch.tensor(image).permute(2, 0, 1)[None])[0].numpy()
    found = features(image)
    # torchmetrics divides by 128 where pytorch-fid, and with it clean-fid's legacy mode, scales 0..255 to [-1, 1].
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.02 * expected.std())
    other = load_inception("torchvision", folder, signed=True)(image)
    assert np.abs(other - found).max() > 10 * np.abs(expected - found).max()


def test_what_the_network_is_fed() -> None:
    """By hand: white in [-1, 1] is 1; as the research tools feed it, (1 * .229 + .485 - .5) / .5."""
    white = np.full((299, 299, 3), 255, np.uint8)
    signed = InceptionFeatures(torch.nn.Identity(), signed=True).network_input(white)
    odd = InceptionFeatures(torch.nn.Identity(), signed=False).network_input(white)
    assert signed.shape == (1, 3, 299, 299)
    assert signed.unique().tolist() == [1]
    np.testing.assert_allclose(odd[0, :, 0, 0], [0.428, 0.36, 0.262], atol=1e-6)


def test_missing_and_wrong_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"get them with: curl .*pt_inception-2015-12-05-6726825d\.pth"):
        load_inception("pytorch-fid", tmp_path)
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pth")
    pytest.importorskip("torch_fidelity", reason=NO_TORCH_FIDELITY)
    for kind in WEIGHTS:
        with pytest.raises(WeightsError, match=f"not {WEIGHTS[kind].title} weights") as caught:
            load_inception(kind, tmp_path / "other.pth")
        assert "\n" not in str(caught.value)
