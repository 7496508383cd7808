"""`EmotionCnn` of a bundle, without torch: the same weights, run by ONNX Runtime and NumPy.

Log-mels are embedded one by one: a batch of different lengths needs a mask after every layer, where
one clip needs none, and saves nothing. On one thread of an EPYC with AVX-512 a clip of 3 s took
0.30 ms alone and 0.30 ms in batches of 16; torch took 1.0 and 0.47 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from ser.core.inference.graphs import Graph
from ser.models.networks.windows import SCALE_DB, embedded
from ser.params import CnnParams

#: As in torch: added to variances by batch norm, and by the pooling.
NORM_EPSILON, POOL_EPSILON = 1e-5, 1e-5
#: Of the convolutions over (time, mel): channels as multiples of the first one's, kernel, stride.
LAYERS = ((1, (7, 5), (4, 2)), (2, (3, 3), (1, 2)), (3, (3, 3), (1, 2)), (4, (3, 3), (1, 2)))
#: Frames of the convolution over time, and units of the attention.
TEMPORAL, HIDDEN = 5, 64
#: What a batch norm keeps beside its scale and bias; no trained parameters.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

Weights = Mapping[str, np.ndarray]


class CnnWithoutTorch:
    """A `Network` from the weights of an `EmotionCnn` by torch's names.

    Raises ValueError where these are not the weights of a network of that size.
    """

    def __init__(self, weights: Weights, *, n_mels: int, n_classes: int, params: CnnParams) -> None:
        found = {name: value.shape for name, value in weights.items()}
        expected = shapes(n_mels=n_mels, n_classes=n_classes, params=params)
        if found != expected:
            name = next(n for n in [*expected, *found] if expected.get(n) != found.get(n))
            raise ValueError(f"{name} is {found.get(name)}, not {expected.get(name)}")
        self.n_mels = n_mels
        self._weights = dict(weights)
        self._session = _session(weights, n_mels=n_mels)
        # The head's batch norm and its linear layer are one matrix and one bias.
        scale, shift = _norm(weights, "head.0")
        linear = weights["head.2.weight"].astype(np.float64)
        self._head = (linear * scale).T
        self._head_bias = linear @ shift + weights["head.2.bias"]

    @property
    def n_parameters(self) -> int:
        return sum(
            value.size for name, value in self._weights.items() if not name.endswith(STATISTICS)
        )

    def embed_all(self, log_mel: Sequence[np.ndarray]) -> np.ndarray:
        return embedded(
            log_mel, self._embed, n_mels=self.n_mels, n_embedding=len(self._head), batch_size=1
        )

    def posteriors(self, embeddings: np.ndarray) -> np.ndarray:
        logits = np.asarray(embeddings, dtype=np.float64) @ self._head + self._head_bias
        return np.asarray(softmax(logits, axis=1))

    def weights(self) -> dict[str, np.ndarray]:
        return self._weights

    def _embed(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        (x,) = batch
        x = x.astype(np.float32)
        # Less its mean level, which depends on the microphone, as `normalised` does.
        x -= np.float32(x.mean(dtype=np.float64))
        x /= np.float32(SCALE_DB)
        return np.asarray(self._session.run(None, {"log_mel": x[None, None]})[0])


def shapes(*, n_mels: int, n_classes: int, params: CnnParams) -> dict[str, tuple[int, ...]]:
    """The shape of each of an `EmotionCnn`'s weights by its name."""
    base, width = params.channels, params.width
    found: dict[str, tuple[int, ...]] = {}

    def norm(name: str, n: int) -> None:
        found.update({f"{name}.{part}": (n,) for part in ("weight", "bias", *STATISTICS[:2])})
        found[f"{name}.{STATISTICS[2]}"] = ()

    n_in, bands = 1, n_mels
    for place, (multiple, kernel, stride) in enumerate(LAYERS):
        found[f"layers.{place}.conv.weight"] = (multiple * base, n_in, *kernel)
        norm(f"layers.{place}.norm", multiple * base)
        n_in, bands = multiple * base, -(-bands // stride[1])
    found["project.0.weight"] = (width, n_in * bands, 1)
    norm("project.1", width)
    found["temporal.1.weight"] = (width, width, TEMPORAL)
    norm("temporal.2", width)
    for part, (n_out, n_own) in (("0", (HIDDEN, width)), ("2", (width, HIDDEN))):
        found[f"pool.attention.{part}.weight"] = (n_out, n_own, 1)
        found[f"pool.attention.{part}.bias"] = (n_out,)
    norm("head.0", 2 * width)
    found["head.2.weight"], found["head.2.bias"] = (n_classes, 2 * width), (n_classes,)
    return found


def _session(weights: Weights, *, n_mels: int) -> Any:
    """Embedding (1, n_embedding) of a normalised log_mel (1, 1, n_frames, n_mels)."""
    graph, x = Graph(), "log_mel"
    for place, (_, kernel, stride) in enumerate(LAYERS):
        pads = [size // 2 for size in kernel] * 2
        own = _folded(weights, f"layers.{place}.conv", f"layers.{place}.norm")
        x = graph.add("Relu", graph.add("Conv", x, *own, strides=stride, pads=pads))
    # What is over time alone stays a convolution over (time, mel), of one mel: no transposition.
    channels = weights[f"layers.{len(LAYERS) - 1}.conv.weight"].shape[0]
    projection, bias = _folded(weights, "project.0", "project.1")
    projection = projection.reshape(len(projection), channels, 1, -1)
    x = graph.add("Relu", graph.add("Conv", x, projection, bias))
    kernel_over_time, bias = _folded(weights, "temporal.1", "temporal.2")
    half = TEMPORAL // 2
    over_time = graph.add("Conv", x, kernel_over_time[..., None], bias, pads=[half, 0, half, 0])
    x = graph.add("Relu", graph.add("Add", x, over_time))
    embedding = _pooled(graph, x, weights)
    return graph.session({"log_mel": [1, 1, "n_frames", n_mels]}, outputs=[embedding])


def _pooled(graph: Graph, x: str, weights: Weights) -> str:
    """Attentive statistics of x (1, width, n_frames, 1): (1, 2 * width)."""
    attention = x
    for place in ("0", "2"):
        kernel = weights[f"pool.attention.{place}.weight"][..., None]
        attention = graph.add("Conv", attention, kernel, weights[f"pool.attention.{place}.bias"])
        if place == "0":
            attention = graph.add("Tanh", attention)
    frames, last = np.array([2]), np.array([2, 3])
    share = graph.add("Softmax", attention, axis=2)
    mean = graph.add("ReduceSum", graph.add("Mul", share, x), frames, keepdims=1)
    away = graph.add("Sub", x, mean)
    square = graph.add("Mul", share, graph.add("Mul", away, away))
    variance = graph.add("ReduceSum", square, frames, keepdims=1)
    deviation = graph.add("Sqrt", graph.add("Add", variance, np.float32(POOL_EPSILON)))
    return graph.add("Squeeze", graph.add("Concat", mean, deviation, axis=1), last)


def _folded(weights: Weights, conv: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a convolution without bias with the batch norm behind it."""
    scale, shift = _norm(weights, norm)
    kernel = weights[f"{conv}.weight"]
    folded = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    return folded.astype(np.float32), shift.astype(np.float32)


def _norm(weights: Weights, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm multiplies by and then adds, each float64 (n,)."""
    weight, bias, mean, variance = (
        weights[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias", *STATISTICS[:2])
    )
    scale = weight / np.sqrt(variance + NORM_EPSILON)
    return scale, bias - mean * scale
