"""Rows of numbers of a long clip in; the same rows out, kept by column, so that a number takes nine bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from signgen.metrics.means import Row

_ABSENT, _NONE, _WHOLE, _REAL = range(4)  # what a row has in a column: nothing, None, an int, a float


class _Column:
    """The values of one column: a number each, and what kind it is."""

    def __init__(self, missing: int) -> None:
        """missing: rows that came before this column."""
        self._numbers = array("d", bytes(8 * missing))
        self._kinds = bytearray(missing)

    def append(self, row: Row, name: str) -> None:
        value = row.get(name)
        missing = _NONE if name in row else _ABSENT
        self._numbers.append(0 if value is None else value)
        self._kinds.append(missing if value is None else _WHOLE if isinstance(value, int) else _REAL)

    def has(self, number: int) -> bool:
        return self._kinds[number] != _ABSENT

    def value(self, number: int) -> float | int | None:
        kind, value = self._kinds[number], self._numbers[number]
        return None if kind == _NONE else int(value) if kind == _WHOLE else value


class RowList(Sequence[Row]):
    """Rows in the order in which they were appended; one that is asked for is a view of its columns.

    Values are None, floats, and ints below 2^53, and come back as they were given. Keys come in the order in which
    columns were first seen.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._count = 0
        self.columns: dict[str, _Column] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Keep the numbers of a row."""
        for name in row:
            if name not in self.columns:
                self.columns[name] = _Column(self._count)
        for name, column in self.columns.items():
            column.append(row, name)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> list[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | list[Row]:
        if isinstance(number, slice):
            return [_View(self, n) for n in range(*number.indices(self._count))]
        return _View(self, range(self._count)[number])


class _View(Mapping[str, "float | int | None"]):
    """A row of a RowList."""

    __slots__ = ("_number", "_rows")

    def __init__(self, rows: RowList, number: int) -> None:
        self._rows, self._number = rows, number

    def __getitem__(self, name: str) -> float | int | None:
        column = self._rows.columns[name]
        if not column.has(self._number):
            raise KeyError(name)
        return column.value(self._number)

    def __iter__(self) -> Iterator[str]:
        return (name for name, column in self._rows.columns.items() if column.has(self._number))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))
