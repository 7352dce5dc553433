"""signgen: photo-realistic signers from keypoints.

The library behind the commands: each function takes a request and an optional progress object (progress.py), returns
a result with notes, and prints nothing. They are imported when they are first used: `import signgen` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from signgen._torchvision import install_operator_schemas

__version__ = "0.2.0"

install_operator_schemas()

_OFFERED = {
    "signgen.pairs.build": ("BuildPairsRequest", "BuiltPairs", "build_pairs"),
    "signgen.training.run": ("TrainRequest", "TrainResult", "train"),
    "signgen.evaluation.render": ("RenderRequest", "RenderResult", "render"),
    "signgen.evaluation.render_set": ("RenderSetRequest", "RenderSetResult", "render_set"),
    "signgen.evaluation.clip": ("ClipRequest", "ClipResult", "evaluate_clip"),
    "signgen.evaluation.images": ("ImagesRequest", "ImagesResult", "evaluate_images"),
    "signgen.evaluation.model": ("ModelRequest", "ModelResult", "evaluate_model"),
}
_MODULE_OF = {name: module for module, names in _OFFERED.items() for name in names}

if TYPE_CHECKING:
    from signgen.evaluation.clip import ClipRequest, ClipResult, evaluate_clip
    from signgen.evaluation.images import ImagesRequest, ImagesResult, evaluate_images
    from signgen.evaluation.model import ModelRequest, ModelResult, evaluate_model
    from signgen.evaluation.render import RenderRequest, RenderResult, render
    from signgen.evaluation.render_set import RenderSetRequest, RenderSetResult, render_set
    from signgen.pairs.build import BuildPairsRequest, BuiltPairs, build_pairs
    from signgen.training.run import TrainRequest, TrainResult, train

__all__ = [
    "BuildPairsRequest",
    "BuiltPairs",
    "ClipRequest",
    "ClipResult",
    "ImagesRequest",
    "ImagesResult",
    "ModelRequest",
    "ModelResult",
    "RenderRequest",
    "RenderResult",
    "RenderSetRequest",
    "RenderSetResult",
    "TrainRequest",
    "TrainResult",
    "__version__",
    "build_pairs",
    "evaluate_clip",
    "evaluate_images",
    "evaluate_model",
    "render",
    "render_set",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import one of the functions and classes above when it is asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
