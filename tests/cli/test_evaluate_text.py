"""`signgen evaluate-text`: every form of file, names matched, a recogniser of the test's own, one line per refusal."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.line import Command

TEXTS = {"clip1": "regen im norden", "clip2": "am tag sonne", "clip10": "es wird kalt"}


def as_text(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("\n".join(texts.values()) + "\n", encoding="utf-8")
    return path


def as_json(path: Path, texts: dict[str, str]) -> Path:
    path.write_text(json.dumps(texts), encoding="utf-8")
    return path


def as_csv(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("name,text\n" + "".join(f'{k},"{v}"\n' for k, v in texts.items()), encoding="utf-8")
    return path


def as_phoenix(path: Path, texts: dict[str, str]) -> Path:
    rows = [f'{name}|{name}/1/*.png|-1|-1|Signer01|"{name.upper()} X|{text}\n' for name, text in texts.items()]
    path.write_text("name|video|start|end|speaker|orth|translation\n" + "".join(rows), encoding="utf-8")
    return path


def mean(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())["mean"]


@pytest.mark.parametrize("write", [as_json, as_csv, as_phoenix])
def test_named_texts_in_any_order_and_form(command: Command, tmp_path: Path, write) -> None:
    references = write(tmp_path / "references", TEXTS)
    shuffled = dict(reversed(TEXTS.items())) | {"clip2": "am tag regen"}
    output = command.works("evaluate-text", as_json(tmp_path / "h.json", shuffled), references, "--out", tmp_path / "r")
    assert mean(tmp_path / "r")["rouge_l"] == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)
    assert "3 texts" in output
    assert "rouge_l   88.89" in output
    rows = (tmp_path / "r" / "per_frame.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == list(TEXTS)


def test_lines(command: Command, tmp_path: Path) -> None:
    one, other = as_text(tmp_path / "a.txt", TEXTS), as_text(tmp_path / "b.txt", TEXTS)
    command.works("evaluate-text", one, other, "--out", tmp_path / "r")
    assert mean(tmp_path / "r")["rouge_l"] == 100


def test_a_column_of_glosses(command: Command, tmp_path: Path) -> None:
    references = as_phoenix(tmp_path / "corpus.csv", TEXTS)
    glosses = as_json(tmp_path / "h.json", {name: f'"{name.upper()} X' for name in TEXTS})
    command.works("evaluate-text", glosses, references, "--out", tmp_path / "r", "--column", "orth")
    assert mean(tmp_path / "r")["rouge_l"] == 100
    line = command.refuses("evaluate-text", glosses, references, "--out", tmp_path / "r", "--column", "gloss")
    assert "expected a column gloss" in line


def test_refusals(command: Command, tmp_path: Path) -> None:
    references = as_json(tmp_path / "references.json", TEXTS)
    few = as_csv(tmp_path / "few.csv", {"clip1": "regen"})
    many = as_json(tmp_path / "many.json", TEXTS | {"clip3": "x"})
    lines = as_text(tmp_path / "lines.txt", TEXTS)
    for name, content in (("empty.txt", ""), ("bad.json", '{"a": '), ("list.json", '{"a": ["x"]}')):
        (tmp_path / name).write_text(content)
    (tmp_path / "twice.csv").write_text("name,text\na,x\na,y\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    silent = as_json(tmp_path / "silent.json", TEXTS | {"clip2": " "})
    for hypotheses, message in (
        (few, "no text for clip2 and 1 more of"),
        (many, "references.json: no text for clip3"),
        (lines, "lines.txt has lines"),
        (tmp_path / "empty.txt", "no texts"),
        (tmp_path / "bad.json", "damaged JSON"),
        (tmp_path / "list.json", "a is list"),
        (tmp_path / "twice.csv", "two texts for a"),
        (tmp_path / "binary", "cannot be read"),
        (tmp_path / "none.txt", "cannot be read"),
    ):
        assert message in command.refuses("evaluate-text", hypotheses, references, "--out", tmp_path / "r")
    assert "the text of clip2 is empty" in command.refuses("evaluate-text", references, silent, "--out", tmp_path / "r")
    short = as_text(tmp_path / "short.txt", {"a": "b"})
    assert "no text for line 2 and 1 more" in command.refuses("evaluate-text", short, lines, "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Files with names of videos that hold what is signed in them."""
    (tmp_path / "videos").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "videos" / f"{name}.mp4").write_text(text)
    (tmp_path / "videos" / "notes.txt").write_text("no video")
    return tmp_path / "videos"


def recogniser(code: str) -> str:
    """A command whose program is `code`, in which `path` is the video's."""
    program = f"import sys, pathlib; path = pathlib.Path(sys.argv[1]); {code}"
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {{video}}"


def test_a_recogniser(command: Command, videos: Path, tmp_path: Path) -> None:
    references = as_csv(tmp_path / "references.csv", TEXTS)
    code = "print('log', file=sys.stderr); print(path.read_text())"
    call = ("evaluate-text", videos, references, "--out", tmp_path / "r")
    output = command.works(*call, "--recogniser", recogniser(code))
    assert mean(tmp_path / "r")["rouge_l"] == 100
    assert "hypotheses.json" in output
    assert json.loads((tmp_path / "r" / "hypotheses.json").read_text()) == TEXTS
    command.works(*call, "--recogniser", recogniser("path.stem == 'clip2' or print(path.read_text())"))
    assert mean(tmp_path / "r")["rouge_l"] == pytest.approx(200 / 3)


def test_a_recogniser_that_fails_later_keeps_what_it_understood(command: Command, videos: Path, tmp_path: Path) -> None:
    references = as_csv(tmp_path / "references.csv", TEXTS)
    code = "path.stem == 'clip10' and sys.exit('no more'); print(path.read_text())"
    words = ("evaluate-text", videos, references, "--out", tmp_path / "r", "--recogniser", recogniser(code))
    called = command(*words)
    assert called.code == 2
    assert "clip10.mp4: no more" in called.err
    path = tmp_path / "r" / "hypotheses.json"
    assert called.out == f"wrote {path}: 2 of 3 hypotheses\n"
    assert json.loads(path.read_text()) == {name: TEXTS[name] for name in ("clip1", "clip2")}


def test_a_recogniser_that_fails(command: Command, videos: Path, tmp_path: Path) -> None:
    references = as_csv(tmp_path / "references.csv", TEXTS)
    call = ("evaluate-text", videos, references, "--out", tmp_path / "r", "--recogniser")
    line = command.refuses(*call, recogniser("sys.exit('no model')"))
    assert "ended with exit code 1 on" in line
    assert "clip1.mp4: no model" in line
    assert "wrote 2 lines" in command.refuses(*call, recogniser("print('a\\nb')"))
    slow = recogniser("import time; time.sleep(60)")
    assert "more than 0.2 s" in command.refuses(*call, slow, "--time-limit", 0.2)
    assert "did not run" in command.refuses(*call, "/no/such/program {video}")
    assert "{video} where" in command.refuses(*call, "recognise")
    assert "No closing quotation" in command.refuses(*call, "recognise '{video}")
    assert "no such folder" in command.refuses(call[0], tmp_path / "x", *call[2:], "recognise {video}")
    (videos / "clip3.mp4").write_text("x")
    assert "references.csv: no text for clip3" in command.refuses(*call, recogniser("pathlib.Path('ran').touch()"))
    assert not (tmp_path / "r").exists()


def test_there_are_as_many_lines_as_newlines(command: Command, tmp_path: Path) -> None:
    """Nothing was understood of the last clip, and of the second: empty lines, which keep the others in their place."""
    references = as_text(tmp_path / "references.txt", {"1": "a b", "2": "c", "3": "d"})
    understood = tmp_path / "understood.txt"
    understood.write_bytes(b"a b\r\n\r\n\r\n")
    assert "3 texts" in command.works("evaluate-text", understood, references, "--out", tmp_path / "r")
    rows = (tmp_path / "r" / "per_frame.csv").read_text().splitlines()
    assert len(rows) == 4
    understood.write_bytes("a b\u2028c\n\nd".encode())  # a line separator is no newline; the last line needs none
    assert "3 texts" in command.works("evaluate-text", understood, references, "--out", tmp_path / "r")
    understood.write_bytes(b"a b\n\n")
    assert "no text for line 3" in command.refuses("evaluate-text", understood, references, "--out", tmp_path / "r")


def test_letters_are_equal_however_they_are_written(command: Command, tmp_path: Path) -> None:
    whole, apart = "gr\u00fc\u00dfe", "gru\u0308\u00dfe"
    references = as_json(tmp_path / "references.json", {f"clip {whole}": f"{whole} euch"})
    understood = as_json(tmp_path / "h.json", {f"clip {apart}": f"{apart} euch"})
    output = command.works("evaluate-text", understood, references, "--out", tmp_path / "r")
    assert mean(tmp_path / "r")["rouge_l"] == 100
    assert f"note: {understood}: letters written as a base and a mark were composed" in output
