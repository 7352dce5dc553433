"""The table of solvers, by the names that recipes and the command line use. A new solver is one line here.

Importing it costs nothing: diffusers is imported when a solver is asked for.
"""

from __future__ import annotations

from typing import Any

# Name -> scheduler class of diffusers. All but those of ADDS_NOISE are deterministic: nothing is drawn in their steps.
SOLVERS: dict[str, str] = {
    "ddim": "DDIMScheduler",
    "unipc": "UniPCMultistepScheduler",
    "dpmpp": "DPMSolverMultistepScheduler",
    "ddpm": "DDPMScheduler",  # ancestral sampling, FPDM's own
}
ADDS_NOISE = frozenset({"ddpm"})
KNOW_VARIANCE = frozenset({"ddpm"})  # draw with the variance that a network has learned (models/variance.py)


def solver_class(name: str) -> Any:
    """The scheduler class of a solver; `.from_config(scheduler.config)` makes one for a trained model."""
    import diffusers

    return getattr(diffusers, SOLVERS[name])
