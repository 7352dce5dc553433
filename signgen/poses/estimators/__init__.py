"""Frames in, keypoints out: MediaPipe Holistic, or a whole-body ONNX model from a path, behind one protocol.

Neither is a dependency of signgen: each comes with an extra (`pose`, `onnx`) and is imported when it is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from signgen.errors import PoseError, nearest
from signgen.poses.estimators.base import Estimator, extract
from signgen.poses.estimators.holistic import Holistic
from signgen.poses.estimators.simcc import SimccModel

__all__ = ["ESTIMATORS", "Estimator", "extract", "fingerprint", "open_estimator"]

ESTIMATORS: dict[str, Callable[[], Estimator]] = {"mediapipe": Holistic}


def fingerprint(name: str | None = None, model: Path | None = None) -> str:
    """Which network estimates, as model cards name it: `onnx:` and the SHA-256 of the file `model`, or the name.

    Raises PoseError where the file cannot be read.
    """
    if model is None:
        return name or next(iter(ESTIMATORS))
    try:
        return f"onnx:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    except OSError as error:
        raise PoseError(f"{model}: cannot be read ({error.strerror})", expected="a whole-body ONNX model") from error


def open_estimator(name: str | None = None, model: Path | None = None) -> Estimator:
    """The estimator of this name (mediapipe where neither is given), or the one in the ONNX file `model`.

    Raises PoseError for an unknown name, for both at once, and where the extra is not installed.
    """
    if model is not None and name is not None:
        raise PoseError(f"estimator {name} and the model {model}", expected="one of the two")
    if model is not None:
        return SimccModel(model)
    name = name or next(iter(ESTIMATORS))
    if name not in ESTIMATORS:
        meant = nearest(name, list(ESTIMATORS))
        fix = f"did you mean {meant}?" if meant else "for a model of your own give --onnx FILE or --posenet FOLDER"
        raise PoseError(f"unknown estimator {name!r}", expected=" or ".join(ESTIMATORS), fix=fix)
    return ESTIMATORS[name]()
