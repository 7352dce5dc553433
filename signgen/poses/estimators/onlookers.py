"""Some frames of a clip in; a note out where several people are in view, of whom an estimator follows one.

Faces are counted, by MediaPipe's full-range detector (extra `pose`): on whole frames it finds one in every frame of the
real clips that show one signer, and two where two such clips stand side by side.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from signgen.poses.estimators.quiet import kept_back, without_old_warnings

FEWEST, MOST, EVERY = 8, 32, 25  # frames that are looked at: one in 25, within these numbers
COMPARABLE = 0.5  # of the largest face's width: who is smaller is far behind, or a picture on the wall
_SURE = 0.5  # of a face
NOT_LOOKED = "how many people are in view was not looked at, which takes MediaPipe: pip install 'signgen[pose]'"


class FaceFinder(Protocol):
    """Finds everybody's face in one frame."""

    def find(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to float (N, 4): x0, y0, x1, y1 in pixels of the frame."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class MediapipeFaces:
    """MediaPipe's face detector for up to five metres, about 10 ms a frame. Raises ImportError without MediaPipe."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_detection import FaceDetection

        self._make = FaceDetection
        self._graph: Any = None

    def find(self, frame: np.ndarray) -> np.ndarray:
        """float (N, 4) px."""
        if self._graph is None:
            with kept_back():
                self._graph = self._make(min_detection_confidence=_SURE, model_selection=1)
                found = self._process(frame)
        else:
            found = self._process(frame)
        boxes = [each.location_data.relative_bounding_box for each in found.detections or ()]
        edges = [(box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height) for box in boxes]
        height, width = frame.shape[:2]
        return np.array(edges, float).reshape(-1, 4) * (width, height, width, height)

    def close(self) -> None:
        """End MediaPipe's threads."""
        if self._graph is not None:
            self._graph.close()

    def _process(self, frame: np.ndarray) -> Any:
        with without_old_warnings():
            return self._graph.process(np.ascontiguousarray(frame))


def open_faces() -> FaceFinder | None:
    """MediaPipe's, or None where it is not installed."""
    try:
        return MediapipeFaces()
    except ImportError:
        return None


class Onlookers:
    """Looks at some frames of a clip, spread evenly, as they pass by.

    frames: of the clip. finder: of faces, None where there is none. corner: of the part of the picture that is looked
    at, px, for places in the note.
    """

    def __init__(self, frames: int, finder: FaceFinder | None, corner: tuple[int, int] = (0, 0)) -> None:
        count = min(max(frames // EVERY, FEWEST), MOST, frames)
        self._at = set(np.linspace(0, frames - 1, count).round().astype(int).tolist())
        self._finder, self._corner = finder, np.array(corner)
        self._size = (0, 0)
        self._people: list[np.ndarray] = []

    def look(self, number: int, frame: np.ndarray) -> None:
        """Frame `number` of the clip, uint8 (H, W, 3) RGB."""
        if self._finder is None or number not in self._at:
            return
        faces = self._finder.find(frame)
        widths = faces[:, 2] - faces[:, 0]
        self._people.append(faces[widths >= COMPARABLE * widths.max(initial=0)])
        self._size = (frame.shape[1], frame.shape[0])

    def note(self) -> str:
        """How many people there are and how to choose one; empty for one person, and for two in a single one of more
        than two frames: that is no second signer."""
        if self._finder is None:
            return NOT_LOOKED
        counts = [len(faces) for faces in self._people]
        crowded = sum(count > 1 for count in counts)
        if crowded < min(2, len(counts)) or not crowded:
            return ""
        boxes = " or ".join(f"--person {','.join(map(str, box))}" for box in self._boxes())
        return (
            f"{max(counts)} people are in view in {crowded} of {len(counts)} frames looked at: the estimator follows"
            f" one of them, perhaps not the same one throughout; {boxes} looks at one alone"
        )

    def _boxes(self) -> list[tuple[int, int, int, int]]:
        """The picture cut between the faces of the frame that shows most, along the axis on which they lie apart."""
        faces = max(self._people, key=len)
        middles = (faces[:, :2] + faces[:, 2:]) / 2
        axis = int(np.ptp(middles, axis=0).argmax())
        places = np.sort(middles[:, axis])
        cuts = [0, *((places[1:] + places[:-1]) / 2).round().astype(int).tolist(), self._size[axis]]
        boxes = []
        for start, stop in pairwise(cuts):
            box = np.array([0, 0, *self._size])
            box[axis], box[axis + 2] = start, stop
            x0, y0, x1, y1 = (box + np.tile(self._corner, 2)).tolist()
            boxes.append((x0, y0, x1, y1))
        return boxes
