"""Published figures as data: held against each other, shown beside one's own, and refused where the name is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from signgen.errors import MetricsError
from signgen.metrics.directions import DIRECTIONS
from signgen.metrics.published import beside, published_table, published_tables
from tests.evaluation.test_compare import clip_result, written
from tests.line import Command


@pytest.mark.parametrize("name", published_tables())
def test_every_row_has_a_number_or_none_for_every_column(name: str) -> None:
    table = published_table(name)
    assert table.title
    assert table.source
    assert table.note
    assert {len(values) for values in table.rows.values()} == {len(table.scores)}
    assert all(v is None or v > 0 for values in table.rows.values() for v in values)
    assert {metric for names in table.scores.values() for metric in names} <= DIRECTIONS.keys()


def test_the_ablation_ends_in_the_main_table_and_its_b1_does_not() -> None:
    main, ablation = published_table("deepfashion-256x176").rows, published_table("deepfashion-ablation").rows
    assert ablation["RePoseDM"] == main["RePoseDM"]
    assert ablation["B1"] != main["PIDM"]  # the paper calls B1 "PIDM only": spec and note say that they disagree


def test_better_methods_came_later_in_table_1() -> None:
    """A digit that was copied wrong would most likely break an order that the paper claims: RePoseDM first."""
    for name in ("deepfashion-256x176", "deepfashion-512x352", "market-128x64"):
        rows = published_table(name).rows
        for column, best in enumerate((min, max, min)):
            values = {method: row[column] for method, row in rows.items()}
            assert best(values, key=lambda method: values[method] or 0) == "RePoseDM"


def test_own_numbers_stand_in_the_papers_columns() -> None:
    own = {"model": {"ssim_256": 0.7312, "fid_train": 7.5, "psnr": 20.0}}
    shown = beside(published_table("deepfashion-256x176"), own)
    assert shown["own"] == {"model": ["7.50", "0.731", "-"]}  # no LPIPS of its own; PSNR is not in that table
    assert shown["names"] == {"FID": "fid_train", "SSIM": "ssim_256"}
    assert shown["published"]["PIDM"] == ["6.3671", "0.7312", "0.1678"]
    assert beside(published_table("perception"), own)["published"]["RePoseDM"] == ["-", "62", "82"]


def test_an_unknown_table_is_refused_with_all_names() -> None:
    with pytest.raises(MetricsError, match=r"no published table 'market'.*market-128x64"):
        published_table("market")


def test_compare_shows_them_on_the_page_in_print_and_in_a_papers_table(tmp_path: Path, command: Command) -> None:
    a = written(tmp_path / "a.json", clip_result(range(20)))
    b = written(tmp_path / "b.json", clip_result(range(20), 0.02))
    printed = command.works("compare", a, b, "--published", "phoenix", "--out", tmp_path / "out")
    assert "published, other conditions" in printed
    assert "SignViP" in printed
    assert "b (own)" in printed
    result = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert result["published"]["own"]["b"][0] == f"{result['means']['b']['ssim']:.3f}"
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "Published, other conditions" in page
    assert "they do not compare" in page
    lines = command.works("compare", a, b, "--markdown", "--published", "phoenix").splitlines()
    assert "| FPDM | 0.864 | - | - | - |" in lines
    latex = command.works("compare", a, b, "--latex", "--published", "phoenix")
    assert r"FPDM & 0.864 & - & - & - \\" in latex
    assert latex.count(r"\begin{tabular}") == 2
    assert "no published table 'nowhere'" in command.refuses("compare", a, b, "--published", "nowhere")


def test_a_table_of_many_columns_is_turned_so_that_no_number_is_cut(tmp_path: Path, command: Command) -> None:
    a, b = (written(tmp_path / f"{n}.json", clip_result(range(20), s)) for n, s in (("a", 0.0), ("b", 0.02)))
    lines = command.works("compare", a, b, "--published", "phoenix-signrefine").splitlines()
    row = next(line.split() for line in lines if "right hand MPJPE" in line)
    assert row[-4:] == ["-", "-", "4.58", "10.3"]
    assert "…" not in "".join(lines)


def test_without_the_option_nothing_is_shown(tmp_path: Path, command: Command) -> None:
    a, b = (written(tmp_path / f"{n}.json", clip_result(range(20), s)) for n, s in (("a", 0.0), ("b", 0.02)))
    command.works("compare", a, b, "--out", tmp_path / "out")
    assert "ublished" not in (tmp_path / "out" / "compare.html").read_text().split("</style>")[1]


def test_the_documentation_lists_every_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    assert [name for name in published_tables() if f"`{name}`" not in page] == []


def test_the_page_on_protocols_has_every_row_of_the_papers_tables() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    for name in ("deepfashion-256x176", "deepfashion-512x352", "market-128x64", "deepfashion-ablation"):
        for method, values in published_table(name).rows.items():
            numbers = " / ".join(f"{value:g}" for value in values if value is not None)
            assert re.search(rf"^\| {method}\b.*\| {numbers} \|", page, re.MULTILINE), (name, method)
