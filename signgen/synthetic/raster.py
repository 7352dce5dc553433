"""Round cones and lathed surfaces in; a depth-tested picture out, several instants of one frame at a time.

Every shape is given at S instants within the shutter, each shifted by part of a pixel: their mean is at once motion
blur and antialiasing. A pixel holds the depth of what is nearest and one number, material * 256 + brightness, which a
table of colour ramps turns into a colour at the end. Coordinates are pixels; z grows towards the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_FAR = -1e6
_EPS = 1e-6

# Of places on a lathed surface: x, x / half-width and height in; their material and a factor on brightness out.
Paint = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray | int, np.ndarray | float]]


@dataclass(frozen=True)
class Light:
    """direction: unit vector to the light (x right, y down, z to the camera). ambient: brightness in full shadow."""

    direction: tuple[float, float, float]
    ambient: float

    def shade(self, nx: np.ndarray, ny: np.ndarray, nz: np.ndarray, rim: float = 0.38) -> np.ndarray:
        """Brightness 0..1 of float32 normals: half-Lambert, and darker by `rim` where the surface turns away.

        The latter outlines fingers before a palm.
        """
        lx, ly, lz = (np.float32(0.5 * part * (1 - self.ambient)) for part in self.direction)
        lit = nx * lx + ny * ly + nz * lz
        lit += np.float32(self.ambient + 0.5 * (1 - self.ambient))
        return lit * (np.float32(1 - rim) + np.float32(rim) * nz)


@dataclass(frozen=True)
class Ripple:
    """Brightness waves over a cone: folds follow each other along it, strands of hair lie side by side."""

    amount: float
    along: float = 0.0  # waves from end to end
    across: float = 0.0  # waves per radius
    phase: float = 0.0


@dataclass(frozen=True)
class Surface:
    """material: what it is made of. relief: how far its normals turn from the viewer, 0 is lit like a flat sticker.

    depth: factor on how far it bulges towards the viewer.
    """

    material: int
    relief: float = 1.0
    brightness: float = 1.0
    depth: float = 1.0
    ripple: Ripple | None = None


@dataclass(frozen=True)
class Lathe:
    """A surface of half-width `width` and depth `depth` (pixels) at heights first, first + step, ... of its axis.

    columns: of its tables when it is baked, from its left rim to its right.
    """

    first: float
    step: float
    width: np.ndarray
    depth: np.ndarray
    columns: int = 128

    def bake(self, light: Light, roll: float, paint: Paint) -> Baked:
        """Its depth and brightness as tables over (height, x / half-width), lit as it stands when turned by `roll`."""
        u = ((np.arange(self.columns, dtype=np.float32) + 0.5) * 2 / self.columns - 1)[None]
        v = (self.first + self.step * np.arange(len(self.width), dtype=np.float32))[:, None]
        width = np.maximum(self.width, 1e-3).astype(np.float32)[:, None]
        depth = self.depth.astype(np.float32)[:, None]
        slope, deepening = (np.gradient(a[:, 0], self.step).astype(np.float32)[:, None] for a in (width, depth))
        square = 1 - u * u
        root = np.sqrt(square)
        along = -(deepening * square + depth * slope / width * u * u)
        across = depth / width * u
        scale = 1 / np.sqrt(across * across + along * along + square)
        cos, sin = np.float32(np.cos(roll)), np.float32(np.sin(roll))
        shade = light.shade((across * cos - along * sin) * scale, (across * sin + along * cos) * scale, root * scale)
        material, factor = paint(u * width, u, v)
        return Baked(self, depth * root, _ramp(material, shade * factor))


@dataclass(frozen=True)
class Baked:
    """A lathed surface ready to draw: depth, float32 pixels, and ramp, uint16, each (heights, columns)."""

    shape: Lathe
    depth: np.ndarray
    ramp: np.ndarray


class Raster:
    """Draws shapes where they are nearer than what is there."""

    def __init__(self, samples: int, width: int, height: int, light: Light) -> None:
        self.width, self.height, self.light = width, height, light
        self.depth = np.full((samples, height, width), _FAR, np.float32)
        self.ramp = np.zeros((samples, height, width), np.uint16)

    def cones(
        self, starts: np.ndarray, ends: np.ndarray, radii: tuple[np.ndarray, np.ndarray], surfaces: list[Surface]
    ) -> None:
        """Capsules from starts (N, S, 3) to ends (N, S, 3), with radii (N, S) at either end."""
        boxes = self._boxes(starts, ends, np.maximum(*radii))
        lines = np.moveaxis(ends - starts, -1, 0)
        square = lines[0] ** 2 + lines[1] ** 2 + _EPS
        measures = np.stack([*np.moveaxis(starts, -1, 0), *lines, *lines[:2] / square, radii[0], radii[1] - radii[0]])
        measures = measures.astype(np.float32)[..., None, None]
        for number, surface in enumerate(surfaces):
            left, top, right, bottom = boxes[number].tolist()
            if left < right and top < bottom:
                self._cone((slice(top, bottom), slice(left, right)), measures[:, number], surface)

    def _cone(self, box: tuple[slice, slice], measures: np.ndarray, surface: Surface) -> None:
        x0, y0, z0, lx, ly, lz, tx, ty, radius, growth = measures
        dx = np.arange(box[1].start, box[1].stop, dtype=np.float32) - x0
        dy = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - y0
        t = dx * tx + dy * ty
        np.maximum(t, 0, out=t)
        np.minimum(t, 1, out=t)
        ex, ey = dx - t * lx, dy - t * ly
        radius = radius + t * growth
        height = radius * radius - ex * ex - ey * ey
        inside = height > 0
        np.sqrt(np.maximum(height, 0, out=height), out=height)
        inverse = 1 / np.maximum(radius, _EPS)
        height *= inverse
        inverse_relief = inverse * np.float32(surface.relief)
        shade = self.light.shade(ex * inverse_relief, ey * inverse_relief, height, 0.38 * surface.relief)
        if surface.ripple is not None:
            ripple = surface.ripple
            offset = (ex * ly - ey * lx) * inverse / np.sqrt(lx * lx + ly * ly + _EPS)
            shade *= 1 + ripple.amount * np.sin(
                2 * np.pi * (ripple.along * t + ripple.across * offset) + ripple.phase, dtype=np.float32
            )
        radius *= height
        t *= lz
        t += z0
        t += radius * np.float32(surface.depth)
        self._put(box, inside, t, _ramp(surface.material, shade * np.float32(surface.brightness)))

    def lathe(self, origin: np.ndarray, roll: np.ndarray, baked: Baked) -> None:
        """A surface with its axis in the picture, turned by `roll` (S,) radians about `origin` (S, 3)."""
        shape = baked.shape
        heights = np.array([shape.first, shape.first + shape.step * (len(shape.width) - 1)])
        down = np.stack([-np.sin(roll), np.cos(roll), 0 * roll], -1)
        ends = origin + down * heights[:, None, None]
        left, top, right, bottom = self._boxes(ends[:1], ends[1:], np.full((1, len(roll)), shape.width.max()))[0]
        if left >= right or top >= bottom:
            return
        ox, oy, oz = (origin[:, i, None, None].astype(np.float32) for i in range(3))
        cos, sin = (f(roll).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
        x = np.arange(left, right, dtype=np.float32) - ox
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - oy
        row = ((y * cos - x * sin - np.float32(shape.first)) * np.float32(1 / shape.step)).astype(np.int32)
        inside = (row >= 0) & (row < len(shape.width))
        np.clip(row, 0, len(shape.width) - 1, out=row)
        scale = (0.5 * shape.columns / np.maximum(shape.width, 1e-3)).astype(np.float32)
        column = (x * cos + y * sin) * scale.take(row) + np.float32(0.5 * shape.columns)
        inside &= (column >= 0) & (column < shape.columns)
        np.clip(column, 0, shape.columns - 1, out=column)
        row *= shape.columns
        row += column.astype(np.int32)
        z = baked.depth.take(row) + oz
        self._put((slice(top, bottom), slice(left, right)), inside, z, baked.ramp.take(row))

    def picture(self, ramps: np.ndarray, background: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3): the mean of the instants. ramps: float32 (materials * 256, 3); background (H, W, 3)."""
        drawn = self.ramp.max(0) > 0
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        picture = background.copy()
        if len(rows):
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            ramp = self.ramp[:, box[0], box[1]]
            colours = ramps.take(ramp[0], axis=0)
            for instant in ramp[1:]:
                colours += ramps.take(instant, axis=0)
            colours *= 1 / len(ramp)
            picture[box] *= (ramp == 0).mean(0, dtype=np.float32)[..., None]
            picture[box] += colours
        picture += 0.5
        return np.clip(picture, 0, 255, out=picture).astype(np.uint8)

    def _boxes(self, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """int (N, 4): left, top, right, bottom (exclusive) of what holds each shape at all instants, in the picture."""
        low = (np.minimum(starts, ends)[..., :2] - radii[..., None]).min(1)
        high = (np.maximum(starts, ends)[..., :2] + radii[..., None]).max(1)
        size = (self.width, self.height)
        return np.concatenate([np.clip(np.floor(low), 0, size), np.clip(np.ceil(high) + 1, 0, size)], 1).astype(int)

    def _put(self, box: tuple[slice, slice], inside: np.ndarray, z: np.ndarray, ramp: np.ndarray) -> None:
        depth = self.depth[:, box[0], box[1]]
        inside &= z > depth
        np.copyto(depth, z, where=inside)
        np.copyto(self.ramp[:, box[0], box[1]], ramp, where=inside)


def _ramp(material: np.ndarray | int, shade: np.ndarray) -> np.ndarray:
    """uint16: material * 256 + brightness 0..255."""
    shade = np.multiply(shade, np.float32(255), dtype=np.float32)
    np.maximum(shade, 0, out=shade)
    np.minimum(shade, 255, out=shade)
    ramp = shade.astype(np.uint16)
    ramp += np.asarray(material, np.uint16) << np.uint16(8)
    return ramp
