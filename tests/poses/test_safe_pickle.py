"""Hostile pickles: refused by name, and nothing of them runs."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import identify, read_poses, safe_pickle
from signgen.poses.safe_pickle import load_pickle


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


def keypoints() -> np.ndarray:
    return np.ones((2, 133, 3), np.float32)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def refused(path: Path, marker: Path, named: str) -> None:
    for use in (identify, lambda p: read_poses(p, size=(1, 1)), load_pickle):
        with pytest.raises(PoseError, match=named) as caught:
            use(path)
        assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("packed", [False, True])
def test_system_call(tmp_path: Path, marker: Path, protocol: int, packed: bool) -> None:
    data = pickle.dumps(Calls(os.system, f"touch {marker}"), protocol=protocol)
    path = tmp_path / "evil.pkl"
    path.write_bytes(gzip.compress(data) if packed else data)
    refused(path, marker, r"refused: the pickle asks for (posix|nt)\.system")


@pytest.mark.parametrize(
    "hidden",
    [
        lambda call: {"a": {"keypoints": keypoints()}, "b": {"keypoints": call}},
        lambda call: {"a": {"keypoint": keypoints(), "text": [("x", {"deep": call})]}},
        lambda call: {"a": {"keypoints": np.array([call, 1], object)}},
        lambda call: [call],
    ],
)
def test_hidden_in_keypoints(tmp_path: Path, marker: Path, hidden: Any) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(hidden(Calls(os.system, f"touch {marker}"))))
    refused(path, marker, "system")


@pytest.mark.parametrize(
    "name", [b"builtins\neval", b"builtins\ngetattr", b"subprocess\nPopen", b"numpy\nload", b"torch\nload"]
)
def test_other_callables(tmp_path: Path, marker: Path, name: bytes) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"\x80\x02c" + name + b"\n(S'x'\ntR.")
    refused(path, marker, name.replace(b"\n", b"\\.").decode())


def test_persistent_id_and_extension(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"\x80\x02X\x01\x00\x00\x00xQ.")
    refused(path, marker, "persistent id")
    path.write_bytes(b"\x80\x02\x82\x01.")
    refused(path, marker, "damaged")


def storage_pickle(payload: bytes) -> bytes:
    """A pickle that hands `payload` to torch.storage._load_from_bytes, as torch tensors do."""
    out = io.BytesIO()
    out.write(b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + len(payload).to_bytes(4, "little") + payload + b"\x85R.")
    return out.getvalue()


@pytest.mark.parametrize("legacy", [True, False])
def test_code_smuggled_in_a_torch_storage(tmp_path: Path, marker: Path, legacy: bool) -> None:
    import torch

    inner = io.BytesIO()
    torch.save(Calls(os.system, f"touch {marker}"), inner, _use_new_zipfile_serialization=not legacy)
    path = tmp_path / "evil.pkl"
    path.write_bytes(storage_pickle(inner.getvalue()))
    refused(path, marker, "damaged pickle|refused")
    torch.load(io.BytesIO(inner.getvalue()), weights_only=False)
    assert marker.exists(), "the payload does work where it is let in"


def test_tensor_outside_its_storage(tmp_path: Path, marker: Path) -> None:
    import torch

    storage = torch.zeros(4).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    for offset, size, stride in ((0, (100,), (1,)), (2, (4,), (1,)), (0, (2, 2), (50, 1)), (-1, (1,), (1,))):
        evil = Calls(torch._utils._rebuild_tensor_v2, typed, offset, size, stride, False, {})
        path = tmp_path / f"evil{offset}{len(size)}{stride[0]}.pkl"
        path.write_bytes(pickle.dumps({"x": {"keypoint": evil}}))
        refused(path, marker, "damaged pickle")


def test_build_cannot_change_what_stands_for_numpy(tmp_path: Path, marker: Path) -> None:
    """BUILD with a slot state sets attributes on the object on the stack, here the stand-in for a function."""
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}X\x01\x00\x00\x00aK\x01s\x86b.")
    refused(path, marker, "damaged pickle")


def test_gzip_bomb(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "bomb.pkl"
    zeros = pickle.dumps({"x": {"keypoints": np.zeros((20_000, 133, 3))}})
    path.write_bytes(gzip.compress(zeros, 9))
    assert len(zeros) / path.stat().st_size > 200
    refused(path, marker, "gzip bomb")


def test_size_limit(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_pickle, "MAX_BYTES", 1000)
    path = tmp_path / "big.pkl"
    path.write_bytes(pickle.dumps({"x": {"keypoints": np.random.default_rng(0).random((5, 133, 3))}}))
    refused(path, marker, "expected at most")


@pytest.mark.parametrize("cut", [3, 100, -1])
def test_truncated(tmp_path: Path, marker: Path, cut: int) -> None:
    data = pickle.dumps({"x": {"keypoints": keypoints()}})
    path = tmp_path / "cut.pkl"
    path.write_bytes(data[:cut])
    refused(path, marker, "damaged pickle")
    path.write_bytes(gzip.compress(data)[:-9])
    refused(path, marker, "damaged gzip")


def test_what_is_allowed(tmp_path: Path) -> None:
    from collections import OrderedDict

    import torch

    value = {
        "tensor": torch.arange(6.0).reshape(2, 3).T,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "array": np.arange(4, dtype=np.float16),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "scalar": np.float32(1.5),
        "plain": OrderedDict(a=[1, 2.5, "x", None, True, b"raw", (1, 2)]),
    }
    for protocol in range(2, 6):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickletools.optimize(pickle.dumps(value, protocol=protocol)))
        back = load_pickle(path)
        np.testing.assert_array_equal(back["tensor"], value["tensor"].numpy())
        np.testing.assert_array_equal(back["half"], [1, 1])
        np.testing.assert_array_equal(back["array"], value["array"])
        np.testing.assert_array_equal(back["fortran"], value["fortran"])
        assert back["plain"] == value["plain"]
        assert back["scalar"] == 1.5
