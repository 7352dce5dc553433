"""`--set canvas=clip`: a training request and its pair set in, the request with a canvas of the clips' shape out."""

from __future__ import annotations

from dataclasses import replace

from signgen.config import Recipe, load_recipe
from signgen.errors import OptionError, PairSetError
from signgen.models.canvas import shaped_like
from signgen.pairs.pairset import PairSet
from signgen.training.request import TrainRequest

OF_CLIPS = "canvas=clip"
_ALIKE = 1.1  # the most that shapes of clips differ by
_LEVELS = 4  # of Stable Diffusion's UNet, where a recipe only says where its weights are


def with_clip_canvas(request: TrainRequest, pairs: PairSet, begun: str | None = None) -> TrainRequest:
    """As many pixels as the recipe's canvas has, in the shape of the clips' frames, or crops, on sides that all levels
    of the UNet divide. begun: where the recipe of a run that goes on lies.

    The shape is that of the stored pixels, whatever shape they are shown in: then both axes lose as much.
    Raises OptionError with --from, PairSetError for clips of several shapes.
    """
    if OF_CLIPS not in request.overrides:
        return request
    if request.adapt is not None:
        raise OptionError(f"--set {OF_CLIPS} with --from", expected="the canvas that the model was trained at")
    others = tuple(override for override in request.overrides if override != OF_CLIPS)
    recipe = load_recipe(request.config or begun or "nano", others)
    sizes = sorted({(clip.width, clip.height) for clip in pairs.clips}, key=lambda size: size[0] / size[1])
    (width, height), last = sizes[0], sizes[-1]
    if last[0] / last[1] > _ALIKE * width / height:
        found = f"--set {OF_CLIPS}: clips of several shapes, {width}x{height} and {last[0]}x{last[1]}"
        raise PairSetError(found, fix="name a canvas with --set canvas.width=W --set canvas.height=H")
    width, height = shaped_like(*sizes[len(sizes) // 2], recipe.canvas.width * recipe.canvas.height, _step(recipe))
    return replace(request, overrides=(*others, f"canvas.width={width}", f"canvas.height={height}"))


def _step(recipe: Recipe) -> int:
    """What a side has to be a multiple of."""
    levels = len(recipe.unet.config.get("block_out_channels", range(_LEVELS)))
    return int(recipe.image_space.factor * 2 ** (levels - 1))
