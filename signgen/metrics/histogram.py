"""Counts of cosine similarities, of any number of them, from any number of processes."""

from __future__ import annotations

import torch

from signgen.metrics.accumulate import Accumulator

BINS = 200


class Histogram(Accumulator):
    """Counts of cosine similarities in BINS equal bins over [-1, 1], and their sum."""

    counts: torch.Tensor
    total: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(BINS, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(1, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, similarities: torch.Tensor) -> None:
        """Take in a tensor of any shape; what is far below -1 is left out."""
        there = similarities.flatten().clamp(max=1.0)
        self.counts += torch.histc(there, BINS, -1.0, 1.0).long().cpu()
        self.total += float(torch.where(there >= -2, there, 0.0).sum())

    def compute(self) -> tuple[list[int], float | None]:
        """The counts and the mean, None where there are none."""
        count = int(self.counts.sum())
        return self.counts.tolist(), float(self.total) / count if count else None
