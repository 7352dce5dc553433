"""Fetching weights from a Hub on this machine: cut off, gone on with, damaged, recorded, and loaded from there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from transformers import Dinov2Config, Dinov2Model

from signgen.config import Component
from signgen.errors import WeightsError
from signgen.evaluation import weights
from signgen.metrics.weights import WeightsFile
from signgen.models import hub_weights
from signgen.models.hub_weights import HUB_WEIGHTS, HubWeights
from signgen.models.weights import load_pretrained
from tests.line import Command

COMMIT, REPO = "0123456789abcdef0123456789abcdef01234567", "someone/tiny"
ENTRY = HubWeights("tiny", "model", REPO, ("config.json", "model.safetensors"), 0.01, "MIT", "tests")


class Hub:
    """What the server has and does. cut: how many of the next answers of a large file break off half-way. lie: another
    byte than announced. asked: (path, range) of every GET of a file."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.cut, self.lie = files, 0, False
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


class Answer(BaseHTTPRequestHandler):
    """The routes of the Hub that a download uses: what a revision has (in two forms), and a file of it."""

    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if re.fullmatch(rf"/api/models/{REPO}/revision/(main|{COMMIT})(\?.*)?", self.path):
            names = [{"rfilename": name} for name in self.hub.files]
            return self._send(json.dumps({"id": REPO, "sha": COMMIT, "siblings": names}).encode(), {}, body)
        if re.match(rf"/api/models/{REPO}/tree/{COMMIT}", self.path):
            tree = [{"type": "file", "path": n, "size": len(c), "oid": "0" * 40} for n, c in self.hub.files.items()]
            return self._send(json.dumps(tree).encode(), {}, body)
        found = re.fullmatch(rf"/{REPO}/resolve/(?:main|{COMMIT})/(.+)", self.path)
        if found is None or found[1] not in self.hub.files:
            return self.send_error(404)
        content = self.hub.files[found[1]]
        large = found[1].endswith(".safetensors")
        digest = hashlib.sha256(content) if large else hashlib.sha1(f"blob {len(content)}\0".encode() + content)
        headers = {"ETag": f'"{digest.hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": f'"{digest.hexdigest()}"', "X-Linked-Size": str(len(content))}
        if body:
            self.hub.asked.append((found[1], self.headers.get("Range")))
        if self.hub.lie and large:
            content = bytes([content[0] ^ 1]) + content[1:]
        self._send(content, headers, body, cut=large)

    def _send(self, content: bytes, headers: dict[str, str], body: bool, cut: bool = False) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        content = content[start:]
        if cut and self.hub.cut:
            self.hub.cut -= 1
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def network() -> Dinov2Model:
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    )


@pytest.fixture
def hub(network: Dinov2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    network.save_pretrained(tmp_path / "origin")
    found = Hub({path.name: path.read_bytes() for path in (tmp_path / "origin").iterdir()} | {"README.md": b"no"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Answer,), {"hub": found}))
    found.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield found
    server.shutdown()


def fetched(hub: Hub, revision: str | None = "main") -> Path:
    return hub_weights.fetch(ENTRY, revision, cache=Path(constants.HF_HUB_CACHE), endpoint=hub.url)


def test_what_is_fetched_is_recorded_and_loaded_from_there(hub: Hub, network: Dinov2Model) -> None:
    with pytest.raises(WeightsError, match=r"no revision of someone/tiny is known here; expected --revision"):
        fetched(hub, None)
    folder = fetched(hub)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert hub_weights.recorded_revision(REPO) == COMMIT
    assert json.loads(hub_weights.record_file().read_text()) == {REPO: {"revision": COMMIT}}
    assert hub_weights.cached_folder(ENTRY) == folder
    count = len(hub.asked)
    assert fetched(hub, None) == folder  # by the commit that was recorded
    assert len(hub.asked) == count
    loaded = load_pretrained(Dinov2Model, Component(origin=REPO))
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_commit_that_was_fetched_is_loaded_though_main_was_never_asked_for(hub: Hub) -> None:
    folder = fetched(hub, COMMIT)
    assert not (folder.parents[1] / "refs" / "main").exists()
    assert load_pretrained(Dinov2Model, Component(origin=REPO)).config.hidden_size == 32


def test_a_download_that_is_cut_off_goes_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(hub.files["model.safetensors"])
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)  # what is kept is kept in such pieces
    hub.cut = 1
    folder = fetched(hub)
    ranges = [asked for name, asked in hub.asked if name == "model.safetensors"]
    assert len(ranges) == 2
    start = int(ranges[1].removeprefix("bytes=").split("-")[0])  # type: ignore[union-attr]
    assert 0 < start <= whole // 2
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_damaged_content_is_not_kept(hub: Hub) -> None:
    hub.lie = True
    with pytest.raises(WeightsError, match=r"model\.safetensors of someone/tiny: arrived damaged"):
        fetched(hub)
    assert hub_weights.recorded_revision(REPO) is None
    hub.lie = False
    assert (fetched(hub) / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_what_is_not_there_is_one_line(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"someone/tiny at nowhere: cannot be fetched \(.*404"):
        fetched(hub, "nowhere")
    del hub.files["config.json"]
    with pytest.raises(WeightsError, match=r"someone/tiny at main: has no config\.json; choose another --revision"):
        fetched(hub)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        hub_weights.fetch(ENTRY, "main", cache=Path(constants.HF_HUB_CACHE) / "other", endpoint="http://127.0.0.1:9")


def test_check_reads_every_byte(hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights.TABLE, "tiny", ENTRY)
    called = command("weights", "check", "tiny")
    assert (called.code, called.out) == (1, "tiny: missing: signgen weights fetch tiny --revision main\n")
    folder = fetched(hub)
    assert command.works("weights", "check", "tiny") == f"tiny: here: {folder}\n"
    (folder / "config.json").unlink()
    assert "missing: config.json of it" in command("weights", "check", "tiny").out
    fetched(hub)
    blob = (folder / "model.safetensors").resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    called = command("weights", "check", "tiny")
    assert called.code == 1
    assert f"damaged: {folder / 'model.safetensors'}" in called.out.replace("\n", "")


def test_a_file_of_a_metric(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its address; the first digits of its hash are in its name."""
    content = b"weights" * 1000
    digest = hashlib.sha256(content).hexdigest()[:8]
    file = WeightsFile("Tiny", f"net-{digest}.pth", f"{hub.url}/{REPO}/resolve/main/net.pth", "tiny-metric")
    entry = weights.MetricWeights(file, 0.01, "MIT", "tests")
    with pytest.raises(WeightsError, match="get them with: signgen weights fetch tiny-metric"):
        file.find()
    with pytest.raises(WeightsError, match="cannot be fetched"):
        weights.fetch(entry)
    hub.files["net.pth"] = content[:-1]
    with pytest.raises(WeightsError, match="arrived damaged"):
        weights.fetch(entry)
    assert not file.target().exists()
    hub.files["net.pth"] = content
    assert weights.fetch(entry) == file.find() == tmp_path / "torch" / "hub" / "checkpoints" / f"net-{digest}.pth"
    assert weights.check(entry)[0] == "here"
    file.target().write_bytes(content[1:])
    assert weights.check(entry)[0] == "damaged"
    assert weights.fetch(entry).read_bytes() == content


def test_the_table(command: Command, hub: Hub) -> None:
    out = command.works("weights", "list")
    assert len(weights.TABLE) == len({entry.name for entry in weights.TABLE.values()})
    for name, entry in weights.TABLE.items():
        assert name in out
        assert entry.licence in " ".join(out.split())
        assert 0 < entry.gigabytes < 10
    assert "did you mean lpips-alex" in command.refuses("weights", "fetch", "lpips-alx")
    assert "no revision of yzd-v/DWPose is known" in command.refuses("weights", "fetch", "dwpose")


def test_every_origin_of_a_recipe_is_in_the_table() -> None:
    from signgen.config import load_recipe, recipes_folder

    def origins(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, each in value.items():
                yield from ([each] if name == "origin" and each else origins(each))

    named = {each for path in recipes_folder().glob("*.yaml") for each in origins(load_recipe(path.stem).model_dump())}
    assert named <= {entry.repo for entry in HUB_WEIGHTS}
    assert len(named) == 3
