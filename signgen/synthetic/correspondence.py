"""Two moments of a drawn signer in; for every pixel of one, where the other shows the same place of body, out.

What is drawn has its shading and folds at places of its shapes, so that such a place is the same one in every picture:
of a cone, how far it is along and how far aside; of the torso, height and side. A head that turns shows other places of
itself: it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signgen.synthetic.body import draw_arms, draw_hands, draw_torso
from signgen.synthetic.head import draw_head
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.synthetic.pen import Pen
from signgen.synthetic.raster import Baked, Light, Raster, Surface
from signgen.synthetic.skeleton import Camera, pose

_NOTHING = -1  # no shape: the background
_HEAD = 3  # the last of the parts


@dataclass(frozen=True)
class Correspondence:
    """flow: float32 (H, W, 2), where the source shows a pixel's place, minus the pixel, x and y in pixels; NaN where
    it does not. body, arms, hands: bool (H, W), pixels whose flow is known, of the body without its head; of arms
    without hands; of hands. limbs: bool (H, W), arms and hands, also where the source does not show them."""

    flow: np.ndarray
    body: np.ndarray
    arms: np.ndarray
    hands: np.ndarray
    limbs: np.ndarray


def correspondence(
    identity: Identity, motion: Motion, source: int, target: int, size: tuple[int, int]
) -> Correspondence:
    """Of frame `target` to frame `source`, on pictures of `size` (width, height); mid-shutter."""
    camera = Camera(*size, identity)
    drawn = [_drawn(identity, motion, camera, frame) for frame in (source, target)]
    there, here = (raster.places() for raster in drawn)
    flow = np.full((size[1], size[0], 2), np.nan, np.float32)
    rows, columns = np.nonzero((here.shape >= 0) & (here.shape < drawn[1].parts[_HEAD].start))
    shape, place = here.shape[rows, columns], here.place[rows, columns]
    x, y = drawn[0].find(shape, place).T
    # it is seen there where the same shape is drawn, within a pixel of the edge
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= 0) & (column < size[0]) & (row >= 0) & (row < size[1])
    seen = inside.copy()
    seen[inside] = there.shape[row[inside], column[inside]] == shape[inside]
    flow[rows[seen], columns[seen]] = np.stack([x - columns, y - rows], 1)[seen]
    known = np.isfinite(flow).all(2)
    torso, arms, hands = (np.isin(here.shape, part) for part in drawn[1].parts[:_HEAD])
    return Correspondence(flow, (torso | arms | hands) & known, arms & known, hands & known, arms | hands)


@dataclass(frozen=True)
class _Places:
    """shape: int (H, W), which was drawn last there, -1: none. place: float64 (H, W, 2), where on it."""

    shape: np.ndarray
    place: np.ndarray


@dataclass
class _Shape:
    """A cone by its ends (2, 2) and radii, or a lathe by its origin (2,) and roll, in pixels."""

    ends: np.ndarray
    radii: tuple[float, float] | None = None

    def local(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) -> places (N, 2) of this shape, the same in every picture of it."""
        if self.radii is None:
            return (points - self.ends[0]) @ self._axes.T
        axis = self.ends[1] - self.ends[0]
        square = max(axis @ axis, 1e-6)
        along = np.clip((points - self.ends[0]) @ axis / square, 0, 1)
        rest = points - self.ends[0] - along[:, None] * axis
        unit = self._axes
        aside = rest @ unit.T / self._radius(along)[:, None]
        return np.concatenate([along[:, None], aside], 1)

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """The inverse of `local`."""
        if self.radii is None:
            return places @ self._axes + self.ends[0]
        along, aside = places[:, :1], places[:, 1:]
        return self.ends[0] + along * (self.ends[1] - self.ends[0]) + (aside @ self._axes) * self._radius(along)

    @property
    def _axes(self) -> np.ndarray:
        """(2, 2): the unit vector along it, and the one across."""
        along = self.ends[1] - self.ends[0]
        length = np.linalg.norm(along)
        along = along / length if length > 1e-3 else np.array([1.0, 0.0])
        return np.stack([along, [-along[1], along[0]]])

    def _radius(self, along: np.ndarray) -> np.ndarray:
        assert self.radii is not None
        return self.radii[0] + along * (self.radii[1] - self.radii[0])


class _Tracing(Raster):
    """A raster of one instant that keeps which shape each pixel shows. parts: the shapes' numbers of each part."""

    def __init__(self, width: int, height: int, light: Light) -> None:
        super().__init__(1, width, height, light)
        self.shapes: list[_Shape] = []
        self.parts: list[range] = []
        self.drawn = np.full((height, width), _NOTHING)
        self._current = _NOTHING

    def cones(
        self, starts: np.ndarray, ends: np.ndarray, radii: tuple[np.ndarray, np.ndarray], surfaces: list[Surface]
    ) -> None:
        for number, surface in enumerate(surfaces):
            self._current = len(self.shapes)
            one = slice(number, number + 1)
            self.shapes.append(
                _Shape(
                    np.stack([starts[number, 0, :2], ends[number, 0, :2]]),
                    (float(radii[0][number, 0]), float(radii[1][number, 0])),
                )
            )
            super().cones(starts[one], ends[one], (radii[0][one], radii[1][one]), [surface])

    def lathe(self, origin: np.ndarray, roll: np.ndarray, baked: Baked) -> None:
        self._current = len(self.shapes)
        down = np.array([-np.sin(roll[0]), np.cos(roll[0])])
        self.shapes.append(_Shape(np.stack([origin[0, :2], origin[0, :2] + down])))
        super().lathe(origin, roll, baked)

    def _put(self, box: tuple[slice, slice], inside: np.ndarray, z: np.ndarray, ramp: np.ndarray) -> None:
        nearer = inside[0] & (z[0] > self.depth[0][box])
        self.drawn[box][nearer] = self._current
        super()._put(box, inside, z, ramp)

    def places(self) -> _Places:
        """What is drawn at every pixel."""
        place = np.zeros((*self.drawn.shape, 3))
        for number, shape in enumerate(self.shapes):
            rows, columns = np.nonzero(self.drawn == number)
            if len(rows):
                found = shape.local(np.stack([columns, rows], 1).astype(float))
                place[rows, columns, : found.shape[1]] = found
        return _Places(self.drawn, place)

    def find(self, numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Where this picture has places of its shapes, (N, 2) pixels."""
        found = np.zeros((len(numbers), 2))
        for number in np.unique(numbers):
            shape = self.shapes[number]
            chosen = numbers == number
            found[chosen] = shape.pixels(places[chosen][:, : 2 if shape.radii is None else 3])
        return found


def _drawn(identity: Identity, motion: Motion, camera: Camera, frame: int) -> _Tracing:
    """The signer at the middle of a frame's shutter, part by part."""
    skeleton = pose(identity, motion.at(np.array([float(frame)])))
    raster = _Tracing(camera.width, camera.height, Light(identity.light, identity.ambient))
    pen = Pen(raster, camera, np.zeros((1, 2)))
    for draw in (
        draw_torso,
        draw_arms,
        draw_hands,
        draw_head,
    ):  # the head last: its shapes vary
        first = len(raster.shapes)
        draw(pen, skeleton)
        pen.finish()
        pen = Pen(raster, camera, np.zeros((1, 2)))
        raster.parts.append(range(first, len(raster.shapes)))
    return raster
