"""Rows kept by column are the rows that were given: kinds, gaps, order."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from signgen.files import write_json
from signgen.metrics.row_list import RowList

ROWS: list[dict[str, Any]] = [
    {"frame": 7, "ssim": 0.1 + 0.2, "hand_ssim": None},
    {"frame": 8, "ssim": 1.0, "hand_ssim": -0.5, "own_truth": 1},
    {"frame": 2**52 + 1, "ssim": 1, "hand_ssim": 0.0},
]


def test_rows_come_back_as_they_were_given() -> None:
    rows = RowList(ROWS)
    assert [dict(row) for row in rows] == ROWS
    assert list(rows) == ROWS
    assert json.dumps([dict(row) for row in rows]) == json.dumps(ROWS)  # 1 is not 1.0
    assert dict(rows[-1]) == ROWS[-1]
    assert rows[1:] == ROWS[1:]
    assert len(rows) == 3
    assert "own_truth" not in rows[0]
    assert rows[0].get("own_truth") is None
    assert len(rows[0]) == 3
    with pytest.raises(KeyError):
        rows[0]["own_truth"]
    with pytest.raises(IndexError):
        rows[3]


def test_a_file_of_views_is_the_file_of_their_rows(tmp_path: Path) -> None:
    for name, rows in (("a.json", list(RowList(ROWS))), ("b.json", ROWS)):
        write_json(tmp_path / name, {"per_frame": rows})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(TypeError, match="set"):
        write_json(tmp_path / "c.json", {1, 2})


def test_a_number_takes_nine_bytes() -> None:
    names = [f"metric{n}" for n in range(20)]
    tracemalloc.start()
    rows = RowList(dict.fromkeys(names, number + 0.5) for number in range(2000))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 12 * 2000 * len(names)  # arrays grow ahead by an eighth
    assert rows[1999]["metric19"] == 1999.5
