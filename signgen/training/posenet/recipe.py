"""The recipe of a pose network: a YAML file, by path or by a shipped name (posenet-nano), in; a validated one out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, model_validator

from signgen.config import CanvasSettings, Moves, Section, StageSettings, load_section, recipes_folder

_UNUSED = ("augmentation", "gradient_checkpointing", "frozen_on_cpu", "share")  # of StageSettings


class NetworkSettings(Section):
    """The sizes of a PoseNet (signgen/models/posenet.py)."""

    channels: tuple[int, ...] = Field(min_length=2, max_length=7)
    blocks: int = Field(1, ge=1, le=32)
    stride: Literal[2, 4, 8] = 4
    groups: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> NetworkSettings:
        if odd := [each for each in self.channels if each < 1 or each > 4096 or each % self.groups]:
            raise ValueError(f"channels {odd[0]} is no multiple of groups {self.groups} up to 4096")
        if 2 ** len(self.channels) < self.stride:
            raise ValueError(f"stride {self.stride} with {len(self.channels)} levels")
        return self


class HeatMapSettings(Section):
    """sigma: of the target Gaussians, in heat-map px. foreground: the loss at the top of one weighs so much more than
    in the background, which is most of a map."""

    sigma: float = Field(1.5, gt=0)
    foreground: float = Field(20.0, ge=0)


class PoseAugmentation(Moves):
    """Moves, and the light: brightness is the largest change of all values, in shares of their range; contrast the
    largest relative change of their distances from grey."""

    brightness: float = Field(0.0, ge=0, lt=1)
    contrast: float = Field(0.0, ge=0, lt=1)


class PoseNetRecipe(Section):
    """A complete recipe of a pose network; see configs/posenet/posenet-nano.yaml."""

    name: str
    seed: int = 0
    licence: str = ""
    canvas: CanvasSettings
    network: NetworkSettings
    heat_maps: HeatMapSettings = HeatMapSettings()
    augmentation: PoseAugmentation = PoseAugmentation()
    training: StageSettings
    workers: int = Field(0, ge=0, le=1024)
    save_every: float = Field(300.0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> PoseNetRecipe:
        if unused := [name for name in _UNUSED if name in self.training.model_fields_set]:
            raise ValueError(f"training.{unused[0]} is not of a pose network's training")
        deepest = 2 ** len(self.network.channels)
        for side in (self.canvas.width, self.canvas.height):
            if side % deepest:
                raise ValueError(f"canvas side {side} is no multiple of {deepest}, the deepest level's stride")
        return self

    def to_yaml(self) -> str:
        """The recipe as YAML, complete."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude={"training": set(_UNUSED)}), sort_keys=False)


def load_posenet_recipe(name_or_path: str, overrides: tuple[str, ...] = ()) -> PoseNetRecipe:
    """By shipped name or by path, with `a.b=c` overrides. Raises RecipeError."""
    return load_section(PoseNetRecipe, _shipped(), name_or_path, overrides)


def _shipped() -> Path:
    return recipes_folder() / "posenet"
