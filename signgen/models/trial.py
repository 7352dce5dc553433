"""Networks of a loaded model that fail: is it the model folder's settings, or what they were given?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from signgen.config import Recipe, SamplingSettings
from signgen.errors import ModelError
from signgen.models.fusion import FusionModel
from signgen.models.pipeline import SignerPipeline

# What torch and the libraries raise for widths, heads and numbers that do not fit each other.
_MISFITS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)


@contextmanager
def running(pipeline: SignerPipeline, recipe: Recipe) -> Iterator[None]:
    """Run the networks of a loaded model in this block. Raises ModelError where they fail, and fail on an empty picture
    as well: then their configurations are damaged. Every other error is passed on.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except _MISFITS as error:
        if isinstance(error, ModelError) or (reason := _failure(pipeline, recipe)) is None:
            raise
        found = f"the model's networks do not run ({reason})"
        raise ModelError(found, expected="the settings of its parts as they were saved", fix="copy it again") from error


def check_fusion(fusion: FusionModel) -> None:
    """Raise ModelError for a loaded stage 1 that does not run on an empty picture: its configuration is damaged."""
    try:
        with torch.no_grad():
            fusion.embed(torch.zeros(1, 3, 8, 8, device=fusion.device))
    except _MISFITS as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        found = f"fusion: the network does not run ({reason})"
        raise ModelError(found, expected="its settings as they were saved", fix="copy it again") from error


def _failure(pipeline: SignerPipeline, recipe: Recipe) -> str | None:
    """What an empty picture of the canvas's size makes the networks raise; None where they run."""
    size = (recipe.canvas.height, recipe.canvas.width)
    device = pipeline.unet.device
    source, pose = (torch.zeros(1, 3, *size, device=device) for _ in range(2))
    poses = torch.zeros(1, 3 * (1 + 2 * recipe.pose_window), *size, device=device)
    warp = torch.zeros(1, 6, *size, device=device) if recipe.part_warp else None
    try:
        pipeline(source, poses, pose, warp, sampling=SamplingSettings(steps=1, micro_batch=1))
    except _MISFITS as error:
        return " ".join(str(error).split())[:160] or type(error).__name__
    return None
