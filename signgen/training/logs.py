"""Logs of a run: scalars and pictures in; CSV and TensorBoard files out."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2

from signgen.files import make_folder


class RunLog:
    """One stage's log. Rows are flushed as they come, so an interrupted run keeps them."""

    def __init__(self, run: Path, stage: str, from_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.stage = stage
        self.board = SummaryWriter(str(run / "logs" / "tensorboard" / stage), purge_step=from_step)
        self._paths = {kind: run / "logs" / f"{stage}-{kind}.csv" for kind in ("train", "validation")}
        for path in self._paths.values():
            _drop_rows_from(path, from_step)

    def scalars(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Append a row to `logs/<stage>-<kind>.csv` and the scalars to TensorBoard."""
        path = self._paths[kind]
        new = not path.exists()
        with path.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *(f"{value:.6g}" for value in values.values())])
        for name, value in values.items():
            self.board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, step: int, path: Path) -> None:
        """Show a PNG in TensorBoard."""
        image = cv2.imread(str(path))
        if image is not None:
            self.board.add_image("samples", image[..., ::-1].copy(), step, dataformats="HWC")

    def close(self) -> None:
        """Flush TensorBoard."""
        self.board.close()


def _drop_rows_from(path: Path, step: int) -> None:
    """Remove rows at or after `step`, which a resumed run will write again."""
    if not path.exists():
        make_folder(path.parent)
        return
    with path.open(newline="") as handle:
        header, *rows = list(csv.reader(handle))
    kept = [row for row in rows if int(row[0]) < step]
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *kept])
