"""What a set of images or clips leaves in each process that scores a part of it, as states of torchmetrics.

A state says by its reduction how parts become the whole: `merge_state` joins parts that processes return, and under
torch.distributed `compute` gathers them by itself. Every process has a state of the same meaning, also one that has
scored nothing; it may then be smaller, and is filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from signgen.errors import SigngenError
from signgen.metrics.means import OWN_TRUTH, Row


class Accumulator(Metric):
    """A Metric whose parts may be empty, and whose tensors may have grown to different sizes."""

    full_state_update = False  # merge_state asks for it: states are sums, and no update needs what others have seen
    update_called = True  # an empty part is no mistake

    def __init__(self) -> None:
        super().__init__(compute_with_cache=False, dist_sync_fn=_gathered)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Take in another process's part, which stays as it is; sizes may differ."""
        other = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        pairs = {name: _filled([state, other[name]]) for name, state in self.metric_state.items()}
        for name, (own, _) in pairs.items():
            setattr(self, name, own)
        super().merge_state({name: theirs for name, (_, theirs) in pairs.items()})


class Accumulates(Protocol):
    """What scores a part of a set."""

    def states(self) -> Sequence[Metric]:
        """All that it keeps, in the same order in every process."""
        ...


def merge_states(whole: Accumulates, parts: Iterable[Accumulates]) -> None:
    """Take into `whole` what the others have scored."""
    for part in parts:
        for own, other in zip(whole.states(), part.states(), strict=True):
            own.merge_state(other)


class RowTable(Accumulator):
    """A row of numbers for each item of a set, float64 (total, columns); a sum, since others have zeros there.

    whole: columns of whole numbers.
    """

    values: torch.Tensor
    scored: torch.Tensor

    def __init__(self, total: int, columns: Sequence[str], whole: Iterable[str] = ()) -> None:
        super().__init__()
        self.columns, self._whole = tuple(columns), {OWN_TRUTH, *whole}
        self.add_state("values", torch.zeros(total, len(self.columns), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("scored", torch.zeros(total, dtype=torch.int64), dist_reduce_fx="sum")

    def __getstate__(self) -> dict[str, Any]:
        """The rows that were scored alone: of a set of 64,627 frames each of eight processes would send all of it."""
        state = super().__getstate__()
        numbers = torch.nonzero(self.scored)[:, 0]
        rows = (len(self.scored), numbers, self.values[numbers], self.scored[numbers])
        return {**state, "values": None, "scored": None, "_defaults": {}, "_rows": rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        total, numbers, values, scored = state.pop("_rows")
        whole = {"values": torch.zeros(total, values.shape[1], dtype=torch.float64)}
        whole["scored"] = torch.zeros(total, dtype=torch.int64)
        super().__setstate__({**state, **whole, "_defaults": {name: rows.clone() for name, rows in whole.items()}})
        self.values[numbers], self.scored[numbers] = values, scored

    def update(self, number: int, row: Mapping[str, Any]) -> None:
        """Row `number` of the set; a column that it lacks is None."""
        given = [row.get(column) for column in self.columns]
        assert not any(value is not None and value != value for value in given), f"row {number} has NaN: {row}"
        self.values[number] = torch.tensor([np.nan if value is None else value for value in given], dtype=torch.float64)
        self.scored[number] += 1

    def compute(self) -> dict[int, Row]:
        """The rows that were scored, by their number, ascending. A row says OWN_TRUTH only where it is so.

        Raises SigngenError for one that was scored twice.
        """
        if len(twice := torch.nonzero(self.scored > 1)):
            raise SigngenError(f"row {int(twice[0])} of the set was scored twice", expected="parts that do not overlap")
        numbers = torch.nonzero(self.scored)[:, 0].tolist()
        return {
            number: {
                column: None if value != value else int(value) if column in self._whole else value
                for column, value in zip(self.columns, values, strict=True)
                if column != OWN_TRUTH or value == 1
            }
            for number, values in zip(numbers, self.values[numbers].tolist(), strict=True)
        }


class Texts(Accumulator):
    """Lines of text, each once: their UTF-8 bytes, one part after the other."""

    written: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("written", torch.zeros(0, dtype=torch.uint8), dist_reduce_fx=torch.flatten)

    def update(self, line: str) -> None:
        """A line that has no line end in it."""
        if line not in self._lines():
            added = torch.frombuffer(bytearray(f"{line}\n".encode()), dtype=torch.uint8)
            self.written = torch.cat([self.written, added])

    def compute(self) -> list[str]:
        """All lines, sorted."""
        return sorted(self._lines())

    def _lines(self) -> set[str]:
        text = bytes(self.written.tolist()).replace(b"\0", b"").decode()  # zeros filled up a shorter part
        return set(text.splitlines())


def _gathered(state: torch.Tensor, group: Any = None) -> list[torch.Tensor]:
    return _filled(gather_all_tensors(state, group))


def _filled(parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """All of the size of the largest, zeros being added at the end of every dimension."""
    shape = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
    return [
        F.pad(part, [n for side in reversed(range(part.ndim)) for n in (0, shape[side] - part.shape[side])])
        for part in parts
    ]
