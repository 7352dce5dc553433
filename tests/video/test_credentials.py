"""Content Credentials, with a certificate made here, read back by the library's own verifier."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import OptionError, SigngenError
from signgen.video.credentials import Credentials
from signgen.video.images import read_text, write_image
from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter

EXTENSIONS = """
[above]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
"""
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """A signer's certificate below one of our own: C2PA takes none that signs itself."""
    pytest.importorskip("c2pa", reason="pip install 'signgen[c2pa]'")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "x.cnf").write_text(EXTENSIONS)
    for name in ("above", "signer"):
        openssl(folder, f"genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key")
    openssl(
        folder,
        "req -x509 -new -key above.key -subj /CN=Above/O=T -days 2 -config x.cnf -extensions above -out above.pem",
    )
    openssl(folder, "req -new -key signer.key -subj /CN=Signer/O=T -config x.cnf -out signer.csr")
    above = "-CA above.pem -CAkey above.key -CAcreateserial"
    openssl(folder, f"x509 -req -in signer.csr {above} -days 2 -extfile x.cnf -extensions signer -out signer.pem")
    chain = folder / "chain.pem"
    chain.write_bytes((folder / "signer.pem").read_bytes() + (folder / "above.pem").read_bytes())
    return Credentials(chain, folder / "signer.key")


def write(path: Path) -> Path:
    picture = np.full((32, 48, 3), 90, np.uint8)
    if path.suffix in (".png", ".webp"):
        write_image(path, picture, "said")
        return path
    with VideoWriter(path, 48, 32, 25, codec="prores" if path.suffix == ".mov" else "h264") as writer:
        for _ in range(3):
            writer.write(picture)
    return path


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.png", "o.webp"])
def test_a_signed_file_says_that_an_algorithm_made_it(credentials: Credentials, name: str, tmp_path: Path) -> None:
    import c2pa

    path = write(tmp_path / name)
    before = open_frames(path).read()
    credentials.check(path.suffix)
    credentials.sign(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["keys", name])
    np.testing.assert_array_equal(open_frames(path).read(), before)
    assert path.suffix not in (".png", ".webp") or read_text(path) == "said"
    told = json.loads(c2pa.Reader(path).json())
    manifest = told["manifests"][told["active_manifest"]]
    actions = [each["data"]["actions"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    assert actions == [[{"action": "c2pa.created", "digitalSourceType": SOURCE}]]
    assert manifest["signature_info"]["common_name"] == "Signer"
    # nobody knows the certificate; all else is in order, until a byte changes
    assert {status["code"] for status in told["validation_status"]} == {"signingCredential.untrusted"}
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    try:
        found = json.loads(c2pa.Reader(path).json())["validation_status"]
        assert any("mismatch" in status["code"].lower() for status in found)
    except c2pa.C2paError:
        pass  # the file cannot be read any more


def test_what_does_not_sign_is_one_line(credentials: Credentials, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--credentials for a \.webm file"):
        credentials.check(".webm")
    with pytest.raises(SigngenError, match=r"gone\.pem: cannot be read"):
        Credentials(tmp_path / "gone.pem", credentials.key).check(".mp4")
    with pytest.raises(SigngenError, match="cannot sign"):
        Credentials(credentials.certificate, credentials.certificate).check(".mp4")


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    with pytest.raises(SigngenError, match=r"pip install 'signgen\[c2pa\]'"):
        Credentials(tmp_path / "a.pem", tmp_path / "b.pem").check(".mp4")
