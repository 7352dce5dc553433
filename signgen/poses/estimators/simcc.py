"""A whole-body ONNX model of the RTMPose family (RTMPose, RTMW, DWPose; extra `onnx`): RGB frames in, 133 points out.

As MMPose does it: the person's box, padded and brought to the model's aspect ratio, is warped to its input and
normalised; two outputs hold a score for every half pixel along x and along y (SimCC, Li et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from signgen.errors import PoseError
from signgen.poses.parts import SCORE_THRESHOLD
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # ImageNet, RGB
STD = np.array([58.395, 57.12, 57.375], np.float32)
PADDING = 1.25  # of the box that is cropped, as in training
FOLLOWED = 1.25  # of the box around the points of the frame before: they lie within the person, hands move
_GPU = "CUDAExecutionProvider"
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_INPUT = "one input (1, 3, height, width) of fixed size, float32 or float16"
_OUTPUTS = "two outputs (1, 133, width x ratio) and (1, 133, height x ratio), as RTMPose, RTMW and DWPose have"

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """How a frame lies in a model's input: input px = frame px * scale + shift, for x and y alike."""

    scale: float
    shift: np.ndarray

    @classmethod
    def around(cls, box: Box, width: int, height: int) -> Crop:
        """The box (x0, y0, x1, y1), padded and widened to the aspect ratio of a `width` x `height` input."""
        x0, y0, x1, y1 = box
        scale = min(width / (x1 - x0), height / (y1 - y0)) / PADDING
        middle = np.array([x0 + x1, y0 + y1]) / 2
        return cls(scale, np.array([width, height]) / 2 - middle * scale)

    def pixels(self, frame: np.ndarray, width: int, height: int) -> np.ndarray:
        """uint8 (height, width, 3); black outside the frame."""
        matrix = np.array([[self.scale, 0, self.shift[0]], [0, self.scale, self.shift[1]]])
        return cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_LINEAR)

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) input px to frame px."""
        return (points - self.shift) / self.scale


def decode(along_x: np.ndarray, along_y: np.ndarray, ratio: float) -> np.ndarray:
    """SimCC scores (K, width x ratio), (K, height x ratio) to float64 (K, 3): x, y in input px, score.

    The score is the lower of the two maxima: both axes must be certain of a point.
    """
    places = np.stack([along_x.argmax(1), along_y.argmax(1)], 1) / ratio
    return np.concatenate([places, np.minimum(along_x.max(1), along_y.max(1))[:, None]], 1, dtype=np.float64)


def followed_box(points: np.ndarray, width: int, height: int) -> Box | None:
    """Where the person will be next: around the points (133, 3) seen within the frame, widened, cut at the frame's
    edges. None, which means the whole frame, where a shoulder is not seen.
    """
    inside = ((points[:, :2] >= 0) & (points[:, :2] <= (width - 1, height - 1))).all(1)
    seen = inside & (points[:, 2] >= SCORE_THRESHOLD)
    if not (seen[LAYOUT.left_shoulder] and seen[LAYOUT.right_shoulder]):
        return None
    low, high = points[seen, :2].min(0), points[seen, :2].max(0)
    reach = (high - low) * (FOLLOWED - 1) / 2
    x0, y0 = np.maximum(low - reach, 0)
    x1, y1 = np.minimum(high + reach, (width, height))
    return (float(x0), float(y0), float(x1), float(y1)) if min(x1 - x0, y1 - y0) > 1 else None


class SimccModel:
    """One clip: the first frame is searched as a whole, the next ones around the person seen in the frame before."""

    short_side = 0  # the crop is warped to the input's size anyway

    def __init__(self, path: Path) -> None:
        """Raises PoseError for a file that is no such model; it is run once to see what it returns."""
        self._path, self._session = path, _open(path)
        self.note = _device_note(self._session)
        self._name, self._type, self.height, self.width = _input(path, self._session)
        self._outputs = _output_names(self._session)
        self._ratio = self._checked_ratio()
        self._box: Box | None = None

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to float64 (133, 3), scores as the model gives them (above 1 at times)."""
        height, width = frame.shape[:2]
        crop = Crop.around(self._box or (0, 0, width, height), self.width, self.height)
        pixels = (crop.pixels(frame, self.width, self.height) - MEAN) / STD
        along_x, along_y = self._run(pixels)
        points = decode(along_x, along_y, self._ratio)
        points[:, :2] = crop.to_frame(points[:, :2])
        self._box = followed_box(points, width, height)
        return points

    def close(self) -> None:
        """The session goes with the object."""

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        """float (height, width, 3) to what the model says of x and y, without the batch axis."""
        batch: np.ndarray = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], self._type)
        return [output[0] for output in self._session.run(self._outputs, {self._name: batch})]

    def _checked_ratio(self) -> float:
        """Entries per input pixel, once the outputs have been seen to be those of a whole-body SimCC model."""
        try:
            found = self._run(np.zeros((self.height, self.width, 3), np.float32))
        except Exception as error:  # onnxruntime's errors share no other base
            raise PoseError(f"{self._path}: the model does not run ({_line(error)})", expected=_OUTPUTS) from error
        shapes = [np.shape(output) for output in found]
        if len(found) != 2 or any(len(shape) != 2 for shape in shapes):
            raise PoseError(f"{self._path}: outputs of shape {[(1, *shape) for shape in shapes]}", expected=_OUTPUTS)
        points = {shape[0] for shape in shapes}
        if points != {LAYOUT.points}:
            counts = " and ".join(map(str, sorted(points)))
            raise PoseError(f"{self._path}: a model of {counts} points", expected="133, those of COCO-WholeBody")
        ratio = shapes[0][1] / self.width
        if ratio <= 0 or shapes[1][1] != ratio * self.height:
            raise PoseError(
                f"{self._path}: {shapes[0][1]} and {shapes[1][1]} entries for {self.width}x{self.height}",
                expected=_OUTPUTS,
            )
        return ratio


def _open(path: Path) -> Any:
    """An onnxruntime session, on the GPU where onnxruntime has one."""
    if not path.is_file():
        raise PoseError(f"{path}: no such file", expected="a whole-body ONNX model, e.g. of RTMW or DWPose")
    try:
        import onnxruntime
    except ImportError as error:
        fix = "pip install 'signgen[onnx]'"
        raise PoseError(f"onnxruntime cannot be imported ({error})", fix=fix) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    there = onnxruntime.get_available_providers()
    providers = [name for name in (_GPU, "CPUExecutionProvider") if name in there]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no other base
        raise PoseError(f"{path}: onnxruntime cannot load it ({_line(error)})", expected="an ONNX model") from error


def _input(path: Path, session: Any) -> tuple[str, type, int, int]:
    """Name, dtype, height and width of the input; the batch may be of any size."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) != 4:
        raise PoseError(f"{path}: inputs {[(i.type, i.shape) for i in inputs]}", expected=_INPUT)
    batch, channels, height, width = inputs[0].shape
    fixed = isinstance(height, int) and isinstance(width, int)  # a free size is a name, or None
    if not fixed or channels != 3 or (isinstance(batch, int) and batch != 1):
        raise PoseError(f"{path}: an input of shape {inputs[0].shape}", expected=_INPUT)
    return inputs[0].name, _TYPES[inputs[0].type], height, width


def _output_names(session: Any) -> list[str]:
    """x before y, by the names that MMPose's exports have; else as they come."""
    names = [output.name for output in session.get_outputs()]
    return sorted(names) if set(names) == {"simcc_x", "simcc_y"} else names


def _device_note(session: Any) -> str:
    """Said where onnxruntime was built for a GPU and could not use one."""
    import onnxruntime

    lost = _GPU in onnxruntime.get_available_providers() and _GPU not in session.get_providers()
    return "onnxruntime could not use the GPU: estimated on the CPU" if lost else ""


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
