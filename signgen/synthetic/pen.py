"""Shapes in space in, shapes on the picture out: the camera and the shift of each instant, for all that draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from signgen.synthetic.identity import Identity
from signgen.synthetic.raster import Baked, Raster, Surface
from signgen.synthetic.skeleton import Camera

Length = float | np.ndarray  # in shoulder widths; for all instants, or (S,)


@dataclass
class Pen:
    """offsets: (S, 2) pixels by which each instant is shifted. Cones are collected and drawn by `finish`, at once."""

    raster: Raster
    camera: Camera
    offsets: np.ndarray
    _ends: tuple[list[np.ndarray], list[np.ndarray]] = field(default_factory=lambda: ([], []))
    _radii: tuple[list[Length], list[Length]] = field(default_factory=lambda: ([], []))
    _lifts: list[float] = field(default_factory=list)
    _surfaces: list[Surface] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        return self.camera.identity

    def cone(
        self, start: np.ndarray, end: np.ndarray, radii: tuple[Length, Length], surface: Surface, lift: float = 0.0
    ) -> None:
        """From start (S, 3) to end (S, 3). lift: drawn nearer by that much than it is."""
        for side, point in enumerate((start, end)):
            self._ends[side].append(point)
            self._radii[side].append(radii[side])
        self._lifts.append(lift)
        self._surfaces.append(surface)

    def ball(self, centre: np.ndarray, radius: Length, surface: Surface, lift: float = 0.0) -> None:
        """About centre (S, 3)."""
        self.cone(centre, centre, (radius, radius), surface, lift)

    def chain(self, points: np.ndarray, radii: np.ndarray, surface: Surface, lift: float = 0.0) -> None:
        """Cones through (S, N, 3) with a radius (N,) at each point."""
        for i in range(points.shape[1] - 1):
            self.cone(points[:, i], points[:, i + 1], (float(radii[i]), float(radii[i + 1])), surface, lift)

    def lathe(self, origin: np.ndarray, roll: np.ndarray, baked: Baked) -> None:
        """Drawn at once; origin (S, 3) in space."""
        self.raster.lathe(self._place(origin), roll, baked)

    def finish(self) -> None:
        """Draw the cones, if there are any."""
        if not self._surfaces:
            return
        samples, unit = len(self.offsets), self.camera.unit
        ends, radii = [], []
        for points, lengths in zip(self._ends, self._radii, strict=True):
            place = np.stack(points)
            ends.append(self._place(place) + np.array(self._lifts)[:, None, None] * (0, 0, unit))
            length = np.stack([np.zeros(samples) + length for length in lengths])
            radii.append(length * self.camera.nearness(place) * unit)
        self.raster.cones(ends[0], ends[1], (radii[0], radii[1]), self._surfaces)

    def _place(self, points: np.ndarray) -> np.ndarray:
        """(..., S, 3) in space -> pixels and depth, shifted."""
        flat = self.camera.project(points)
        flat[..., :2] += self.offsets
        return flat
