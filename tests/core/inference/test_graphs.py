"""Graphs that are made in code, run by ONNX Runtime."""

import os
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


def test_other_lengths_take_no_more_memory():
    session, _ = convolution(256)

    def run_all(lengths):
        for n in lengths:
            session.run(None, {"x": np.zeros((1, 8, n), np.float32)})
        return psutil.Process().memory_info().rss

    before = run_all(range(1, 4000, 40))
    # An arena, or a plan for each length, would keep hundreds of megabytes.
    assert run_all(range(2, 4000, 5)) - before < 20e6


SESSION = """
import numpy as np
from ser.core.inference.graphs import Graph
graph = Graph()
doubled = graph.add("Mul", "x", np.float32(2))
graph.session({"x": ["n"]}, outputs=[doubled]).run(None, {"x": np.ones(3, np.float32)})
"""


@pytest.mark.parametrize(("setting", "reports"), [(None, False), ("0", True)])
def test_onnx_runtime_reports_to_nobody_who_has_not_asked_for_it(tmp_path, setting, reports):
    """It keeps an identifier of the machine in the user's cache where it reports."""
    # It is silent in CI, too, where nothing would be tested.
    told = ("ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in told}
    env |= {"HOME": str(tmp_path)} | ({} if setting is None else {told[0]: setting})
    subprocess.run([sys.executable, "-c", SESSION], env=env, check=True)
    assert bool(list(tmp_path.rglob("deviceid"))) == reports
