"""Estimators with known answers, and frames for them: a stand-in, and ONNX models in the shape of RTMPose's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

RATIO = 2


class Brightest:
    """Every point is the brightest pixel; the left hand is not seen in a dark frame."""

    short_side, note = 60, "a note"

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.closed = False

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        self.sizes.append((frame.shape[1], frame.shape[0]))
        bright = frame.sum(-1)
        y, x = np.unravel_index(bright.argmax(), bright.shape)
        points = np.tile((float(x), float(y), 0.9), (133, 1))
        if bright.max() < 3 * 128:
            points[list(LAYOUT.left_hand), 2] = 0
        return points

    def close(self) -> None:
        self.closed = True


def spot(x: int, y: int, width: int = 20, height: int = 26, value: int = 255) -> np.ndarray:
    frame = np.zeros((height, width, 3), np.uint8)
    frame[y, x] = value
    return frame


def write_model(
    path: Path,
    width: int,
    height: int,
    *,
    points: int = 133,
    names: tuple[str, ...] = ("simcc_x", "simcc_y"),
    input_shape: tuple[int | str, ...] | None = None,
    along_y: int = RATIO,
    channels: int = 3,
) -> Path:
    """Point k is the brightest pixel of channel k % 3: entry 2i of its scores along an axis is that axis' maximum at i.

    names: of the outputs that are written, x first; along_y: entries per pixel along y; channels: more than 3 fail.
    """
    pytest.importorskip("onnx", reason="the extra dev is not installed whole")
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def spread(size: int, ratio: int) -> np.ndarray:
        matrix = np.zeros((size, ratio * size), np.float32)
        matrix[np.arange(size), ratio * np.arange(size)] = 1
        return matrix

    constants = {
        "spread_x": spread(width, RATIO),
        "spread_y": spread(height, along_y),
        "channels": np.arange(points, dtype=np.int64) % channels,
    }
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["columns"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["input"], ["rows"], axes=[3], keepdims=0),
        helper.make_node("MatMul", ["columns", "spread_x"], ["x"]),
        helper.make_node("MatMul", ["rows", "spread_y"], ["y"]),
        helper.make_node("Gather", ["x", "channels"], ["simcc_x"], axis=1),
        helper.make_node("Gather", ["y", "channels"], ["simcc_y"], axis=1),
    ]
    shape = input_shape or ("batch", 3, height, width)
    graph = helper.make_graph(
        nodes,
        "brightest",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (None, None, None)) for name in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))
    return path


def dots(width: int, height: int, *places: tuple[int, int], value: int = 255) -> np.ndarray:
    """uint8 (height, width, 3), black but for one red, one green and one blue pixel at these x, y."""
    frame = np.zeros((height, width, 3), np.uint8)
    for channel, (x, y) in enumerate(places):
        frame[y, x, channel] = value
    return frame
