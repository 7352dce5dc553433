"""What is asked of training: options in; the recipe of a new run, or what an older one was begun with, out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.config import Recipe, changed_recipe, load_recipe
from signgen.errors import ModelError, OptionError
from signgen.files import read_json
from signgen.models.card import read_card
from signgen.requests import Request
from signgen.training.fit import fit, parse_memory


@dataclass(frozen=True)
class TrainRequest(Request):
    """What is trained on what, and where.

    pairs: a pair set. out: the run folder. config: a recipe's shipped name or path, None: nano, or the resumed run's.
    overrides: `a.b=c`, changes of the recipe. stage: fusion, diffusion, or None for both. resume: go on with the run
    that is in `out`. max_minutes: fit both stages into this time; each ends when its share of it is over. init: a model
    folder whose weights the run starts from. fit: a device's memory, `24GB`, that both stages are to fit into. device:
    auto, cpu or cuda. threads: of the CPU. adapt: a model to fine-tune: its recipe, its weights and its stage 1 are
    taken, and stage 2 goes on. lora: the rank of an adapter, which is then trained in place of the weights.
    """

    pairs: Path
    out: Path
    config: str | None = None
    overrides: tuple[str, ...] = ()
    stage: str | None = None
    resume: bool = False
    max_minutes: float | None = None
    init: Path | None = None
    fit: str | None = None
    adapt: Path | None = None
    lora: int | None = None
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class TrainResult:
    """model: the model folder, None where only stage 1 was trained; fusion: stage 1's folder, None without it. adapter:
    the folder of an adapter, in place of a model's."""

    model: Path | None
    fusion: Path | None
    notes: tuple[str, ...]
    adapter: Path | None = None


def asked_recipe(request: TrainRequest) -> tuple[Recipe, list[str]]:
    """The recipe of a new run, made to fit where that is asked, and what was done for it."""
    if request.adapt is not None:
        if request.config is not None or request.init is not None:
            raise OptionError("--from with --config or --init", expected="the model's own recipe and weights")
        if request.stage == "fusion":
            raise OptionError("--from with --stage fusion", expected="stage 2: the model's stage 1 is taken as it is")
        recipe = changed_recipe(read_card(request.adapt).parsed_recipe(), request.overrides, str(request.adapt))
    elif request.lora is not None:
        raise OptionError("--lora without --from", expected="the model that the adapter is of")
    else:
        recipe = load_recipe(request.config or "nano", request.overrides)
    if request.fit is None:
        return recipe, []
    return fit(recipe, parse_memory(request.fit), int(os.environ.get("WORLD_SIZE", "1")))


def read_settings(path: Path) -> dict[str, Any]:
    """What a run was begun with. Raises ModelError."""
    try:
        kept = read_json(path)
        if not isinstance(kept, dict) or not {"fingerprint", "max_minutes"} <= kept.keys():
            raise ValueError("no fingerprint or max_minutes in it")
        minutes = kept["max_minutes"]
        if not (minutes is None or (isinstance(minutes, (int, float)) and minutes > 0)):
            raise ValueError(f"max_minutes is {minutes!r}")
        for name in ("init", "adapt"):
            if not (kept.get(name) is None or isinstance(kept[name], str)):
                raise ValueError(f"{name} is {kept[name]!r}")
        if not (kept.get("lora") is None or type(kept["lora"]) is int):
            raise ValueError(f"lora is {kept['lora']!r}")
    except (OSError, ValueError) as error:
        found = f"{path}: cannot be read ({error})"
        raise ModelError(found, expected="what signgen train wrote", fix="begin again with another --out") from error
    return kept
