"""Lets torchvision's CUDA wheel import over a CPU-only torch; reads nothing, returns nothing.

The wheel in the public index is built against CUDA. Over a CPU-only torch its `_C` library does not load, the operators
that its `_meta_registrations.py` refers to do not exist, and `import torchvision` fails, and with it diffusers,
transformers, torchmetrics and lpips. Declaring those operators' names first is enough: `torchvision.models` and
`.transforms` then work; the operators themselves (`nms`, `roi_*`) still do not, and nothing in signgen calls them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_OPERATOR = re.compile(r'register_meta\("(\w+)"|register_fake\("torchvision::(\w+)"')
_libraries: list[object] = []  # torch.library.Library removes its operators when it is garbage-collected


class _BeforeTorchvision(MetaPathFinder):
    """Finds nothing; declares the operators at the moment torchvision is first imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            _declare_missing_operators()
        return None


def install_operator_schemas() -> None:
    """Register the finder, unless torchvision is already imported. Costs microseconds and imports no torch."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _BeforeTorchvision) for f in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


def _declare_missing_operators() -> None:
    """Declare every operator that torchvision registers a shape function for, where its own library cannot."""
    import torch

    spec = PathFinder.find_spec("torchvision")
    if torch.version.cuda is not None or spec is None or not spec.submodule_search_locations:
        return
    folder = Path(next(iter(spec.submodule_search_locations)))
    registrations = folder / "_meta_registrations.py"
    if _native_library_loads(folder) or not registrations.is_file():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for names in set(_OPERATOR.findall(registrations.read_text(encoding="utf-8"))):
        # The signature is never used: without a kernel the operator cannot be called.
        library.define(f"{''.join(names)}(Tensor input) -> Tensor")
    _libraries.append(library)


def _native_library_loads(folder: Path) -> bool:
    """True if torchvision's compiled operators load into this torch (then they declare themselves)."""
    import torch

    libraries = [path for ending in ("so", "pyd", "dylib") for path in folder.glob(f"_C*.{ending}")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)
