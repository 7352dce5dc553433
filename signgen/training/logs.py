"""Logs of a run: scalars and pictures in; CSV and TensorBoard files out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2

from signgen.errors import ModelError, RecipeError
from signgen.files import atomic_path, make_folder


class RunLog:
    """One stage's log. Rows are flushed as they come, so an interrupted run keeps them.

    wandb: a project of Weights & Biases that gets the same scalars and pictures; None: none.
    """

    def __init__(self, run: Path, stage: str, from_step: int, wandb: str | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.stage = stage
        self._paths = {kind: run / "logs" / f"{stage}-{kind}.csv" for kind in ("train", "validation")}
        for path in self._paths.values():
            _drop_rows_from(path, from_step)
        self._wandb = _wandb_run(wandb, run, stage) if wandb else None
        self.board = SummaryWriter(str(run / "logs" / "tensorboard" / stage), purge_step=from_step)

    def scalars(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Append a row to `logs/<stage>-<kind>.csv` and the scalars to TensorBoard."""
        path = self._paths[kind]
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *(f"{value:.6g}" for value in values.values())])
        for name, value in values.items():
            self.board.add_scalar(f"{kind}/{name}", value, step)
        if self._wandb is not None:
            self._wandb.log({f"{self.stage}/{kind}/{name}": value for name, value in values.items()}, step=step)

    def picture(self, step: int, path: Path) -> None:
        """Show a PNG in TensorBoard."""
        image = cv2.imread(str(path))
        if image is not None:
            self.board.add_image("samples", image[..., ::-1].copy(), step, dataformats="HWC")

    def close(self) -> None:
        """Flush TensorBoard, and end the run of Weights & Biases."""
        self.board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _wandb_run(project: str, run: Path, stage: str) -> Any:
    """A run of that project, which a resumed one goes on with. Raises RecipeError where the package is missing."""
    try:
        import wandb
    except ImportError as error:
        raise RecipeError("training.wandb needs Weights & Biases", fix="pip install wandb") from error
    name = f"{run.resolve().name}-{stage}"
    return wandb.init(project=project, name=name, id=name, dir=str(run / "logs"), resume="allow")


def _drop_rows_from(path: Path, step: int) -> None:
    """Remove rows at or after `step`, which a resumed run will write again. Raises ModelError for a damaged log."""
    if not path.exists():
        make_folder(path.parent)
        return
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            header, *rows = list(csv.reader(handle))
        kept = [row for row in rows if int(row[0]) < step]
    except (OSError, ValueError, IndexError, csv.Error) as error:
        found, fix = f"{path}: not the log of a stage ({error})", "move it away; the run goes on without its old rows"
        raise ModelError(found, fix=fix) from error
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([header, *kept])
