"""What became of the inputs, kind by kind: counted, kept in a JSON file between runs, printed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fuzz.work import Outcome

WHAT = ("read", "refused", "nothing", "violation")


@dataclass
class Row:
    """One kind's inputs. longest: seconds. grew: MB of resident memory, at most."""

    read: int = 0
    refused: int = 0
    nothing: int = 0
    violation: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    grew: int = 0

    def add(self, outcome: Outcome) -> None:
        setattr(self, outcome.what, getattr(self, outcome.what) + 1)
        self.longest = round(max(self.longest, outcome.seconds), 3)
        self.seconds = round(self.seconds + outcome.seconds, 4)
        self.grew = max(self.grew, outcome.grown >> 20)

    @property
    def files(self) -> int:
        return self.read + self.refused + self.nothing + self.violation


@dataclass
class Table:
    """asked: what decides the inputs. shards: those that are done. rows: by kind."""

    asked: dict[str, Any]
    shards: list[int] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def load(cls, path: Path | None, asked: dict[str, Any]) -> Table:
        """As it was left. Raises SystemExit for the table of another run."""
        if path is None or not path.exists():
            return cls(asked)
        kept = json.loads(path.read_text())
        if kept["asked"] != asked:
            raise SystemExit(f"{path} is the table of another run: {kept['asked']}; give another --table")
        rows = {name: Row(**row) for name, row in kept["rows"].items()}
        return cls(asked, kept["shards"], rows, kept["violations"], kept["seconds"])

    def save(self, path: Path | None) -> None:
        if path is not None:
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_text(json.dumps(asdict(self), indent=1))
            fresh.replace(path)

    def add(self, shard: int, outcomes: list[Outcome], seconds: float) -> None:
        """A shard that is done."""
        self.shards.append(shard)
        self.seconds += seconds
        for outcome in outcomes:
            self.rows.setdefault(outcome.kind, Row()).add(outcome)
            if outcome.what == "violation":
                self.violations.append(f"{outcome.number} {outcome.kind}: {outcome.detail}")

    def print(self) -> None:
        width = max(map(len, ("kind", *self.rows))) + 2
        print(f"{'kind':<{width}}" + "".join(f"{name:>10}" for name in ("files", *WHAT, "longest s", "grew MB", "ms")))
        for name, row in self.rows.items():
            counts = "".join(f"{n:>10}" for n in (row.files, row.read, row.refused, row.nothing, row.violation))
            mean = 1000 * row.seconds / max(row.files, 1)
            print(f"{name:<{width}}{counts}{row.longest:>10.2f}{row.grew:>10}{mean:>10.1f}")
        total = sum(row.files for row in self.rows.values())
        print(f"{total} files in {self.seconds:.0f} s, {len(self.violations)} violations")
        for line in self.violations[:60]:
            print(line)
