"""A comparison of runs in; the table that a paper prints, in Markdown or LaTeX, out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from signgen.metrics.directions import best_of, direction_of
from signgen.metrics.published import OTHER_CONDITIONS
from signgen.metrics.results import number_text

Style = Literal["markdown", "latex"]
_ARROWS = {
    "markdown": {"higher": " ↑", "lower": " ↓", "equal": " →", "truth": ""},
    "latex": {"higher": r" $\uparrow$", "lower": r" $\downarrow$", "equal": r" $\rightarrow$", "truth": ""},
}
_ESCAPED = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "@": "@"}


def paper_table(result: Mapping[str, Any], style: Style) -> str:
    """A row for each metric that the runs share, a column for each run: mean and 95 % interval; the best is bold.

    result: of `signgen.evaluation.compare.compare`. A dagger marks runs whose difference to the first one has an
    interval without 0. Lines below the table say how many frames, and what intervals are.
    """
    names = list(result["means"])
    rows = [[f"{_text(m, style)}{_arrow(m, style)}", *_cells(result, m, style)] for m in result["definitions"]]
    below = [
        f"{result['frames']} frames. In brackets: 95 % intervals of the mean. {_dagger(style)}: the difference to "
        f"{_text(names[0], style)} is not chance (its 95 % interval is without 0).",
        _text(str(result["protocol"]), style) + ".",
    ]
    head = ["metric", *(_text(name, style) for name in names)]
    tables = [_table(head, rows, below, style)]
    if result.get("published") is not None:
        tables.append(_published(result["published"], style))
    return "\n\n".join(tables)


def _published(shown: Mapping[str, Any], style: Style) -> str:
    """Own means in the columns of a paper's table, and what it states below them."""
    head = [_text(OTHER_CONDITIONS, style), *(_text(column, style) for column in shown["columns"])]
    own = [[_text(f"{name} (own)", style), *texts] for name, texts in shown["own"].items()]
    rows = [*own, *([_text(name, style), *texts] for name, texts in shown["published"].items())]
    below = [_text(f"{shown['title']}; {shown['source']}.", style), _text(shown["note"], style)]
    return _table(head, rows, below, style)


def _table(head: list[str], rows: list[list[str]], below: list[str], style: Style) -> str:
    return _markdown(head, rows, below) if style == "markdown" else _latex(head, rows, below)


def _cells(result: Mapping[str, Any], metric: str, style: Style) -> list[str]:
    best = best_of(metric, result["means"])
    cells = []
    for name, means in result["means"].items():
        text = number_text(metric, means[metric])
        text = _bold(text, style) if name in best else text
        interval = result["intervals"][name].get(metric)
        if interval is not None:
            text += f" [{number_text(metric, interval[0])}, {number_text(metric, interval[1])}]"
        found = result["differences"].get(name, {}).get(metric)
        cells.append(text + (_dagger(style) if found is not None and found["better"] is not None else ""))
    return cells


def _arrow(metric: str, style: Style) -> str:
    direction = direction_of(metric)
    if direction is None:
        return ""
    goal = f" {_text(f'{direction.goal:g}' if isinstance(direction.goal, float) else str(direction.goal), style)}"
    return _ARROWS[style][direction.kind] + (goal if direction.kind == "equal" else "")


def _bold(text: str, style: Style) -> str:
    return f"**{text}**" if style == "markdown" else rf"\textbf{{{text}}}"


def _dagger(style: Style) -> str:
    return "†" if style == "markdown" else r"$^\dagger$"


def _text(text: str, style: Style) -> str:
    if style == "markdown":
        return text.replace("|", r"\|")
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def _markdown(head: list[str], rows: list[list[str]], below: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *below])


def _latex(head: list[str], rows: list[list[str]], below: list[str]) -> str:
    body = [" & ".join(row) + r" \\" for row in rows]
    columns = "l" + "r" * (len(head) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}} % needs booktabs",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {line}" for line in below),
        ]
    )
