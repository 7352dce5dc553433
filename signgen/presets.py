"""Presets of sampling: a name and a recipe's own numbers in; the settings that replace them, out.

A preset is relative to the recipe, so that a model that samples in one step is never made to take twenty.
Importing it costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_MIDDLE = (0.25, 0.85)  # of the time steps; guidance matters least near pure noise and near the picture

# Name -> settings, by the names of SamplingSettings. share: of the recipe's steps, in place of a number.
PRESETS: dict[str, Mapping[str, Any]] = {
    "exact": {},
    "balanced": {"share": 0.4, "guidance_interval": _MIDDLE, "fill": True},
    "fast": {"share": 0.2, "w_c": 1.0, "w_f": 1.0, "fill": True},
    "paper-fpdm": {"solver": "ddpm", "steps": 20, "w_c": 2.0, "w_f": 2.0, "noise_scale": 1.0, "shared_noise": 0.0},
    "paper-reposedm": {  # the steps are not stated: the recipe's own
        "solver": "ddpm",
        "w_c": 2.0,
        "w_f": 2.0,
        "guidance_interval": (0.0, 1.0),
        "noise_scale": 1.0,
        "shared_noise": 0.0,
    },
}


def preset_settings(name: str, steps: int) -> dict[str, Any]:
    """The settings of a preset for a recipe of so many steps.

    >>> preset_settings("balanced", 20)
    {'guidance_interval': (0.25, 0.85), 'fill': True, 'steps': 8}
    """
    settings = dict(PRESETS[name])
    if (share := settings.pop("share", None)) is not None:
        settings["steps"] = math.ceil(share * steps)
    return settings
