"""The libraries that run a traced graph on a CPU: a graph to a file, and a file to a function of named arrays.

Threads are not pinned to cores: several processes of one machine would all take the first ones.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from signgen.errors import OptionError
from signgen.models.backends.graph import Graph, Inputs

Arrays = dict[str, np.ndarray]
ROWS_AXIS = "rows"


class Runtime(Protocol):
    """package: what is imported, and installed by `extra`. file: the graph's name."""

    package: ClassVar[str]
    extra: ClassVar[str]
    file: ClassVar[str]

    @staticmethod
    def write(graph: Graph, example: Inputs, path: Path) -> None:
        """Trace the graph with the example and write it; the first axis of every input stays free."""

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        """Load a file that `write` wrote."""

    def run(self, inputs: Arrays) -> np.ndarray:
        """The graph's output for float32 inputs by name. Raises what the library raises where shapes do not fit."""


class OpenVino(Runtime):
    """OpenVINO's IR. It is compiled for each number of rows that it meets: free rows cost a tenth of the time."""

    package, extra, file = "openvino", "openvino", "denoiser.xml"

    @staticmethod
    def write(graph: Graph, example: Inputs, path: Path) -> None:
        openvino = _openvino()
        given = tuple(example.values())
        with _tracing():
            traced = torch.jit.trace(graph, given, check_trace=False, strict=False)
            model = openvino.convert_model(traced, example_input=given)
        shapes = {}
        for port, (name, value) in zip(model.inputs, example.items(), strict=True):
            port.get_tensor().set_names({name})
            port.get_node().set_friendly_name(name)
            shapes[port] = openvino.PartialShape([-1, *value.shape[1:]])
        model.reshape(shapes)
        openvino.save_model(model, path, compress_to_fp16=False)

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        self._core, self._path = _openvino().Core(), path
        self._core.read_model(path)  # a damaged file is found here
        self._settings = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self._requests: dict[int, Any] = {}

    def run(self, inputs: Arrays) -> np.ndarray:
        rows = len(inputs["sample"])
        if rows not in self._requests:
            model = self._core.read_model(self._path)
            model.reshape({name: list(value.shape) for name, value in inputs.items()})
            self._requests[rows] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        return next(iter(self._requests[rows].infer(inputs, share_inputs=True).values()))


class Onnx(Runtime):
    """ONNX, run by onnxruntime in float32."""

    package, extra, file = "onnxruntime", "onnx", "denoiser.onnx"

    @staticmethod
    def write(graph: Graph, example: Inputs, path: Path) -> None:
        import_module("onnx")  # which torch writes through
        axes = {name: {0: ROWS_AXIS} for name in (*example, "output")}
        with _tracing():
            torch.onnx.export(
                graph,
                tuple(example.values()),
                str(path),
                input_names=[*example],
                output_names=["output"],
                dynamic_axes=axes,
                opset_version=17,
                dynamo=False,
            )

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Between two calls torch computes on the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Arrays) -> np.ndarray:
        return self._session.run(None, inputs)[0]


RUNTIMES: dict[str, type[Runtime]] = {"openvino": OpenVino, "onnx": Onnx}


def runtime_of(backend: str) -> type[Runtime]:
    """The runtime by its name. Raises OptionError where its package is not installed."""
    runtime = RUNTIMES[backend]
    try:
        _openvino() if backend == "openvino" else import_module(runtime.package)
    except ImportError as error:
        found = f"--backend {backend}: {runtime.package} cannot be imported ({error})"
        raise OptionError(found, fix=f"pip install 'signgen[{runtime.extra}]'") from error
    return runtime


def version_of(backend: str) -> dict[str, str]:
    """Package -> version of what computes beside torch; empty for torch."""
    return {} if backend == "torch" else {RUNTIMES[backend].package: version(RUNTIMES[backend].package)}


def _openvino() -> Any:
    """The package, without the one by which it would report every import over the network."""
    reporter = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules["openvino_telemetry"]
        if reporter is not None:
            sys.modules["openvino_telemetry"] = reporter


@contextmanager
def _tracing() -> Iterator[None]:
    """What tracing warns of are checks of shapes, which are the same in every call, and its own age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
