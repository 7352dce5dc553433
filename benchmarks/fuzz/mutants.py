"""A sound file or folder in, a damaged copy out: by its bytes, or within what its kind packs them into."""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.bytewise import mutate

CALLS = ("os", "system"), ("subprocess", "check_call"), ("builtins", "exec"), ("importlib", "import_module")
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    7,
    0.5,
    -0.5,
    1e308,
    1e-300,
    2**31,
    2**63,
    10**30,
    float("nan"),
)
_ODD += (
    float("inf"),
    "",
    "x",
    "..",
    "../../x",
    "/etc/passwd",
    "\0",
    "é" * 300,
    "1",
    "nan",
    "a\nb",
    [],
    {},
    [[]],
    [None],
)
_ODD += (
    {"": None},
    {"__class__": "x"},
    ["torch", "load"],
    ["os", "system"],
    [1, "x"],
    "2024-99-99",
    "val",
    "test",
    64,
)


def write_mutant(seed: Path, other: bytes, target: Path, rng: random.Random, pattern: str = "*") -> Path:
    """`seed` damaged to `target`; of a folder, one or two of its files that fit `pattern`. Returns `target`."""
    if not seed.is_dir():
        shutil.copy(seed, target)
        _damage(target, other, rng)
        return target
    shutil.copytree(seed, target)
    files = [path for path in sorted(target.rglob(pattern)) if path.is_file()]
    for path in rng.sample(files, min(len(files), rng.choice((1, 1, 1, 2)))):
        _damage(path, other, rng)
    return target


def _damage(path: Path, other: bytes, rng: random.Random) -> None:
    path.chmod(0o644)
    data = path.read_bytes()
    within = next((change for fits, change in _WITHIN if fits(path, data)), None)
    if within is not None and rng.random() < 0.65:
        try:
            path.write_bytes(within(data, other, rng))
            return
        except (ValueError, KeyError, TypeError, IndexError, OverflowError, zlib.error):
            pass  # it cannot be taken apart, or put together again: by its bytes, then
    path.write_bytes(mutate(data, other, rng))


def _within_gzip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return gzip.compress(mutate(gzip.decompress(data), other, rng), 1)


def _within_zip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One member mutated, its checksum right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as packed:
        names = source.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = source.read(name)
            if name == chosen and name.endswith("data.pkl") and rng.random() < 0.3:
                content = calling_pickle(rng)
            elif name == chosen:
                content = mutate(content, other, rng)
            packed.writestr(name, content)
    return out.getvalue()


def calling_pickle(rng: random.Random) -> bytes:
    """A pickle that calls something as soon as it is read."""
    module, name = rng.choice(CALLS)
    return f"c{module}\n{name}\n(S'true'\ntR.".encode()


def _within_pickle(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return calling_pickle(rng) + data if rng.random() < 0.1 else mutate(data, other, rng)


def _within_json(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return json.dumps(change_tree(json.loads(data), rng)).encode()


def _within_yaml(data: bytes, other: bytes, rng: random.Random) -> bytes:
    import yaml

    return yaml.safe_dump(change_tree(yaml.safe_load(data), rng), allow_unicode=True).encode()


def change_tree(tree: Any, rng: random.Random) -> Any:
    """One to three values of nested lists and mappings replaced, left out, renamed, repeated or exchanged."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return rng.choice(_ODD)
        holder, key = rng.choice(places)
        _change(holder, key, rng, places)
    return tree if rng.random() < 0.98 else rng.choice(_ODD)


def _places(tree: Any) -> Any:
    """(holder, key or index), at most the first few thousand."""
    waiting = [tree]
    for holder in waiting:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            yield holder, key
            if len(waiting) < 3000 and isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])


def _change(holder: Any, key: Any, rng: random.Random, places: list[tuple[Any, Any]]) -> None:
    kind = rng.choice(("odd", "odd", "odd", "out", "rename", "repeat", "exchange", "deep", "scale"))
    value = holder[key]
    if kind == "odd":
        holder[key] = rng.choice(_ODD)
    elif kind == "out":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        holder[rng.choice((f"{key}x", "", "name", str(key)[:-1]))] = holder.pop(key)
    elif kind == "repeat" and isinstance(value, list):
        holder[key] = value * rng.choice((2, 50))
    elif kind == "exchange":
        there, at = rng.choice(places)
        there_value = there[at] if (at in there if isinstance(there, dict) else at < len(there)) else None
        holder[key] = json.loads(json.dumps(there_value, default=str))
    elif kind == "deep":
        holder[key] = [value, [value]] if rng.random() < 0.5 else {"x": value}
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        holder[key] = rng.choice((value * 3, -value, value + 1, value * 1e6, str(value), float(value)))


def _within_safetensors(data: bytes, other: bytes, rng: random.Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    if rng.random() < 0.3:
        body = mutate(body, other, rng)
    else:
        header = change_tree(header, rng)
    packed = json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + body


def _within_png(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One chunk mutated, its checksum right; of IHDR often the size."""
    at, chunks = 8, []
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    chosen = rng.randrange(len(chunks))
    name, content = chunks[chosen]
    if name == b"IHDR" and rng.random() < 0.5:
        content = struct.pack(">II", *(rng.choice((0, 1, 60_000, 2**20, 2**31 - 1)) for _ in "wh")) + content[8:]
    elif name == b"IDAT" and rng.random() < 0.5:
        content = zlib.compress(mutate(zlib.decompress(content), other, rng))
    else:
        content = mutate(content, other, rng)
    chunks[chosen] = (name, content)
    packed = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return data[:8] + b"".join(packed)


def _within_parquet(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The table read, changed and written again: columns, types, rows, values, or its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data), use_threads=False)
    kind = rng.choice(("value", "value", "value", "column", "rows", "metadata", "type"))
    name = rng.choice(table.column_names)
    try:
        if kind == "value":
            rows = table.to_pylist()
            for _ in range(rng.choice((1, 3, len(rows)))):
                rng.choice(rows)[name] = rng.choice(_ODD)
            table = pa.Table.from_pylist(rows, metadata=table.schema.metadata)
        elif kind == "column":
            table = table.drop_columns([name]) if rng.random() < 0.5 else table.append_column("x", table.column(name))
        elif kind == "rows":
            table = (
                table.slice(0, rng.randrange(len(table) + 1)) if rng.random() < 0.5 else pa.concat_tables([table] * 3)
            )
        elif kind == "metadata":
            table = table.replace_schema_metadata(rng.choice((None, {"fingerprint": "["}, {"fingerprint": "[" * 9000})))
        else:
            at = table.column_names.index(name)
            wanted = rng.choice((pa.string(), pa.float64(), pa.int8(), pa.large_string(), pa.binary()))
            table = table.set_column(at, name, table.column(name).cast(wanted))
        out = io.BytesIO()
        pq.write_table(table, out)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return out.getvalue()


def _suffix(*suffixes: str) -> Callable[[Path, bytes], bool]:
    return lambda path, data: path.suffix in suffixes


def _begins(*heads: bytes) -> Callable[[Path, bytes], bool]:
    return lambda path, data: data.startswith(heads)


_WITHIN: tuple[tuple[Callable[[Path, bytes], bool], Callable[[bytes, bytes, random.Random], bytes]], ...] = (
    (_begins(b"\x1f\x8b"), _within_gzip),
    (_begins(b"PK"), _within_zip),
    (_begins(b"PAR1"), _within_parquet),
    (_begins(b"\x89PNG"), _within_png),
    (_suffix(".safetensors"), _within_safetensors),
    (_suffix(".json"), _within_json),
    (_suffix(".yaml"), _within_yaml),
    (_suffix(".pkl", ".pt", ".pth"), _within_pickle),
)
