"""Reading: whatever a damaged file makes a library raise is an OSError or a ValueError of the one place that reads."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from signgen.files import read_csv, read_json, read_tensors, read_yaml, there_is

DEEP = "[" * 100_000
BAD_JSON = ("", "{", DEEP, "[NaN]", "[-Infinity]", "[1e999]", f"[{'9' * 5000}]")
BAD_YAML = ("a: [", DEEP, "a: 2024-99-99", "!!int ''", "!!timestamp x", "? {a: [b]}\n: c", f"a: {'9' * 5000}", "\0")


@pytest.mark.parametrize("text", BAD_JSON)
def test_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        read_json(path)
    path.write_text('{"a": [1, 2.5, null]}')
    assert read_json(path) == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("text", BAD_YAML)
def test_yaml(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        read_yaml(path)
    path.write_text("a: [1, 2.5, ~]")
    assert read_yaml(path) == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("content", [b"a|b\n\xff|2\n", b"a|b\n" + b"x" * (csv.field_size_limit() + 1) + b"|2\n"])
def test_csv(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_csv(path, delimiter="|")
    path.write_bytes(b"\xef\xbb\xbfa|b\n1\n1|2|3\n")
    columns, rows = read_csv(path, delimiter="|")
    assert columns == ["a", "b"]
    assert [(row["a"], row["b"]) for row in rows] == [("1", ""), ("1", "2")]


@pytest.mark.parametrize("new", [True, False])
def test_tensors(new: bool, tmp_path: Path) -> None:
    """Cut anywhere, and with a pickle in it that calls something."""
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    assert read_tensors(path)["a"].tolist() == [1, 1, 1]
    for content in (*(whole[:size] for size in range(0, len(whole) - 8, 37)), b"cos\nsystem\n(S'true'\ntR."):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"."):
            read_tensors(path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "not-there"])
def test_what_no_file_can_be_called_is_not_there(name: str, tmp_path: Path) -> None:
    assert not there_is(tmp_path / name)
    assert there_is(tmp_path)
