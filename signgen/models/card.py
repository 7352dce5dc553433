"""signgen.json: what a model folder was made from and how its poses must be drawn; written, read, checked here."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from signgen import __version__
from signgen.config import Recipe, SamplingSettings, parse_recipe
from signgen.errors import ModelError
from signgen.files import disk_full_is_oserror, make_folder, write_json
from signgen.models.pipeline import SignerPipeline
from signgen.models.quiet import quiet_libraries
from signgen.poses.draw import PALETTES, Palette

CARD = "signgen.json"


@dataclass(frozen=True)
class ModelCard:
    """The content of signgen.json. `recipe` is complete; `data` says which pair set it was trained on."""

    recipe: dict[str, Any]
    skeleton: str
    palette: str
    palette_fingerprint: str
    licence: str
    data: dict[str, Any]
    steps: dict[str, int]
    seed: int
    threads: int
    signgen: str = __version__

    @classmethod
    def describe(cls, recipe: Recipe, data: dict[str, Any], steps: dict[str, int], threads: int) -> ModelCard:
        """The card of a model trained now."""
        palette = palette_of(recipe)
        return cls(
            recipe=recipe.model_dump(mode="json"),
            skeleton=palette.skeleton,
            palette=palette.name,
            palette_fingerprint=palette.fingerprint(),
            licence=recipe.licence,
            data=data,
            steps=steps,
            seed=recipe.seed,
            threads=threads,
        )

    def parsed_recipe(self) -> Recipe:
        """The recipe, validated."""
        return parse_recipe(self.recipe, CARD)

    def sampling(self, **chosen: Any) -> SamplingSettings:
        """The recipe's sampling, with the values of `chosen` that are not None."""
        return self.parsed_recipe().sampling.model_copy(update={k: v for k, v in chosen.items() if v is not None})

    def drawing_palette(self) -> Palette:
        """The palette to draw this model's poses with; refuses if this signgen draws it differently."""
        palette = palette_of(self.parsed_recipe())
        if palette.fingerprint() != self.palette_fingerprint:
            raise ModelError(
                f"the model's poses were drawn with palette {self.palette} {self.palette_fingerprint},"
                f" here it is {palette.fingerprint()}",
                fix=f"render with signgen {self.signgen}, or train again",
            )
        return palette


def palette_of(recipe: Recipe) -> Palette:
    """The recipe's palette. Raises ModelError for an unknown one."""
    if recipe.palette not in PALETTES:
        raise ModelError(f"unknown palette {recipe.palette!r}", expected=f"one of {', '.join(sorted(PALETTES))}")
    return PALETTES[recipe.palette]


def save_model(pipeline: SignerPipeline, card: ModelCard, folder: Path) -> None:
    """Write the diffusers folder with its signgen.json; the card comes last, so a folder with one is whole."""
    (folder / CARD).unlink(missing_ok=True)
    with disk_full_is_oserror(make_folder(folder)), quiet_libraries():
        pipeline.save_pretrained(folder, safe_serialization=True)
    write_json(folder / CARD, asdict(card))


def load_model(folder: Path) -> tuple[SignerPipeline, ModelCard]:
    """Load a model folder; every missing part is named. Raises ModelError."""
    card = read_card(folder)
    check_parts(folder)
    try:
        with quiet_libraries():
            pipeline = SignerPipeline.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # diffusers, transformers and safetensors raise anything for a damaged file
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        where = damaged_file(folder) or folder
        raise ModelError(f"{where}: cannot be loaded ({reason[:160]})", fix="copy the whole folder again") from error
    for name, network in pipeline.networks().items():
        check_weights(network, folder / name)
        network.eval()
    return pipeline, card


def read_card(folder: Path) -> ModelCard:
    """Read signgen.json of a model folder. Raises ModelError."""
    advice = "RUN/model of a finished `signgen train`"
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder", expected=advice)
    try:
        return ModelCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelError(f"{folder}: lacks {CARD}", expected=advice) from None
    except (ValueError, TypeError, OSError) as error:
        raise ModelError(f"{folder / CARD}: is damaged ({error})", expected=advice) from error


def check_parts(folder: Path) -> None:
    """Name every part that model_index.json lists and the folder lacks."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        if not isinstance(index, dict):
            raise ValueError(f"holds a {type(index).__name__}")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: lacks a readable model_index.json ({error})") from error
    parts = [name for name, value in index.items() if isinstance(value, list) and value[0] is not None]
    missing = [name for name in parts if not _whole(folder / name)]
    if missing:
        raise ModelError(
            f"{folder}: the model lacks {', '.join(missing)}",
            expected=f"the parts {', '.join(parts)}",
            fix="copy the whole folder, or run `signgen train ... --resume`, which writes it again",
        )


def damaged_file(folder: Path) -> Path | None:
    """The first file below that is no JSON or safetensors though its name says so; None where all are."""
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".json" and not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                return path
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except Exception:  # safetensors has an error of its own
            return path
    return None


def check_weights(network: torch.nn.Module, part: Path) -> None:
    """Refuse a part whose files hold fewer numbers than the network: the libraries would make them up and only warn.

    Numbers are counted, not names compared, since transformers renames weights when it loads and saves them.
    """
    saved = 0
    for path in part.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            saved += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    wanted = sum(tensor.numel() for tensor in network.state_dict().values())
    if saved != wanted:
        raise ModelError(
            f"{part}: holds {saved} weights",
            expected=f"{wanted}",
            fix="the model was written by another version of signgen: train again, or install that version",
        )


def _whole(part: Path) -> bool:
    """A part has its configuration and, unless it is a scheduler, its safetensors."""
    if (part / "scheduler_config.json").is_file():
        return True
    return (part / "config.json").is_file() and any(part.glob("*.safetensors"))
