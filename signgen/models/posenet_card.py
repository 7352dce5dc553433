"""A trained pose network on disk: a folder in Hub layout with its card, posenet.json; written, and read again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from signgen import __version__
from signgen.errors import ModelError
from signgen.files import disk_full_is_oserror, make_folder, read_json, write_json
from signgen.models.card import check_config, check_weights
from signgen.models.posenet import PoseNet
from signgen.models.quiet import quiet_libraries

POSENET_CARD = "posenet.json"
_ADVICE = "what `signgen train-posenet` wrote"


@dataclass(frozen=True)
class PoseNetCard:
    """The content of posenet.json.

    digest: of the weights, as model cards name the network. data: fingerprint and clips of the pair set. accuracy: part
    -> numbers by `definition`, with their count of points, on `frames` held-out frames of `signers` signers, of whom
    `unseen_signers` were not trained on.
    """

    digest: str
    joints: tuple[int, ...]
    canvas: dict[str, Any]
    recipe: dict[str, Any]
    licence: str
    data: dict[str, Any]
    seed: int
    steps: int
    accuracy: dict[str, dict[str, float]]
    frames: int
    signers: int
    unseen_signers: int
    definition: str
    signgen: str = __version__


def save_posenet(network: PoseNet, card: PoseNetCard, folder: Path) -> None:
    """Write the folder; the card comes last, so a folder with one is whole."""
    (folder / POSENET_CARD).unlink(missing_ok=True)
    with disk_full_is_oserror(make_folder(folder)), quiet_libraries():
        network.save_pretrained(folder, safe_serialization=True)
    write_json(folder / POSENET_CARD, asdict(card))


def load_posenet(folder: Path) -> tuple[PoseNet, PoseNetCard]:
    """The network, ready to look at frames, and its card. Raises ModelError for what is missing or damaged."""
    card = read_posenet_card(folder)
    check_config(folder / "config.json")
    try:
        with quiet_libraries():
            network = PoseNet.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # diffusers and safetensors raise anything for a damaged file
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{folder}: cannot be loaded ({reason[:160]})", fix="copy the whole folder again") from error
    check_weights(network, folder)
    if (digest := network.digest) != card.digest:
        found = f"{folder}: its weights are {digest}"
        raise ModelError(found, expected=f"{card.digest}, as its card says", fix="copy the whole folder again")
    return network.eval().requires_grad_(False), card


def read_posenet_card(folder: Path) -> PoseNetCard:
    """Read posenet.json of a folder. Raises ModelError."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder of a pose network", expected=_ADVICE)
    try:
        values = read_json(folder / POSENET_CARD)
        card = PoseNetCard(**{**values, "joints": tuple(values["joints"])})
        if not isinstance(card.digest, str):
            raise ValueError(f"digest is {json.dumps(card.digest)}")
        return card
    except FileNotFoundError:
        raise ModelError(f"{folder}: lacks {POSENET_CARD}", expected=_ADVICE) from None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ModelError(f"{folder / POSENET_CARD}: is damaged ({error})", expected=_ADVICE) from error
