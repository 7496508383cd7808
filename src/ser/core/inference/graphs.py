"""Small networks as ONNX graphs: made in code from their weights, run by ONNX Runtime.

No ONNX file is stored: weights stay in the one file that a bundle hashes. Networks of this size
gain nothing from a second thread, and are computed with one: the answer to the same input has the
same bytes on every run, however many threads the process has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Old enough for every ONNX Runtime that the project takes.
OPSET, IR_VERSION = 18, 10
#: A shape; dimensions with a name differ from call to call.
Shape = Sequence[int | str]


class Graph:
    """A graph of float32 values, made operator by operator.

    >>> graph = Graph()
    >>> doubled = graph.add("Mul", "x", np.float32(2))
    >>> run = graph.session({"x": ["n"]}, outputs=[doubled])
    >>> run.run(None, {"x": np.ones(3, np.float32)})
    [array([2., 2., 2.], dtype=float32)]
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, operator: str, *inputs: str | np.ndarray | np.generic, **attributes: Any) -> str:
        """Add one of ONNX's operators; returns the name of its output.

        inputs : names of values, "" for one that is left out, or constants.
        """
        return self.node(operator, *inputs, outputs=1, **attributes)[0]

    def node(
        self,
        operator: str,
        *inputs: str | np.ndarray | np.generic,
        outputs: int,
        **attributes: Any,
    ) -> list[str]:
        """As `add`, for an operator of several outputs."""
        from onnx import helper

        place = len(self._nodes)
        taken = [
            own if isinstance(own, str) else self._constant(np.asarray(own), f"{place}.in.{i}")
            for i, own in enumerate(inputs)
        ]
        made = [f"{place}.out.{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, taken, made, **attributes))
        return made

    def _constant(self, value: np.ndarray, name: str) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def session(self, inputs: Mapping[str, Shape], *, outputs: Sequence[str]) -> Any:
        """An `onnxruntime.InferenceSession` that takes float32 `inputs` and returns `outputs`.

        Raises ValueError where the graph is none, such as weights of another shape. The session may
        be run in several threads at once.
        """
        from onnx import TensorProto, helper

        runtime = _runtime()
        graph = helper.make_graph(
            self._nodes,
            "network",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
                for name, shape in inputs.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        try:
            return runtime.InferenceSession(
                model.SerializeToString(), _options(runtime), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # ONNX Runtime's errors have no common class but this one.
            raise ValueError(f"no network of this kind: {error}") from error


def _runtime() -> Any:
    """ONNX Runtime, imported here alone.

    Its builds send what they compute to their maker, and write an identifier of the machine into
    the user's cache, unless this variable forbids it before the import.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _options(runtime: Any) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.use_deterministic_compute = True
    # They keep the memory of the longest input for the next one; measured without them: as fast.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    # Errors alone: what they warn of is the machine's business, not the caller's.
    options.log_severity_level = 3
    return options
