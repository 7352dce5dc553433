"""Hostile pickles: refused by name, and nothing of them runs."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pickletools
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import identify, read_poses
from signgen.poses.pickles import unpickler as safe_pickle
from signgen.poses.pickles.unpickler import load_pickle


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
        assert str(caught.value).startswith(str(path))
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


NESTED = b"\x80\x02})" + b"\x85" * 300_000  # a tuple in a tuple in a tuple ...


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02]r\xff\xff\xff\x0f.",  # a far memo place: pickle.loads takes gigabytes for it
        NESTED + b"K\x01s.",  # as a key: hashing it ends the process
        NESTED.replace(b"}", b"](", 1) + b"K\x01ee.",
        b"\x80\x02ccollections\nOrderedDict\n]" + NESTED[3:] + b"K\x01\x86a\x85R.",
        b"\x80\x04\x8f(" + NESTED[3:] + b"\x90.",  # in a set
        b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x.",  # a bytearray of a terabyte
        b"\x80\x02cnumpy\nndarray\nJ\x00\x00\x00\x70\x85\x85R.",  # an array of gigabytes
        b"\x80\x02cnumpy\ndtype\n" + NESTED[3:] + b"\x85R.",
    ],
    ids=["memo", "key", "list", "ordered", "set", "bytearray", "ndarray", "dtype"],
)
def test_small_pickles_that_ask_for_much(tmp_path: Path, data: bytes) -> None:
    """In a process of its own, which may neither die nor grow: at most 300 MB more than it had."""
    path = tmp_path / "evil.pkl"
    path.write_bytes(data)
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom signgen.errors import PoseError\n"
        "from signgen.poses.pickles.unpickler import load_pickle\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\nbefore = peak()\n"
        "try:\n    print('read', type(load_pickle(Path(sys.argv[1]))).__name__)\n"
        "except PoseError as error:\n    print('refused', str(error).count(chr(10)))\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    outcome, grown = done.stdout.splitlines()
    assert outcome in ("refused 0", "read list")
    assert int(grown) < 300


def test_storage_that_claims_more_than_it_holds(tmp_path: Path, marker: Path) -> None:
    import torch

    inner = io.BytesIO()
    storage = torch.zeros(6).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    torch.save(typed, inner, _use_new_zipfile_serialization=False)
    payload = inner.getvalue().replace(b"K\x06Nt", b"J\x00\x00\x00\x40Nt")  # 6 became a billion numbers
    assert payload != inner.getvalue()
    path = tmp_path / "evil.pkl"
    path.write_bytes(storage_pickle(payload))
    refused(path, marker, "a torch storage of 1073741824 numbers")


def test_pieces_of_a_call_in_nested_reduces(tmp_path: Path, marker: Path) -> None:
    """getattr(__import__('os'), 'system') put together inside the arguments of an allowed name."""
    inner = Calls(getattr, Calls(__import__, "os"), "system")
    for outer in (Calls(np.dtype, inner), Calls(OrderedDict, [("a", inner)]), {"x": {"keypoints": [inner]}}):
        path = tmp_path / "evil.pkl"
        path.write_bytes(pickle.dumps(outer))
        refused(path, marker, "refused: the pickle asks for")


def test_gzip_bomb(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "bomb.pkl"
    zeros = pickle.dumps({"x": {"keypoints": np.zeros((20_000, 133, 3))}})
    path.write_bytes(gzip.compress(zeros, 9))
    assert len(zeros) / path.stat().st_size > safe_pickle.MAX_RATIO
    refused(path, marker, "gzip bomb")


def test_gzip_beyond_the_limit_is_not_unpacked(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with 8 GB: unpacking stops at the limit, whatever the ratio."""
    monkeypatch.setattr(safe_pickle, "MAX_BYTES", 3 << 20)
    path = tmp_path / "bomb.pkl"
    values = np.random.default_rng(0).integers(0, 4, 9 << 20).astype(np.uint8)
    path.write_bytes(gzip.compress(pickle.dumps({"x": {"keypoints": values}}), 1))
    assert path.stat().st_size < 3 << 20
    assert (9 << 20) / path.stat().st_size < safe_pickle.MAX_RATIO
    refused(path, marker, "gzip bomb, it unpacks to more than 3145728 bytes")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_no_room_to_unpack(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pack.pkl"
    path.write_bytes(gzip.compress(pickle.dumps({"x": {"keypoints": keypoints()}})))
    monkeypatch.setattr(safe_pickle.tempfile, "TemporaryFile", lambda: open("/dev/full", "r+b"))  # noqa: SIM115
    refused(path, marker, r"cannot be unpacked to .* \(No space left on device\).*TMPDIR")


def test_a_file_of_more_than_8_gib_is_refused_without_being_read(tmp_path: Path, marker: Path) -> None:
    """A sparse file: its first bytes are a pickle, and it takes no room on the disk."""
    path = tmp_path / "big.pkl"
    path.write_bytes(pickle.dumps({"x": {"keypoints": keypoints()}}))
    os.truncate(path, 8 * 2**30 + 1)
    refused(path, marker, "8.0 GiB; expected at most 8 GiB")


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


def test_arrays_that_share_their_bytes_over_and_over(tmp_path: Path, marker: Path) -> None:
    """A small file whose clips would take hours to read: each is the whole of one storage."""
    import torch

    storage = torch.ones(20, 133, 3).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    clip = {"keypoint": Calls(torch._utils._rebuild_tensor_v2, typed, 0, (20, 133, 3), (399, 3, 1), False, {})}
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({str(number): dict(clip) for number in range(3)}))
    assert len(load_pickle(path)) == 3
    clips = {
        str(number): {
            "keypoint": Calls(torch._utils._rebuild_tensor_v2, typed, 0, (20, 133, 3), (399, 3, 1), False, {})
        }
        for number in range(9)
    }
    path.write_bytes(pickle.dumps(clips))
    refused(path, marker, "share their bytes")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda data: data[:-1], "a torch storage of 6 numbers in 23 bytes"),
        (lambda data: data + bytes(4), "a torch storage of 6 numbers in 28 bytes"),
        (lambda data: data.replace(b"FloatStorage", b"FancyStorage"), "asks for torch.FancyStorage"),
        (lambda data: re.sub(rb"(little_endianq.)\x88", lambda found: found[1] + b"\x89", data), "byte order"),
        (lambda data: data.replace(b"\x00\x00\x00storageq", b"\x00\x00\x00garbageq"), "announced as"),
        (lambda data: b"", "damaged"),
    ],
)
def test_head_of_a_torch_storage(tmp_path: Path, marker: Path, damage: Callable[[bytes], bytes], named: str) -> None:
    import torch

    inner = io.BytesIO()
    storage = torch.zeros(6).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    torch.save(typed, inner, _use_new_zipfile_serialization=False)
    path = tmp_path / "evil.pkl"
    path.write_bytes(storage_pickle(inner.getvalue()))
    load_pickle(path)
    assert damage(inner.getvalue()) != inner.getvalue()
    path.write_bytes(storage_pickle(damage(inner.getvalue())))
    refused(path, marker, named)


@pytest.mark.parametrize(
    "state",
    [
        (1, (2**50, 133, 3), np.dtype("f4"), False, b"x" * 12),
        (1, (-1, 3), np.dtype("f4"), False, b"x" * 12),
        (1, (1, 3), np.dtype("f4"), False, [1, 2, 3]),
        (1, (1, 3), "f4", False, b"x" * 12),
        (1, (1, 3), np.dtype("f4"), False, b"x" * 11),
        (1, (3,)),
        None,
    ],
)
def test_states_of_arrays(tmp_path: Path, marker: Path, state: Any) -> None:
    head = pickle.dumps(np.zeros(0, np.uint8), protocol=2)
    made = head[: head.index(b"R") + 1].replace(b"\x80\x02", b"")
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"\x80\x02" + made + pickle.dumps(state, protocol=2)[2:-1] + b"b.")
    refused(path, marker, "damaged pickle")


def test_an_array_is_filled_once(tmp_path: Path, marker: Path) -> None:
    """Checked once, it must not become another one."""
    data = pickle.dumps(np.zeros(3, np.float32), protocol=2)
    again = data[data.index(b"(K\x01K\x03") : -1]
    path = tmp_path / "evil.pkl"
    path.write_bytes(data[:-1] + again + b".")
    refused(path, marker, "filled twice")


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("frames", [1, 15, 200])  # in memory, in a frame of the pickle, outside of its frames
def test_numbers_of_every_type_and_size(tmp_path: Path, protocol: int, packed: bool, frames: int) -> None:
    import torch

    rng = np.random.default_rng(0)
    value: dict[str, Any] = {"before": "a", "after": ["b", 1.5]}
    for name in ("float16", "float32", "float64", "uint8", "int16", "int32", "int64"):
        array = (100 * rng.random((frames, 133, 3))).astype(name)
        value[name] = array
        value[f"{name}.fortran"] = np.asfortranarray(array)
        value[f"{name}.readonly"] = array.copy()
        value[f"{name}.readonly"].flags.writeable = False
        value[f"{name}.tensor"] = torch.from_numpy(array)
        value[f"{name}.slice"] = torch.from_numpy(array)[frames // 2 :, ::2].transpose(1, 2)
    value["bfloat16"] = torch.from_numpy(value["float32"]).bfloat16()
    path = tmp_path / "all.pkl"
    data = pickle.dumps(value, protocol=protocol)
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    back = load_pickle(path)
    assert list(back) == list(value)
    assert (back["before"], back["after"]) == ("a", ["b", 1.5])
    for name, array in value.items():
        if name not in ("before", "after"):
            wanted = array.float().numpy() if name == "bfloat16" else np.asarray(array)
            assert (back[name].dtype, back[name].shape, len(back[name])) == (wanted.dtype, wanted.shape, len(wanted))
            np.testing.assert_array_equal(back[name].read(), wanted)


def test_numbers_stay_in_the_file(tmp_path: Path) -> None:
    """A process that opens a pack of 80 MB and reads a clip of it grows by less than a third of that."""
    import torch

    clip = torch.rand(1000, 133, 3)
    path = tmp_path / "pack.pkl"
    path.write_bytes(pickle.dumps({str(n): {"keypoint": clip + n, "num_frames": 1000} for n in range(50)}))
    assert path.stat().st_size > 79e6
    code = (
        "import resource, sys\nfrom pathlib import Path\nimport numpy as np\n"
        "from signgen.poses import read_poses\nfrom signgen.poses.readers.pickled import identify_key\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\nbefore = peak()\n"
        "file = identify_key(Path(sys.argv[1]), 'mska', 'keypoint')\n"
        "poses = read_poses(file.path, clip='7', size=(210, 260))\n"
        "print(len(file.frames), float(poses.keypoints[0, 0, 0]), peak() - before, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    clips, number, grown, torch_imported = done.stdout.split()
    assert (int(clips), float(number)) == (50, pytest.approx(float(clip[0, 0, 0]) + 7))
    assert int(grown) < 25
    assert torch_imported == "False"


def test_a_file_that_shrinks_after_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "pack.pkl"
    path.write_bytes(pickle.dumps({"x": np.ones((100, 133, 3), np.float32)}))
    array = load_pickle(path)["x"]
    with path.open("r+b") as handle:
        handle.truncate(1000)
    with pytest.raises(PoseError, match="changed while it was read"):
        array.read()


def test_what_is_allowed(tmp_path: Path) -> None:
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
