"""Pose networks of users: HRNet and HigherHRNet weights against a forward pass of their own, TorchScript, ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from signgen.errors import ModelError, OptionError, PoseError, SigngenError
from signgen.models.canvas import Canvas
from signgen.models.pose_adapters import Normalisation, open_pose_network

WIDTH, JOINTS = 18, 17
CANVAS = Canvas(64, 64)
Weights = dict[str, torch.Tensor]


# ---- an independent forward pass, from the names of the weights alone


def conv(w: Weights, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    kernel = w[f"{name}.weight"]
    return F.conv2d(x, kernel, w.get(f"{name}.bias"), stride, kernel.shape[-1] // 2)


def norm(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    mean, var, scale, shift = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, scale, shift)


def block(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    """A basic block, or a bottleneck where there is a conv3."""
    last = 3 if f"{name}.conv3.weight" in w else 2
    y = x
    for i in range(1, last + 1):
        y = norm(w, f"{name}.bn{i}", conv(w, f"{name}.conv{i}", y))
        y = F.relu(y) if i < last else y
    if f"{name}.downsample.0.weight" in w:
        x = norm(w, f"{name}.downsample.1", conv(w, f"{name}.downsample.0", x))
    return F.relu(x + y)


def unit(w: Weights, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    return norm(w, f"{name}.1", conv(w, f"{name}.0", x, stride))


def fuse(w: Weights, name: str, xs: list[torch.Tensor], i: int) -> torch.Tensor:
    total = xs[i]
    for j, x in enumerate(xs):
        if j > i:
            total = total + F.interpolate(unit(w, f"{name}.{i}.{j}", x), scale_factor=2 ** (j - i), mode="nearest")
        for step in range(i - j if j < i else 0):
            x = unit(w, f"{name}.{i}.{j}.{step}", x, 2)
            x = F.relu(x) if step < i - j - 1 else x
        total = total + x if j < i else total
    return F.relu(total)


def trunk(w: Weights, images: torch.Tensor) -> torch.Tensor:
    x = F.relu(norm(w, "bn1", conv(w, "conv1", images, 2)))
    x = F.relu(norm(w, "bn2", conv(w, "conv2", x, 2)))
    for i in range(4):
        x = block(w, f"layer1.{i}", x)
    xs = [F.relu(unit(w, "transition1.0", x)), F.relu(unit(w, "transition1.1.0", x, 2))]
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for m in range(modules):
            name = f"stage{stage}.{m}"
            for branch in range(stage):
                for i in range(4):
                    xs[branch] = block(w, f"{name}.branches.{branch}.{i}", xs[branch])
            last = (stage, m) == (4, 2)
            xs = [fuse(w, f"{name}.fuse_layers", xs, i) for i in range(1 if last else stage)]
        if stage < 4:
            xs.append(F.relu(unit(w, f"transition{stage}.{stage}.0", xs[-1], 2)))
    return xs[0]


def widened(w: Weights, x: torch.Tensor) -> torch.Tensor:
    joined = torch.cat([x, conv(w, "final_layers.0", x)], 1)
    y = F.conv_transpose2d(joined, w["deconv_layers.0.0.0.weight"], stride=2, padding=1)
    y = F.relu(norm(w, "deconv_layers.0.0.1", y))
    for i in range(1, 5):
        y = block(w, f"deconv_layers.0.{i}.0", y)
    return y


def higher(w: Weights, x: torch.Tensor) -> torch.Tensor:
    first, last = conv(w, "final_layers.0", x), conv(w, "final_layers.1", widened(w, x))
    return (F.interpolate(first[:, :JOINTS], scale_factor=2.0, mode="bilinear") + last) / 2


# ---- weights of the authors' names and shapes


def conv_weights(out: int, into: int, kernel: int) -> torch.Tensor:
    return torch.randn(out, into, kernel, kernel) * (2 / (into * kernel**2)) ** 0.5


def norm_weights(name: str, width: int) -> Weights:
    parts = {"weight": torch.rand(width) + 0.5, "bias": torch.randn(width) * 0.1}
    parts |= {"running_mean": torch.randn(width) * 0.1, "running_var": torch.rand(width) + 0.5}
    return {f"{name}.{part}": value for part, value in parts.items()} | {f"{name}.num_batches_tracked": torch.tensor(1)}


@pytest.fixture(scope="module")
def body() -> Weights:
    """The trunk, with the names that timm gives it, which are the authors'; statistics of BatchNorm at random."""
    timm = pytest.importorskip("timm", reason="pip install timm")
    torch.manual_seed(0)
    names = dict(timm.create_model(f"hrnet_w{WIDTH}", features_only=True, feature_location="").state_dict())
    weights: Weights = {}
    for name, tensor in names.items():
        if name.startswith(tuple(f"stage4.2.fuse_layers.{i}." for i in (1, 2, 3))):
            continue  # the pose networks have but the finest of the last fusions
        weights[name] = tensor
        if name.endswith("running_var"):
            weights |= norm_weights(name.removesuffix(".running_var"), len(tensor))
    return weights


def head(name: str, out: int, into: int) -> Weights:
    return {f"{name}.weight": conv_weights(out, into, 1), f"{name}.bias": torch.full((out,), 0.5)}


@pytest.fixture(scope="module")
def hrnet(body: Weights) -> Weights:
    torch.manual_seed(1)
    weights = {**body, **head("final_layer", JOINTS, WIDTH)}
    calmed(weights, "final_layer", trunk(weights, normalised(images())))
    return weights


@pytest.fixture(scope="module")
def higher_hrnet(body: Weights) -> Weights:
    torch.manual_seed(2)
    weights = {**body, **head("final_layers.0", 2 * JOINTS, WIDTH), **head("final_layers.1", JOINTS, WIDTH)}
    weights["deconv_layers.0.0.0.weight"] = conv_weights(WIDTH + 2 * JOINTS, WIDTH, 4)
    weights |= norm_weights("deconv_layers.0.0.1", WIDTH)
    for i in range(1, 5):
        for j in (1, 2):
            weights[f"deconv_layers.0.{i}.0.conv{j}.weight"] = conv_weights(WIDTH, WIDTH, 3)
            weights |= norm_weights(f"deconv_layers.0.{i}.0.bn{j}", WIDTH)
    value = trunk(weights, normalised(images()))
    calmed(weights, "final_layers.0", value)
    calmed(weights, "final_layers.1", widened(weights, value))
    return weights


def calmed(weights: Weights, name: str, given: torch.Tensor) -> None:
    """Scale a head so that its maps are about .5 +- .1: within [0, 1], where nothing is cut."""
    weights[f"{name}.weight"] = weights[f"{name}.weight"] * (0.1 / (conv(weights, name, given) - 0.5).std())


def within(maps: torch.Tensor) -> torch.Tensor:
    """The same, seen to be cut almost nowhere."""
    assert ((maps > 0) & (maps < 1)).float().mean() > 0.95
    return maps


def saved(weights: object, path: Path) -> Path:
    torch.save(weights, path)
    return path


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((images + 1) / 2 - mean[:, None, None]) / std[:, None, None]


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_hrnet_equals_an_independent_forward_pass(hrnet: Weights, tmp_path: Path) -> None:
    path = saved({"state_dict": {f"module.{name}": tensor for name, tensor in hrnet.items()}}, tmp_path / "w.pth")
    network = open_pose_network(path, "coco17", CANVAS)
    assert (network.stride, network.joints, network.differentiable) == (4, tuple(range(17)), True)
    expected = within(conv(hrnet, "final_layer", trunk(hrnet, normalised(images())))).clamp(0, 1)
    assert torch.allclose(network.heat_maps(images()).maps, expected, atol=1e-4)


def test_higher_hrnet_averages_both_resolutions_and_leaves_out_tags(higher_hrnet: Weights, tmp_path: Path) -> None:
    network = open_pose_network(saved(higher_hrnet, tmp_path / "w.pth"), "coco17", CANVAS)
    assert network.stride == 2
    expected = within(higher(higher_hrnet, trunk(higher_hrnet, normalised(images())))).clamp(0, 1)
    assert torch.allclose(network.heat_maps(images()).maps, expected, atol=1e-4)


def test_gradients_of_hrnet_reach_the_image(hrnet: Weights, tmp_path: Path) -> None:
    network = open_pose_network(saved(hrnet, tmp_path / "w.pth"), "coco17", CANVAS)
    picture = images().requires_grad_()
    network.heat_maps(picture).maps.sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_a_map_that_is_cut_keeps_its_gradient(hrnet: Weights, tmp_path: Path) -> None:
    low = {**hrnet, "final_layer.bias": torch.full((JOINTS,), -5.0)}
    network = open_pose_network(saved(low, tmp_path / "w.pth"), "coco17", CANVAS)
    picture = images().requires_grad_()
    maps = network.heat_maps(picture).maps
    assert (maps == 0).all()
    maps.sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


class Runs:
    """A pickle that runs code when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 / 0",)


def test_weights_that_do_not_fit_are_named(hrnet: Weights, tmp_path: Path) -> None:
    def refusal(weights: object, joints: str = "coco17") -> str:
        with pytest.raises(ModelError) as error:
            open_pose_network(saved(weights, tmp_path / "w.pth"), joints, CANVAS)
        return str(error.value)

    wrong = {**hrnet, "stage3.1.branches.0.0.conv1.weight": torch.zeros(7, 18, 3, 3)}
    assert "stage3.1.branches.0.0.conv1.weight is of shape (7, 18, 3, 3); expected (18, 18, 3, 3)" in refusal(wrong)
    assert "lacks layer1.0.bn1.bias" in refusal({k: v for k, v in hrnet.items() if k != "layer1.0.bn1.bias"})
    assert "extra.weight has no place" in refusal({**hrnet, "extra.weight": torch.zeros(1)})
    assert "gives 17 maps; expected 18" in refusal(hrnet, "openpose18")
    assert "holds no stage2" in refusal({"a": torch.zeros(1)})
    assert "not names and tensors" in refusal([1, 2])
    assert "cannot be read as weights" in refusal(Runs())


# ---- TorchScript and ONNX


class Dots(nn.Module):
    """Heat map k of 4: how bright channel k % 3 is, averaged over 4x4 pixels, plus k / 10."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.eye(4, 3)[..., None, None])
            self.mix.weight[3, 0] = 1
            self.mix.bias.copy_(torch.arange(4) / 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.mix(F.avg_pool2d(images, 4))


PLAIN = Normalisation((0.0, 0.0, 0.0), (2.0, 2.0, 2.0))


@pytest.fixture
def joint_file(tmp_path: Path) -> str:
    path = tmp_path / "joints.json"
    path.write_text(json.dumps([9, None, 10, 0]))
    return str(path)


def expected_dots() -> torch.Tensor:
    bright = F.avg_pool2d((images() + 1) / 4, 4)
    return torch.stack([bright[:, 0], bright[:, 2] + 0.2, bright[:, 0] + 0.3], 1).clamp(0, 1)


def test_a_torchscript_archive_with_a_joint_map_of_its_own(tmp_path: Path, joint_file: str) -> None:
    torch.jit.trace(Dots(), torch.zeros(1, 3, 64, 64)).save(str(tmp_path / "net.pt"))
    network = open_pose_network(tmp_path / "net.pt", joint_file, CANVAS, PLAIN)
    assert (network.joints, network.stride, network.differentiable) == ((9, 10, 0), 4, True)
    assert network.digest.startswith("torchscript:")
    picture = images().requires_grad_()
    maps = network.heat_maps(picture).maps
    assert torch.allclose(maps, expected_dots(), atol=1e-6)
    maps.sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def onnx_file(path: Path, batch: int | str) -> Path:
    """Dots as an ONNX model of 64x64, made by hand."""
    onnx = pytest.importorskip("onnx", reason="pip install onnx")
    pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    mix = Dots().mix
    given = [
        onnx.numpy_helper.from_array(each.detach().numpy(), name) for name, each in (("w", mix.weight), ("b", mix.bias))
    ]
    nodes = [
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["pooled", "w", "b"], ["y"]),
    ]
    ends = ([batch, 3, 64, 64], [batch, 4, 16, 16])
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name, shape in zip("xy", ends, strict=True))
    graph = helper.make_graph(nodes, "dots", [x], [y], given)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("batch", [1, "n"])
def test_an_onnx_file_has_its_own_size_and_no_gradient(tmp_path: Path, joint_file: str, batch: int | str) -> None:
    network = open_pose_network(onnx_file(tmp_path / "net.onnx", batch), joint_file, normalisation=PLAIN)
    assert (network.joints, network.stride, network.differentiable) == ((9, 10, 0), 4, False)
    assert (network.canvas.width, network.canvas.height) == (64, 64)
    assert torch.allclose(network.heat_maps(images()).maps, expected_dots(), atol=1e-6)


def test_what_cannot_be_opened(tmp_path: Path, joint_file: str) -> None:
    def refusal(path: Path, joints: str | None, kind: type[SigngenError]) -> str:
        with pytest.raises(kind) as error:
            open_pose_network(path, joints, CANVAS)
        return str(error.value)

    torch.jit.trace(Dots(), torch.zeros(1, 3, 64, 64)).save(str(tmp_path / "net.pt"))
    assert "no such file or folder" in refusal(tmp_path / "none.pt", "coco17", ModelError)
    assert "without --joints" in refusal(tmp_path / "net.pt", None, OptionError)
    assert "is of shape (1, 4, 16, 16); expected 17 heat maps" in refusal(tmp_path / "net.pt", "coco17", ModelError)
    assert "did you mean coco17" in refusal(tmp_path / "net.pt", "coco-17", PoseError)
    assert "lacks posenet.json" in refusal(tmp_path, None, ModelError)
    assert "none: its card says them" in refusal(tmp_path, joint_file, OptionError)
    (tmp_path / "bad.onnx").write_bytes(b"no")
    pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    assert "cannot be opened" in refusal(tmp_path / "bad.onnx", joint_file, ModelError)
    for content in ([], [1, 1], [133], ["nose"], {"a": 1}, [None]):
        Path(joint_file).write_text(json.dumps(content))
        assert "cannot be read as a joint map" in refusal(tmp_path / "net.pt", joint_file, PoseError)
