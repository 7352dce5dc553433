"""Content Credentials (C2PA): a certificate and a key in; files signed as made by an algorithm out.

A verifier then sees who signed, that no camera saw it, and whether anything was changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from signgen import __version__
from signgen.errors import OptionError, SigngenError
from signgen.files import atomic_path
from signgen.video.images import write_image

SIGNED = (".mp4", ".mov", ".png", ".webp")
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_ALGORITHMS = ("es256", "ps256", "ed25519", "es384", "es512", "ps384", "ps512")  # one of them fits the key


@dataclass(frozen=True)
class Credentials:
    """certificate: PEM, the signer's and those above it; key: its private key, PEM (PKCS 8)."""

    certificate: Path
    key: Path

    def check(self, suffix: str) -> None:
        """Sign a small picture. Raises OptionError for files that are not signed, SigngenError where c2pa-python is not
        installed or does not take certificate and key."""
        if suffix not in SIGNED:
            raise OptionError(f"--credentials for a {suffix} file", expected=f"one of {', '.join(SIGNED)}")
        with TemporaryDirectory(prefix="c2pa-") as folder:
            picture = Path(folder) / "check.png"
            write_image(picture, np.zeros((16, 16, 3), np.uint8))
            self.sign(picture)

    def sign(self, path: Path) -> None:
        """The file with a signed manifest in it, atomically. Raises SigngenError."""
        c2pa = _library()
        manifest = {
            "title": path.name,
            "claim_generator_info": [{"name": "signgen", "version": __version__}],
            "assertions": [
                {
                    "label": "c2pa.actions",
                    "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": _SOURCE}]},
                }
            ],
        }
        certificate, key = (_content(file) for file in (self.certificate, self.key))
        reasons = []
        signed = path.with_name(f".signed.{path.name}")  # the library goes by the suffix
        try:
            for algorithm in _ALGORITHMS:
                try:
                    info = c2pa.C2paSignerInfo(algorithm.encode(), certificate, key, None)
                    c2pa.Builder(manifest).sign_file(path, signed, c2pa.Signer.from_info(info))
                except c2pa.C2paError as error:
                    reasons.append(" ".join(str(error).split()))
                    signed.unlink(missing_ok=True)
                    continue
                with atomic_path(path) as temporary:
                    signed.replace(temporary)
                return
        finally:
            signed.unlink(missing_ok=True)
        raise SigngenError(
            f"--credentials {self.certificate} {self.key}: cannot sign ({reasons[0][:160]})",
            expected="a PEM chain of certificates for signing content, and the key of the first",
        )


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise SigngenError("--credentials needs c2pa-python", fix="pip install 'signgen[c2pa]'") from error
    return c2pa


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigngenError(f"--credentials {path}: cannot be read ({error.strerror})", expected="a PEM file") from error
