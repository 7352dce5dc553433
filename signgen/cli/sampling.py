"""How a model samples: options that all commands that render have, handed to them as one dictionary."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from signgen.presets import PRESETS
from signgen.solvers import SOLVERS

PANEL = "Sampling (default: the model's recipe)"
if TYPE_CHECKING:
    _SolverName = _PresetName = str
else:
    _SolverName, _PresetName = Literal[tuple(SOLVERS)], Literal[tuple(PRESETS)]


def _option(kind: Any, text: str, *names: str, **limits: Any) -> Any:
    return Annotated[kind | None, typer.Option(*names, help=text, rich_help_panel=PANEL, **limits)]


# By the names of SamplingSettings.
_TABLE: dict[str, Any] = {
    "steps": _option(int, "Solver steps.", "--steps", min=1),
    "solver": _option(_SolverName, "Solver.", "--solver"),
    "w_c": _option(float, "Guidance of pose and source.", "--w-c"),
    "w_f": _option(float, "Guidance of the fusion embedding.", "--w-f"),
    "guidance_interval": _option(
        tuple[float, float],
        "Guide only where the share of noise lies between these: 0 the picture, 1 pure noise.",
        "--guide-in",
        metavar="FROM TO",
    ),
    "pose_guidance": _option(
        float, "Guide by a pose network towards the keypoints, with this scale.", "--pose-guidance", min=0
    ),
    "pose_network": _option(str, "What guides: a folder of train-posenet.", "--pose-network", metavar="POSENET"),
    "pose_joints": _option(str, "Of a file: the joints of its heat maps.", "--pose-joints", metavar="NAME|FILE"),
    "pose_mode": _option(
        Literal["cheap", "full", "literal"],
        "Through the estimate, the denoiser too, or as printed.",
        "--pose-mode",
    ),
    "pose_interval": _option(
        tuple[float, float], "Guide poses only there, as --guide-in.", "--pose-guide-in", metavar="FROM TO"
    ),
    "noise_scale": _option(float, "Noise to start from: 1 full, 0 none.", "--noise-scale", min=0, max=1),
    "shared_noise": _option(float, "How much of it all frames share: 1 all, 0 none.", "--shared-noise", min=0, max=1),
    "strength": _option(float, "Below 1: from the source with so much noise on it.", "--strength", min=0.01, max=1),
    "micro_batch": _option(int, "Frames at once; it changes last bits.", "--micro-batch", min=1),
    "fill": _option(bool, "As many frames at once as a GPU's free memory holds.", "--fill"),
    "compile": _option(bool, "torch.compile the denoiser.", "--compile"),
    "steady": _option(
        str, "Cures of flicker: colour, shimmer, background (docs/rendering.md), or none.", "--steady", metavar="A,B"
    ),
    "precision": _option(Literal["fp32", "bf16", "fp16"], "Precision.", "--dtype"),
    "backend": _option(
        Literal["torch", "openvino", "onnx"], "What runs the denoiser on a CPU (signgen export).", "--backend"
    ),
}

NAMES: tuple[str, ...] = tuple(option.__metadata__[0].default for option in _TABLE.values())  # where Typer first has it


def with_sampling(preset: str = "--preset") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For a command with a parameter `sampling: dict`: it gets what was chosen, the options stand in its place.

    preset: the option's name, where the command has a --preset of another kind.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        chosen = _option(_PresetName, "Speed against quality: exact is the recipe's own.", preset)
        kinds = {"preset": chosen, **_TABLE}
        own = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for name, parameter in inspect.signature(command).parameters.items():
            if name == "sampling":
                kind = inspect.Parameter.KEYWORD_ONLY
                parameters += [
                    inspect.Parameter(f"sampling_{n}", kind, default=None, annotation=a) for n, a in kinds.items()
                ]
            else:
                parameters.append(parameter.replace(annotation=own[name]))

        @functools.wraps(command)
        def called(*args: Any, **given: Any) -> None:
            sampling = {name: given.pop(f"sampling_{name}", None) for name in kinds}
            if (cures := sampling["steady"]) is not None:
                sampling["steady"] = () if cures == "none" else tuple(cures.split(","))
            command(*args, **given, sampling=sampling)

        del called.__wrapped__  # Typer would read its signature
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return decorate
