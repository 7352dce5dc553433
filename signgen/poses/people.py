"""Everybody seen in each frame in; their tracks over the whole clip, and which of them the signer is, out.

In two steps, both by assignment (scipy's): people of neighbouring frames are joined where they are alike in place and
size; then the pieces are joined over the frames in which somebody was missed. Nobody is ever joined to a far one: a
frame in which the followed person is missing stays a frame without a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from signgen.errors import PoseError
from signgen.poses.numbering import ranges

BODY = slice(0, 17)
POINTS = 133
RUNNER_UP = 0.8  # of the best score; who has more than that could be the signer as well
_NEAR = 0.25  # median distance of the body's points, in diagonals of the larger box
_NEAR_PER_FRAME, _FARTHEST = 0.02, 0.5  # how that grows while somebody is missed
_SAME_BOX = 0.3  # overlap; arms that are raised move half of the body's points, hardly its box
_RUNNING, _AT_MOST = 0.5, 3  # how far somebody who is alone may move a frame, and for how many missed ones
_AROUND = 8  # frames in which somebody who passes by is told from somebody who runs
_ONE_PERSON = 0.95  # overlap of two median boxes
_NEXT = 20  # pieces that are looked at for each that ends
_AT_ONCE = 20_000  # pairs
_JUMP = 0.2  # diagonals from one frame to the next
_POINT = 8.0  # px; how large somebody counts where nobody shows more than a point
_NEVER = 1e6

# Keypoints of a truth, of references or of a person to fit are read without --person.
_ELSEWHERE = "a command without it takes what signgen poses convert POSES X.poses.npz --person N writes"


@dataclass(frozen=True)
class Crowd:
    """Everybody in all frames, one row a person and frame, in the frames' order.

    frame: int (N,). points: float (N, 133, 3) px, NaN where missing; optional points follow, and say nothing about who
    somebody is. ids: float (N,), the estimator's own number of a person, NaN where it gives none.
    """

    frame: np.ndarray
    points: np.ndarray
    ids: np.ndarray

    @classmethod
    def of(cls, frame: np.ndarray, points: np.ndarray, ids: np.ndarray) -> Crowd:
        """Without those of whom no point is there."""
        there = np.isfinite(points[:, :POINTS, 0]).any(1)
        order = np.flatnonzero(there)[np.argsort(frame[there], kind="stable")]
        return cls(frame[order], points[order], ids[order])

    @property
    def boxes(self) -> np.ndarray:
        """float (N, 4): x0, y0, x1, y1 around each person's points."""
        xy = self.points[:, :POINTS, :2]
        there = np.isfinite(xy)
        low, high = np.where(there, xy, np.inf).min(1), np.where(there, xy, -np.inf).max(1)
        return np.concatenate([low, high], -1) if len(xy) else np.empty((0, 4))


@dataclass(frozen=True)
class Track:
    """One person over the clip. rows: in the crowd, by frame. score: how much of a signer it is (`find_tracks`).

    box: median x0, y0, x1, y1 px. own_id: the estimator's number, where all its rows have the same.
    """

    rows: np.ndarray
    score: float
    box: tuple[float, float, float, float]
    own_id: float | None = None


def find_tracks(crowd: Crowd, frames: int, size: tuple[int, int]) -> list[Track]:
    """Everybody's track, the largest score first.

    score = frames seen x median box area / frame area x (1 - median distance of its centre from the frame's / half
    diagonal). Where most points lie outside `size`, it is not the frame's, and the extent of all points stands for it.
    """
    boxes = crowd.boxes
    if not len(boxes):
        return []
    pieces = _by_ids(crowd) or _neighbours(crowd, boxes)
    rows = _joined(pieces, crowd, boxes)
    found = [_scored(each, crowd, boxes, _frame_of(boxes, size)) for each in rows]
    return sorted(found, key=lambda track: (-track.score, -len(track.rows), track.rows[0]))


def choose(
    tracks: list[Track], crowd: Crowd, person: str | None, where: object, scale: tuple[float, float] = (1, 1)
) -> int:
    """The place of the signer's track, or of the one that `person` names: `N`, `x,y` or `x0,y0,x1,y1`.

    scale: from the pixels of `person` to those of the tracks. Raises PoseError where two people could be the signer.
    """
    if person is not None:
        return _named(tracks, crowd, person, where, scale)
    least = RUNNER_UP * tracks[0].score if tracks else 0
    alike = [n for n, track in enumerate(tracks) if track.score >= least and not _twice(tracks, n)]
    if len(alike) > 1:
        named = ", ".join(describe(n, tracks[n]) for n in alike[:4])
        raise PoseError(
            f"{where}: {len(alike)} people could be the signer: {named}",
            expected="one who is larger, longer or more central in view",
            fix="name one with --person N, x,y or x0,y0,x1,y1, in build-pairs also in the column person of --pairing;"
            f" {_ELSEWHERE}; signgen poses draw POSES LOOK.mp4 --people shows them",
        )
    return 0


def _twice(tracks: list[Track], number: int) -> bool:
    """Whether a track is the first one's person, whom the estimator found twice: no place could name one of the two."""
    first, other = (np.array([tracks[n].box]) for n in (0, number))
    return number > 0 and float(_overlap(first, other)[0]) > _ONE_PERSON


def describe(number: int, track: Track) -> str:
    """`1 (idx 7, 12 frames, 3,4 to 30,50)`: number from 1, as it is drawn and as --person takes it."""
    own = "" if track.own_id is None else f"idx {track.own_id:g}, "
    x0, y0, x1, y1 = track.box
    return f"{number + 1} ({own}{len(track.rows)} frames, {x0:.4g},{y0:.4g} to {x1:.4g},{y1:.4g})"


def note_on(tracks: list[Track], chosen: int, crowd: Crowd, frames: int) -> str:
    """How many people, whom was followed, and in how many frames that one is missing or jumps; empty for one person."""
    if len(tracks) < 2:
        return ""
    track = tracks[chosen]
    at = crowd.frame[track.rows]
    crowded = int((np.bincount(crowd.frame, minlength=frames) > 1).sum())
    missing = sorted(set(range(frames)) - set(at.tolist()))
    parts = [f"several people in {crowded} of {frames} frames: followed {describe(chosen, track)} of {len(tracks)}"]
    if missing:
        parts.append(f"without a person: {len(missing)} frame{'s' * (len(missing) > 1)} ({ranges(missing)})")
    moved = jumps(track, crowd)
    if moved:
        parts.append(f"jumps at frame{'s' * (len(moved) > 1)} {ranges(moved)}")
    return "; ".join([*parts, "--person, here or of signgen poses convert, chooses another"])


def jumps(track: Track, crowd: Crowd) -> list[int]:
    """Frames at which the person is far from where it was seen last."""
    rows = track.rows
    distance, _ = _apart(crowd, crowd.boxes, rows[:-1], rows[1:])
    return crowd.frame[rows[1:]][distance > _JUMP].tolist()


def _by_ids(crowd: Crowd) -> list[np.ndarray]:
    """Rows by the estimator's numbers; empty where one is missing or occurs twice in a frame."""
    if np.isnan(crowd.ids).any() or len(set(zip(crowd.frame, crowd.ids, strict=True))) < len(crowd.ids):
        return []
    return [np.flatnonzero(crowd.ids == number) for number in np.unique(crowd.ids)]


def _neighbours(crowd: Crowd, boxes: np.ndarray) -> list[np.ndarray]:
    """Pieces of tracks without a gap: the people of each two neighbouring frames, assigned to each other."""
    count = len(crowd.frame)
    after = np.full(count, -1)
    starts = np.searchsorted(crowd.frame, np.arange(crowd.frame[-1] + 2))
    here, there = starts[:-1], starts[1:]
    single = np.flatnonzero((np.diff(here) == 1) & (np.diff(there) == 1))  # one person in this frame and in the next
    first, second = here[:-1][single], there[:-1][single]
    if np.diff(starts).max() == 1:  # nobody is ever with another: whoever is missed in between may have moved farther
        first, second = np.arange(count - 1), np.arange(1, count)
    gap = crowd.frame[second] - crowd.frame[first]
    near = _costs(crowd, boxes, first, second, gap) < _NEVER
    distance, growth = _apart(crowd, boxes, first, second)
    runs = distance + 0.5 * growth < _RUNNING * np.minimum(gap, _AT_MOST)
    for pair in np.flatnonzero(runs & ~near).tolist():
        near[pair] = not _passes_by(crowd, boxes, first[pair], second[pair])
    after[first[near]] = second[near]
    crowds = np.setdiff1d(np.arange(len(here) - 1), single)
    pairs = [_pairs(range(here[frame], there[frame]), range(here[frame + 1], there[frame + 1])) for frame in crowds]
    _follow(after, crowd, boxes, pairs)
    return _chains(after)


def _pairs(ours: Sequence[int], theirs: Sequence[int]) -> np.ndarray:
    """int (len(ours) * len(theirs), 2): each with each."""
    return np.array([(one, other) for one in ours for other in theirs], int).reshape(-1, 2)


def _follow(after: np.ndarray, crowd: Crowd, boxes: np.ndarray, groups: list[np.ndarray]) -> None:
    """Assign the pairs of rows of each group, the costs of all at once; `after` gets who follows whom."""
    pairs = np.concatenate([np.empty((0, 2), int), *groups])
    gap = crowd.frame[pairs[:, 1]] - crowd.frame[pairs[:, 0]]
    costs = np.empty(len(pairs))
    for part in (slice(first, first + _AT_ONCE) for first in range(0, len(pairs), _AT_ONCE)):
        costs[part] = _costs(crowd, boxes, pairs[part, 0], pairs[part, 1], gap[part])
    start = 0
    for group in groups:
        own = costs[start : start + len(group)]
        start += len(group)
        ours, row = np.unique(group[:, 0], return_inverse=True)
        theirs, column = np.unique(group[:, 1], return_inverse=True)
        table = np.full((len(ours), len(theirs)), _NEVER)
        table[row, column] = own
        for one, other in zip(*linear_sum_assignment(table), strict=True):
            if table[one, other] < _NEVER:
                after[ours[one]] = theirs[other]


def _passes_by(crowd: Crowd, boxes: np.ndarray, first: int, second: int) -> bool:
    """Whether one of two far apart in neighbouring frames, each alone there, is somebody else: who was seen before is
    where it was a few frames later. A person who runs is not."""
    around = np.arange(max(first - _AROUND, 0), min(second + _AROUND, len(crowd.frame) - 1) + 1)
    later, earlier = around[around > second], around[around < first]
    stays = _costs(crowd, boxes, np.full(len(later), first), later, np.ones(len(later))) < _NEVER
    stayed = _costs(crowd, boxes, np.full(len(earlier), second), earlier, np.ones(len(earlier))) < _NEVER
    return bool(stays.any() or stayed.any())


def _joined(pieces: list[np.ndarray], crowd: Crowd, boxes: np.ndarray) -> list[np.ndarray]:
    """Pieces joined over the frames between them, all at once."""
    if len(pieces) < 2:
        return pieces
    ends, begins = np.array([piece[-1] for piece in pieces]), np.array([piece[0] for piece in pieces])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    order = np.argsort(crowd.frame[begins], kind="stable")
    begins = begins[order]
    pairs = []
    for end in ends.tolist():  # the next ones that begin nearby
        later = begins[crowd.frame[begins] > crowd.frame[end]]
        reach = np.maximum(sides[end], sides[later]) + 1
        near = later[np.linalg.norm(middles[later] - middles[end], axis=-1) < reach][:_NEXT]
        pairs.append(_pairs([end], near.tolist()))
    after = np.full(len(crowd.frame), -1)
    _follow(after, crowd, boxes, [np.concatenate(pairs)])
    number = {int(piece[0]): index for index, piece in enumerate(pieces)}
    following = [number[after[piece[-1]]] if after[piece[-1]] >= 0 else -1 for piece in pieces]
    return [np.concatenate([pieces[each] for each in chain]) for chain in _chains(np.array(following))]


def _chains(after: np.ndarray) -> list[np.ndarray]:
    """Runs of rows from each that follows none: `after` says which one follows, -1 for none."""
    firsts = np.setdiff1d(np.arange(len(after)), after[after >= 0])
    chains = []
    for first in firsts.tolist():
        rows = [first]
        while (following := int(after[rows[-1]])) >= 0:
            rows.append(following)
        chains.append(np.array(rows))
    return chains


def _costs(crowd: Crowd, boxes: np.ndarray, first: np.ndarray, second: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """How little alike each pair of rows is, in place and size; _NEVER for those who are not the same person."""
    distance, growth = _apart(crowd, boxes, first, second)
    overlap = _overlap(boxes[first], boxes[second])
    gate = np.minimum(_NEAR + _NEAR_PER_FRAME * (gap - 1), _FARTHEST)
    costs = distance + 0.5 * growth + 0.25 * (1 - overlap) + 1e-4 * gap
    return np.where((distance + 0.5 * growth < gate) | (overlap > _SAME_BOX), costs, _NEVER)


def _apart(crowd: Crowd, boxes: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per pair of rows: median distance of the body's points that both have, in diagonals of the larger box, and how
    much larger one is by these points (a logarithm). Medians, since single points of an estimator lie anywhere.

    Where no point is shared: the distance of the boxes' centres, and no growth.
    """
    both = [crowd.points[rows, BODY, :2] for rows in (first, second)]
    shared = np.isfinite(both[0] + both[1]).all(-1)
    some = shared.any(1)
    hidden = ~shared[some][..., None]
    ours, theirs = (np.where(hidden, np.nan, points[some]) for points in both)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = np.linalg.norm(middles[first] - middles[second], axis=-1)
    growth = np.zeros(len(first))
    if some.any():
        distance[some] = _median(np.linalg.norm(ours - theirs, axis=-1))
        growth[some] = np.abs(np.log(_spread(ours) / _spread(theirs)))
    sides = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    larger = np.maximum(sides[first], sides[second])
    if (larger <= 0).any():  # of both a single point is seen: as large as the others are
        larger = np.where(larger > 0, larger, np.median(sides[sides > 0]) if sides.any() else _POINT)
    return distance / larger, growth


def _spread(points: np.ndarray) -> np.ndarray:
    """float (N,) px: median distance of (N, K, 2) from their median, NaN left out; at least one pixel."""
    middle = np.stack([_median(points[..., axis]) for axis in range(2)], -1)
    return _median(np.linalg.norm(points - middle[:, None], axis=-1)) + 1


def _median(values: np.ndarray) -> np.ndarray:
    """float (N,) of (N, K), NaN left out; each row has a number. NumPy's nanmedian takes ten times as long."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(1)
    rows = np.arange(len(ordered))
    return (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4), pair by pair."""
    inner = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    return np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)


def _frame_of(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(width, height), or the extent of all boxes where most centres lie outside it."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres >= 0) & (centres <= size)).all(1).mean()
    return np.array(size, float) if inside >= 0.5 else np.maximum(boxes[:, 2:].max(0), 1)


def _scored(rows: np.ndarray, crowd: Crowd, boxes: np.ndarray, frame: np.ndarray) -> Track:
    own = boxes[rows]
    area = float(np.median((own[:, 2:] - own[:, :2]).prod(1))) / float(frame.prod())
    distance = float(np.median(np.linalg.norm((own[:, :2] + own[:, 2:]) / 2 - frame / 2, axis=-1)))
    central = max(1 - distance / float(np.linalg.norm(frame / 2)), 0)
    ids = np.unique(crowd.ids[rows])
    x0, y0, x1, y1 = np.median(own, axis=0).tolist()
    own_id = float(ids[0]) if len(ids) == 1 and np.isfinite(ids[0]) else None
    return Track(rows, len(rows) * area * central, (x0, y0, x1, y1), own_id)


def _named(tracks: list[Track], crowd: Crowd, person: str, where: object, scale: tuple[float, float]) -> int:
    """The track that --person names. A point lies on the person in most frames of all; of those nobody else's, the
    nearest. Raises PoseError."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", person)]
    if not re.fullmatch(r"\s*-?\d+(\.\d+)?(\s*,\s*-?\d+(\.\d+)?)*\s*", person) or len(numbers) not in (1, 2, 4):
        raise PoseError(f"--person {person}", expected="a number from 1, a point x,y or a box x0,y0,x1,y1")
    if len(numbers) == 1:
        if numbers[0] not in range(1, len(tracks) + 1):
            known = ", ".join(describe(n, track) for n, track in enumerate(tracks[:4]))
            raise PoseError(f"{where}: no person {person} among {len(tracks)}", expected=f"one of {known}")
        return int(numbers[0]) - 1
    given = np.array(numbers) * np.tile(scale, len(numbers) // 2)
    boxes = crowd.boxes
    near = [_nearness(boxes[track.rows], given) for track in tracks]
    if not near or max(near) <= 0:
        known = ", ".join(describe(n, track) for n, track in enumerate(tracks[:4]))
        raise PoseError(f"{where}: nobody at --person {person}", expected=f"a place of one of {known or 'nobody'}")
    return int(np.argmax(near))


def _nearness(boxes: np.ndarray, given: np.ndarray) -> float:
    """How much a person is the one at a point (1 in the middle of its box) or in a box (overlap); 0 for another."""
    if len(given) == 2:
        middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum((boxes[:, 2:] - boxes[:, :2]) / 2, 1e-6)
        inside = np.clip(1 - np.abs((given - middle) / half).max(1), 0, None) + (np.abs(given - middle) <= half).all(1)
        return float(inside.mean())
    return float(_overlap(boxes, np.broadcast_to(given, boxes.shape)).mean())
