"""Point sets and bones in; the transforms that carry a target's pixels back to the source, out.

A transform is float32 (2, 3): source = A (x, y, 1) for a target pixel (x, y). Everything runs backwards, from target to
source, because a picture is made by asking for each of its pixels where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHORTEST = 2.0  # px; a bone that points at the camera has no direction


def similarity(target: np.ndarray, source: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The similarity (turn, scale, shift; no mirror) that best carries target (N, 2) to source (N, 2), N >= 2.

    Least squares in the plane, where a similarity is a complex number (Umeyama 1991 in two dimensions).
    """
    weight = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
    weight = weight / weight.sum()
    here, there = target.astype(np.float64), source.astype(np.float64)
    mean_here, mean_there = weight @ here, weight @ there
    a, b = (here - mean_here) @ (1, 1j), (there - mean_there) @ (1, 1j)
    power = float(weight @ np.abs(a) ** 2)
    factor = (weight * a.conj() * b).sum() / power if power > 1e-6 else 1.0 + 0j
    matrix = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.hstack([matrix, (mean_there - matrix @ mean_here)[:, None]]).astype(np.float32)


def scale_of(transform: np.ndarray) -> float:
    """How many source pixels a target pixel is long, on average over directions."""
    return float(np.sqrt(abs(np.linalg.det(transform[:, :2].astype(np.float64)))))


def affine(target: np.ndarray, source: np.ndarray, ridge: float = 0.1) -> np.ndarray:
    """The affine map that carries target (N, 2) to source (N, 2), drawn towards their similarity by `ridge`.

    Few or collinear points then give the similarity, not a collapsed map.
    """
    prior = similarity(target, source).astype(np.float64)
    here = target.astype(np.float64)
    centred = here - here.mean(0)
    residual = source.astype(np.float64) - (here @ prior[:, :2].T + prior[:, 2])
    gram = centred.T @ centred
    change = np.linalg.solve(gram + ridge * max(np.trace(gram), 1e-6) * np.eye(2), centred.T @ residual).T
    matrix = prior[:, :2] + change
    shift = prior[:, 2] + residual.mean(0) - change @ here.mean(0)
    return np.hstack([matrix, shift[:, None]]).astype(np.float32)


def carry(transform: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """transform (k, 3) of the pixels in columns x (w,) and rows y (h,) -> float32 (k, h, w), for k = 2 their places."""
    return transform[:, :1, None] * x + (transform[:, 1:2] * y + transform[:, 2:])[..., None]


@dataclass(frozen=True)
class Carried:
    """The pixels of a box and n bones that may carry them, float32.

    gaps (n, h, w): each pixel's squared distance from each bone. along (n, h, w): where along it the pixel lies, from 0
    to its length. With a bone, a pixel comes from the place transforms (n, 2, 3) (x, y, 1) + along * stretch (n, 2).
    """

    gaps: np.ndarray
    along: np.ndarray
    transforms: np.ndarray
    stretch: np.ndarray

    def first_as_one(self, count: int, transform: np.ndarray) -> Carried:
        """The first bones as one part: near where any of them is, carried as a whole. Changes the arrays."""
        last = count - 1
        self.gaps[last] = self.gaps[:count].min(0)
        self.transforms[last], self.stretch[last] = transform, 0
        return Carried(self.gaps[last:], self.along[last:], self.transforms[last:], self.stretch[last:])


def follow_bones(x: np.ndarray, y: np.ndarray, target: np.ndarray, source: np.ndarray, across: float) -> Carried:
    """Where the target's pixels in columns x (w,) and rows y (h,) come from if they move with each of n bones.

    target, source: the bones (n, 2, 2) from begin to end in each. Between its ends a bone is stretched by the ratio of
    its lengths; across it and beyond its ends, `across` source pixels are one of the target. A bone that points at the
    camera keeps its begin alone.
    """
    (here, e), (there, f) = _directions(target), _directions(source)
    short = np.minimum(here, there) < _SHORTEST
    e[short] = f[short] = (1, 0)
    length = np.where(short, 0, here).astype(np.float32)
    ratio = np.where(short, across, there / np.maximum(here, _SHORTEST)).astype(np.float32)
    axes = np.stack([e, _normals(e)])  # along and across, (2, n, 2)
    offset = -(axes * target[:, 0]).sum(-1, keepdims=True)
    u, v = (carry(rows, x, y) for rows in np.concatenate([axes, offset], -1))
    along = np.clip(u, 0, length[:, None, None])
    u -= along
    gaps = np.square(u, out=u)
    gaps += np.square(v, out=v)
    turn = across * np.einsum("ni,nj->nij", f, e) + across * np.einsum("ni,nj->nij", _normals(f), _normals(e))
    shift = source[:, 0] - np.einsum("nij,nj->ni", turn, target[:, 0])
    transforms = np.concatenate([turn, shift[..., None]], -1).astype(np.float32)
    return Carried(gaps, along, transforms, (ratio - np.float32(across))[:, None] * f)


def blended(carried: Carried, x: np.ndarray, y: np.ndarray, tear: float | None = None) -> np.ndarray:
    """float32 (2, h, w): the places of the pixels in columns x and rows y, weighted towards the nearest bone: weights
    fall with the fourth power of the distance.

    tear: a bone that carries a pixel further than so many source pixels from where the nearest one does has no say:
    half-way between the sides of a folded limb lies what is beside it.
    """
    count, *size = carried.gaps.shape
    weights = 1 / np.square(carried.gaps + 1)
    if tear is not None:
        weights *= _together(carried, x, y, tear)
    weights = weights.reshape(count, -1)
    # A weighted sum of transforms is a transform: no bone's own places are needed.
    a, b, c, d, e, f, total = (
        np.c_[carried.transforms.reshape(count, 6), np.ones(count, np.float32)].T @ weights
    ).reshape(7, *size)
    weights *= carried.along.reshape(count, -1)
    stretched = (carried.stretch.T @ weights).reshape(2, *size)
    stretched[0] += a * x + b * y[:, None] + c
    stretched[1] += d * x + e * y[:, None] + f
    return stretched / total


def _together(carried: Carried, x: np.ndarray, y: np.ndarray, tear: float) -> np.ndarray:
    """bool (n, h, w): whether a bone carries a pixel to within `tear` of where the nearest one does. Outside of a bend
    all pixels are nearest to the joint, which both bones have: they are the first's."""
    places = np.stack([carry(transform, x, y) for transform in carried.transforms])
    places += carried.stretch[:, :, None, None] * carried.along[:, None]
    tie = 1e-3 * (carried.gaps.min(0) + 1)
    nearest = (carried.gaps <= carried.gaps.min(0) + tie).argmax(0)[None, None]
    return np.square(places - np.take_along_axis(places, nearest, 0)).sum(1) <= tear**2


def spread(
    x: np.ndarray, y: np.ndarray, points: np.ndarray, shifts: np.ndarray, reach: float, stiffness: float
) -> np.ndarray:
    """float32 (2, h, w): shifts (n, 2) of points (n, 2), felt by the pixels in columns x (w,) and rows y (h,).

    Their mean, weighted by a Gaussian of `reach` pixels; `stiffness`, as a weight without a shift, holds back what few
    points are near to.
    """
    # A Gaussian of a distance in the plane is that of its x times that of its y.
    near_x, near_y = (np.exp(-0.5 * ((line - points[:, axis, None]) / reach) ** 2) for axis, line in enumerate((x, y)))
    total = near_y.T @ near_x + stiffness
    return np.stack([near_y.T @ (shift[:, None] * near_x) / total for shift in shifts.T])


def _directions(bones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2, 2) -> lengths (n,), unit vectors (n, 2), float32."""
    lines = bones[:, 1] - bones[:, 0]
    lengths = np.linalg.norm(lines, axis=1)
    return lengths, (lines / np.maximum(lengths, 1e-6)[:, None]).astype(np.float32)


def _normals(units: np.ndarray) -> np.ndarray:
    return np.stack([-units[:, 1], units[:, 0]], 1)


def distance(grid: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance in pixels of each point of grid (..., 2) from the segment begin-end."""
    line = end - begin
    length = max(float(line @ line), 1e-6)
    offset = grid - begin
    u = np.clip(offset @ (line / length), 0, 1)[..., None]
    return np.sqrt(((offset - u * line) ** 2).sum(-1))
