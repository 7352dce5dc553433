"""A trained model folder in; the weights that a new run starts from out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from signgen.config import Recipe
from signgen.errors import ModelError
from signgen.models.card import ModelCard, load_model, palette_of
from signgen.models.fusion import FusionModel
from signgen.poses.palettes import PALETTES


def _is_ours(card: ModelCard) -> bool:
    """Whether its palette is one of this version's, drawn alike."""
    return card.palette in PALETTES and PALETTES[card.palette].fingerprint() == card.palette_fingerprint


class Start:
    """The networks of a trained model, to begin another run with. Raises ModelError for poses drawn otherwise."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        pipeline, card = load_model(folder)
        self._networks = pipeline.networks()
        self.base_scale: float = pipeline.config.base_scale
        self.data: dict[str, Any] = card.data
        self.pose_networks = card.pose_networks
        wanted = palette_of(recipe).fingerprint()
        if card.palette_fingerprint != wanted:
            raise ModelError(
                f"{folder}: its poses are drawn with palette {card.palette} {card.palette_fingerprint}",
                expected=f"{recipe.palette} {wanted}, the recipe's",
                fix=f"add --set palette={card.palette}" if _is_ours(card) else None,
            )

    @property
    def fusion(self) -> FusionModel | None:
        """Its stage 1."""
        return self._networks.get("fusion")  # type: ignore[return-value]

    def fill(self, name: str, network: nn.Module) -> None:
        """Give `network` the weights of the component `name`. Raises ModelError for other sizes."""
        if name not in self._networks:
            raise ModelError(f"{self.folder}: has no {name}", expected="a model of the same recipe")
        try:
            network.load_state_dict(self._networks[name].state_dict())
        except RuntimeError as error:
            raise ModelError(
                f"{self.folder}: its {name} differs from the recipe's ({str(error).splitlines()[-1].strip()[:160]})",
                expected="a model whose networks have the recipe's sizes",
            ) from error
