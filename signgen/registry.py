"""Classes that a recipe names: each is registered where it is defined, and found by its name.

A recipe is checked against the names without a second list of them. Importing this module is light; the module that
defines the classes is imported when a name is first looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


class Registry(MutableMapping[str, Any]):
    """Name -> class, for classes that have a class attribute `name`. home: the module that defines signgen's own."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._classes: dict[str, Any] = {}

    def register(self, cls: Class) -> Class:
        """Class decorator: put the class under its `name`."""
        self._classes[cls.name] = cls  # type: ignore[attr-defined]
        return cls

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __setitem__(self, name: str, cls: Any) -> None:
        self._all()[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Any]:
        import_module(self._home)
        return self._classes


# Condition providers (signgen.models.conditions.Condition), by the kind that a recipe's `conditions` name.
PROVIDERS = Registry(home="signgen.models.conditions")
