"""RePoseDM's pose interaction field in training: a batch's predictions and keypoints in; what its poses cost, out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from signgen.config import PosePenalty
from signgen.models.heat_maps import PoseNetwork
from signgen.models.pipeline import SignerPipeline
from signgen.models.pose_field import PoseField
from signgen.models.pose_guidance import correction, to_prediction
from signgen.models.variance import clean_estimate

LITERAL = "literal"


@dataclass(frozen=True)
class PenaltyOf:
    """Of a batch: output, noisy (B, C, h, w), timestep (B,), base as the pipeline has it, or None."""

    pipeline: SignerPipeline
    judge: PoseNetwork
    settings: PosePenalty
    output: torch.Tensor
    noisy: torch.Tensor
    timestep: torch.Tensor
    base: torch.Tensor | None

    def loss(self, points: torch.Tensor) -> torch.Tensor:
        """(): the mean over the batch of alpha_bar_t G(Dec(x_0)), 0 for samples above the time steps that count.

        points: (B, 133, 3), the target's keypoints in canvas pixels.
        """
        rows = self._rows()
        if not len(rows):
            return (self.output * 0).sum()
        alpha = self._alphas()[rows]
        return (alpha * self._field(points, rows)(self._decoded(self._clean(rows), rows))).sum() / len(self.output)

    def literal(self, points: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w): what the paper's eq. 16 adds to predictions, without gradients; 0 where it is not counted."""
        added, rows = torch.zeros_like(self.output), self._rows()
        if not len(rows):
            return added
        clean = self._clean(rows).detach().requires_grad_()
        with torch.enable_grad():
            self._field(points, rows)(self._decoded(clean, rows)).sum().backward(inputs=[clean])
        assert clean.grad is not None
        kind = self.pipeline.scheduler.config.prediction_type
        for row, alpha, gradient in zip(rows.tolist(), self._alphas()[rows].tolist(), clean.grad, strict=True):
            taken = correction(LITERAL, self.settings.weight, alpha, gradient[None], 0.0)
            added[row] = to_prediction(kind, alpha, taken)[0]
        return added

    def _rows(self) -> torch.Tensor:
        steps = self.pipeline.scheduler.config.num_train_timesteps
        return (self.timestep < self.settings.below * steps).nonzero()[:, 0]

    def _alphas(self) -> torch.Tensor:
        return self.pipeline.scheduler.alphas_cumprod.to(self.timestep.device)[self.timestep]

    def _clean(self, rows: torch.Tensor) -> torch.Tensor:
        parts = (each[rows] for each in (self.output, self.noisy, self.timestep))
        return clean_estimate(self.pipeline.scheduler, *parts)

    def _decoded(self, clean: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        base = None if self.base is None else self.base.expand(len(self.output), -1, -1, -1)[rows]
        return self.pipeline.space.decode(self.pipeline.from_diffused(clean, base))

    def _field(self, points: torch.Tensor, rows: torch.Tensor) -> PoseField:
        factor = self.pipeline.space.factor
        size = (self.noisy.shape[-2] * factor, self.noisy.shape[-1] * factor)
        return PoseField.of(self.judge, points[rows], size)
