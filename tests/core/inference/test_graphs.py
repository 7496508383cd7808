"""Graphs that are made in code, run by ONNX Runtime."""

import subprocess
import sys

import numpy as np
import psutil
import pytest

from ser.core.inference.graphs import Graph


def convolution(channels: int = 64):
    """A session of (1, 8, n) -> (1, channels, n), and its kernel."""
    kernel = np.random.default_rng(0).normal(size=(channels, 8, 5)).astype(np.float32)
    graph = Graph()
    out = graph.add("Conv", "x", kernel, pads=[2, 2])
    return graph.session({"x": [1, 8, "n"]}, outputs=[out]), kernel


def test_a_graph_computes_what_it_is_made_of():
    session, kernel = convolution()
    x = np.random.default_rng(1).normal(size=(1, 8, 30)).astype(np.float32)
    (found,) = session.run(None, {"x": x})
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x[0], [(0, 0), (2, 2)]), 5, axis=1)
    np.testing.assert_allclose(found[0], np.einsum("oik,ink->on", kernel, windows), atol=1e-4)


def test_an_operator_may_have_several_outputs():
    graph = Graph()
    halves = graph.node("Split", "x", outputs=2, num_outputs=2)
    session = graph.session({"x": ["n"]}, outputs=halves)
    first, second = session.run(None, {"x": np.arange(6, dtype=np.float32)})
    assert (first.tolist(), second.tolist()) == ([0, 1, 2], [3, 4, 5])


def test_what_is_no_graph_is_a_value_error():
    graph = Graph()
    out = graph.add("MatMul", np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="no network of this kind"):
        graph.session({}, outputs=[out])


TELEMETRY = """
import numpy as np
from ser.core.inference.graphs import Graph
graph = Graph()
graph.session({"x": ["n"]}, outputs=[graph.add("Relu", "x")]).run(None, {"x": np.ones(3, "f")})
"""


def test_nothing_is_written_into_the_users_cache(tmp_path, monkeypatch):
    """ONNX Runtime's telemetry keeps an identifier of the machine there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run([sys.executable, "-c", TELEMETRY], check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_memory_of_a_long_input_is_given_back():
    kernel = np.ones((64, 8, 5), np.float32)
    graph = Graph()
    many = graph.add("Relu", graph.add("Conv", "x", kernel, pads=[2, 2]))
    session = graph.session({"x": [1, 8, "n"]}, outputs=[graph.add("ReduceMax", many)])

    def memory_after(n):
        session.run(None, {"x": np.zeros((1, 8, n), np.float32)})
        return psutil.Process().memory_info().rss

    before = max(memory_after(n) for n in range(1, 500, 7))
    # 256 MB of values between the operators.
    assert memory_after(1_000_000) - before < 30e6
