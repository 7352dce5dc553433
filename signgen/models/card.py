"""signgen.json: what a model folder was made from and how its poses must be drawn; written, read, checked here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from pydantic import ValidationError
from safetensors import safe_open

from signgen import __version__
from signgen.config import Recipe, SamplingSettings, parse_recipe, too_large
from signgen.errors import ModelError, OptionError
from signgen.files import disk_full_is_oserror, make_folder, read_json, write_json
from signgen.models.pipeline import SignerPipeline
from signgen.models.quiet import quiet_libraries
from signgen.poses.draw import PALETTES, Palette
from signgen.presets import preset_settings
from signgen.solvers import SOLVERS, solver_class

CARD = "signgen.json"
# What a model folder may name: classes of other modules would be imported, and their code run.
_PARTS = {
    "image_space": (["signgen.models.image_space", "PixelUnshuffleSpace"], ["diffusers", "AutoencoderKL"]),
    "source_encoder": (["transformers", "Dinov2Model"],),
    "conditions": (["signgen.models.conditions", "ConditionSet"],),
    "unet": (["diffusers", "UNet2DConditionModel"],),
    "scheduler": tuple(["diffusers", name] for name in SOLVERS.values()),
    "fusion": (["signgen.models.fusion", "FusionModel"],),
}


OPTIONS = {
    "guidance_interval": "guide-in",
    "pose_interval": "pose-guide-in",
    "precision": "dtype",
}  # settings that the command line calls otherwise


@dataclass(frozen=True)
class ModelCard:
    """The content of signgen.json. `recipe` is complete; `data` says which pair set it was trained on.

    pose_networks: fingerprints (`signgen.poses.estimators.fingerprint`) of the pose networks whose opinion was in the
    loss or the guidance, of this model or of one that it was started from: they may not judge it. A network that only
    estimated keypoints of the training data is not one of them.
    """

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
    pose_networks: tuple[str, ...] = ()

    @classmethod
    def describe(
        cls,
        recipe: Recipe,
        data: dict[str, Any],
        steps: dict[str, int],
        threads: int,
        pose_networks: tuple[str, ...] = (),
    ) -> ModelCard:
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
            pose_networks=pose_networks,
        )

    def parsed_recipe(self) -> Recipe:
        """The recipe, validated."""
        return parse_recipe(self.recipe, CARD)

    def sampling(self, chosen: Mapping[str, Any] | None = None, **others: Any) -> SamplingSettings:
        """The recipe's sampling, changed by `others`, by `chosen["preset"]`, then by the other values of `chosen`; None
        changes nothing.

        Raises OptionError for a value that cannot be.
        """
        own = self.parsed_recipe().sampling
        given = {name: value for name, value in (others | dict(chosen or {})).items() if value is not None}
        if preset := given.pop("preset", None):
            given = preset_settings(preset, own.steps) | given
        if given.get("pose_network") and not (own.pose_guidance or "pose_guidance" in given):
            raise OptionError("--pose-network without --pose-guidance", expected="how much it guides, e.g. 10")
        try:
            return SamplingSettings.model_validate(own.model_dump() | given)
        except ValidationError as error:
            first = error.errors()[0]
            name = OPTIONS.get(str(first["loc"][0]), str(first["loc"][0]).replace("_", "-"))
            expected = first.get("ctx", {}).get("expected")
            raise OptionError(f"--{name}: {first['msg']} (found {first['input']})", expected=expected) from None

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
    recipe = card.parsed_recipe()
    check_settings(pipeline, recipe, folder)
    check_scheduler(pipeline, recipe, folder)
    return pipeline, card


def read_card(folder: Path) -> ModelCard:
    """Read signgen.json of a model folder. Raises ModelError."""
    advice = "RUN/model of a finished `signgen train`"
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder", expected=advice)
    try:
        card = ModelCard(**read_json(folder / CARD))
        if not isinstance(card.recipe, dict) or not isinstance(card.data, dict):
            raise ValueError("no recipe, or nothing of its data")
        if not isinstance(card.data.get("fingerprint"), str):
            raise ValueError("its data have no fingerprint")
        networks = card.pose_networks
        if not isinstance(networks, list | tuple) or not all(isinstance(name, str) for name in networks):
            raise ValueError(f"pose_networks is {networks!r}")
        return replace(card, pose_networks=tuple(networks))
    except FileNotFoundError:
        raise ModelError(f"{folder}: lacks {CARD}", expected=advice) from None
    except (ValueError, TypeError, OSError) as error:
        raise ModelError(f"{folder / CARD}: is damaged ({error})", expected=advice) from error


def check_parts(folder: Path) -> None:
    """Name every part that model_index.json lists and the folder lacks."""
    try:
        index = read_json(folder / "model_index.json")
        if not isinstance(index, dict):
            raise ValueError(f"holds a {type(index).__name__}")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: lacks a readable model_index.json ({error})") from error
    parts = [name for name, value in index.items() if isinstance(value, list) and value != [None, None]]
    foreign = [name for name in parts if index[name] not in _PARTS.get(name, ())]
    if foreign or index.get("_class_name") != SignerPipeline.__name__:
        found = f"{folder / 'model_index.json'}: names {_named(index, foreign)}"
        raise ModelError(found, expected="the classes of signgen's own parts", fix="copy the whole folder again")
    for name in parts:
        for config in ("config.json", "scheduler_config.json"):
            check_config(folder / name / config)
    missing = [name for name in parts if not _whole(folder / name)]
    if missing:
        raise ModelError(
            f"{folder}: the model lacks {', '.join(missing)}",
            expected=f"the parts {', '.join(parts)}",
            fix="copy the whole folder, or run `signgen train ... --resume`, which writes it again",
        )


def check_config(path: Path) -> None:
    """Refuse a part's configuration that is no JSON, or of a network that is too large to be built."""
    if not path.is_file():
        return
    try:
        found = too_large(read_json(path))
    except (OSError, ValueError) as error:
        found = f"damaged ({error})"
    if found:
        raise ModelError(f"{path}: {found}", fix="copy the whole folder again")


def check_scheduler(pipeline: SignerPipeline, recipe: Recipe, folder: Path) -> None:
    """Refuse a scheduler whose settings the recipe's solver cannot be made from."""
    try:
        solver_class(recipe.sampling.solver).from_config(pipeline.scheduler.config).set_timesteps(2)
    except Exception as error:  # diffusers raises anything for settings that it does not know
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ModelError(f"{folder / 'scheduler'}: damaged ({reason})", fix="copy the whole folder again") from error


def _named(index: dict[str, Any], foreign: list[str]) -> str:
    """What a model_index.json wants to be loaded that signgen did not write there."""
    return f"{index[foreign[0]]!r} as {foreign[0]}" if foreign else f"{index.get('_class_name')!r} as pipeline"


def check_settings(pipeline: SignerPipeline, recipe: Recipe, folder: Path) -> None:
    """Refuse a model whose parts that have no weights were made by other settings than its recipe's."""
    copies = recipe.diffusion.copies
    wanted = {
        "source_side": recipe.source_encoder.side,
        "base": recipe.diffusion.base,
        "copies": copies.layers,
        "reach": copies.reach,
        "warp_copy": copies.warp,
        "solver": recipe.sampling.solver,
    }
    found = {name: pipeline.config[name] for name in wanted}
    wanted["learned_variance"], found["learned_variance"] = recipe.diffusion.learned_variance, pipeline.learned_variance
    if recipe.image_space.kind == "pixel-unshuffle":
        wanted["factor"], found["factor"] = recipe.image_space.factor, getattr(pipeline.image_space, "factor", None)
    if pipeline.fusion is not None:
        wanted["side"], found["side"] = recipe.fusion.side, pipeline.fusion.side
    differing = [name for name in wanted if type(found[name]) is not type(wanted[name]) or found[name] != wanted[name]]
    scale = pipeline.config.base_scale
    if not isinstance(scale, (int, float)) or not scale > 0:
        differing, found["base_scale"], wanted["base_scale"] = ["base_scale"], scale, "a number above 0"
    if differing:
        name = differing[0]
        raise ModelError(
            f"{folder}: {name} is {found[name]!r}", expected=f"{wanted[name]}", fix="copy the whole folder again"
        )


def damaged_file(folder: Path) -> Path | None:
    """The first file below that is no JSON or safetensors though its name says so; None where all are."""
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".json" and not isinstance(read_json(path), dict):
                return path
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except Exception:  # safetensors has an error of its own
            return path
    return None


def check_weights(network: torch.nn.Module, part: Path) -> None:
    """Refuse a part whose files hold other weights than the network: the libraries would make them up and only warn.

    Of transformers' networks the numbers are counted, not names compared: it renames weights when it loads and saves.
    """
    saved: dict[str, int] = {}
    for path in part.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            saved |= {key: math.prod(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    wanted = {name: tensor.numel() for name, tensor in network.state_dict().items()}
    fix = "the model was written by another version of signgen: train again, or install that version"
    if (count := sum(saved.values())) != (needed := sum(wanted.values())):
        raise ModelError(f"{part}: holds {count} weights", expected=f"{needed}", fix=fix)
    if any(tensor.is_meta for tensor in network.state_dict().values()):
        raise ModelError(f"{part}: some of its weights have other names than the network's", fix=fix)
    if isinstance(network, ModelMixin) and (others := sorted(saved.keys() ^ wanted.keys())):
        raise ModelError(f"{part}: its weights or the network's lack {others[0]}", expected="the same names", fix=fix)


def _whole(part: Path) -> bool:
    """A part has its configuration and, unless it is a scheduler, its safetensors."""
    if (part / "scheduler_config.json").is_file():
        return True
    return (part / "config.json").is_file() and any(part.glob("*.safetensors"))
