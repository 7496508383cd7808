"""Silero's voice-activity network, run by ONNX Runtime on the weights in its package.

Silero Team (2024), "Silero VAD", MIT licence; the layers are those of the 16 kHz model, release
6.2. The package's own code needs torch, sets the threads of the whole process on import, and
keeps the state of one caller in the model. Its ONNX file takes one frame a call; the graph that is
made here takes any number: 9 µs a frame in place of 55, and of 40 by NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ser.core.inference.graphs import Graph
from ser.core.utterance.waveform import resample
from ser.errors import BundleError, ParamsError

#: The network's rate, samples of a frame, and samples of the frame before that it takes again.
SR, FRAME, CONTEXT = 16_000, 512, 64
#: Samples of its transform: window, hop, and those mirrored at the frame's end.
N_FFT, HOP, MIRRORED = 256, 128, 64
#: Windows of a frame.
STEPS = 1 + (CONTEXT + FRAME + MIRRORED - N_FFT) // HOP
#: Width of the recurrent layer.
WIDTH = 128
#: Frames that are computed at once (half a second): a caller who has found enough speech stops.
BLOCK = 16
WEIGHTS = "data/silero_vad_16k.safetensors"

Weights = dict[str, np.ndarray]


@lru_cache(maxsize=1)
def installed() -> bool:
    """Whether the extra `vad` is installed; looked for once, since that takes 0.1 ms."""
    return find_spec("silero_vad") is not None


class Silero:
    """The network on one signal: each call goes on where the one before ended.

    Raises ParamsError without the package, BundleError where its weights are not those of this
    network.
    """

    def __init__(self) -> None:
        load_weights()
        self._session = _session()
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._hidden = self._cell = np.zeros((1, 1, WIDTH), dtype=np.float32)

    def probabilities(self, y: np.ndarray) -> np.ndarray:
        """P(speech) of the next frames of the signal at `SR` Hz: float32 (n,) of y (n · FRAME,)."""
        if y.size == 0:
            return np.zeros(0, dtype=np.float32)
        samples = np.concatenate([self._context, y], dtype=np.float32)
        inputs = {"windows": _windows(samples), "hidden": self._hidden, "cell": self._cell}
        found, self._hidden, self._cell = self._session.run(None, inputs)
        self._context = samples[-CONTEXT:]
        return np.asarray(found)


def speech_probabilities(y: np.ndarray, *, sr: int) -> np.ndarray:
    """P(speech) of each 32 ms frame of mono y (n_samples,): float32 (n_frames,).

    The last frame is filled up with zeros. Raises errors as `Silero` does.
    """
    return np.concatenate([np.zeros(0, dtype=np.float32), *probability_blocks(y, sr=sr)])


def probability_blocks(y: np.ndarray, *, sr: int) -> Iterator[np.ndarray]:
    """`speech_probabilities`, `BLOCK` frames at a time, each computed when it is asked for."""
    network = Silero()
    y = resample(y, sr_in=sr, sr_out=SR)
    step = BLOCK * FRAME
    for start in range(0, y.size, step):
        block = y[start : start + step]
        yield network.probabilities(np.pad(block, (0, -block.size % FRAME)))


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """The package's weights by name; raises errors as `Silero` does."""
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise ParamsError(
            "The detector silero needs the package silero-vad, which is not installed. "
            "Run `pip install 'ser-platform[vad]'`, or choose the detector energy."
        )
    path = Path(spec.submodule_search_locations[0]) / WEIGHTS
    try:
        weights = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BundleError(
            f"{path.name} of silero-vad cannot be read ({error}); expected weights of release "
            "6.2.3 or later. Run `pip install --force-reinstall 'ser-platform[vad]'`."
        ) from error
    shapes = {name: value.shape for name, value in weights.items()}
    if shapes != SHAPES:
        raise BundleError(
            f"{path.name} of silero-vad is for another network; expected that of release 6.2. "
            "Install silero-vad>=6.2.3,<7."
        )
    return weights


SHAPES = {
    "stft_conv.weight": (2 * (1 + N_FFT // 2), 1, N_FFT),
    "conv1.weight": (128, 129, 3),
    "conv1.bias": (128,),
    "conv2.weight": (64, 128, 3),
    "conv2.bias": (64,),
    "conv3.weight": (64, 64, 3),
    "conv3.bias": (64,),
    "conv4.weight": (128, 64, 3),
    "conv4.bias": (128,),
    "lstm_cell.weight_ih": (512, 128),
    "lstm_cell.weight_hh": (512, 128),
    "lstm_cell.bias_ih": (512,),
    "lstm_cell.bias_hh": (512,),
    "final_conv.weight": (1, 128, 1),
    "final_conv.bias": (1,),
}


@lru_cache(maxsize=1)
def _session() -> Any:
    """From `_windows` of frames and the recurrent layer's state to P(speech) and the next state."""
    weights, graph = load_weights(), Graph()
    state = [1, 1, WIDTH]
    code = _encoded(graph, weights)
    # torch's order of gates is input, forget, new, output; ONNX's input, output, forget, new.
    order = np.concatenate([np.arange(WIDTH) + WIDTH * gate for gate in (0, 3, 1, 2)])
    into, again, *biases = (
        weights[f"lstm_cell.{name}"][order]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    states, hidden, cell = graph.node(
        "LSTM",
        code,
        into[None],
        again[None],
        np.concatenate(biases)[None],
        "",
        "hidden",
        "cell",
        outputs=3,
        hidden_size=WIDTH,
    )
    final = weights["final_conv.weight"][0, :, 0]
    logit = graph.add("MatMul", graph.add("Relu", states), final[:, None])
    logit = graph.add("Add", logit, weights["final_conv.bias"])
    probability = graph.add("Reshape", graph.add("Sigmoid", logit), np.array([-1]))
    return graph.session(
        {"windows": ["n_frames", STEPS, N_FFT], "hidden": state, "cell": state},
        outputs=[probability, hidden, cell],
    )


def _windows(samples: np.ndarray) -> np.ndarray:
    """Each frame's windows, (n, STEPS, N_FFT), of samples (CONTEXT + n · FRAME,)."""
    size = CONTEXT + FRAME
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::FRAME]
    mirrored = np.empty((len(frames), size + MIRRORED), dtype=np.float32)
    mirrored[:, :size] = frames
    mirrored[:, size:] = frames[:, -2 : -2 - MIRRORED : -1]
    return np.lib.stride_tricks.sliding_window_view(mirrored, N_FFT, axis=1)[:, ::HOP]


def _encoded(graph: Graph, weights: Weights) -> str:
    """Output of the convolutions for the input "windows": (n, 1, WIDTH), steps of one sequence."""
    spectrum = graph.add("MatMul", "windows", weights["stft_conv.weight"][:, 0].T)
    # Magnitudes: real parts stand before imaginary ones.
    square = graph.add("Mul", spectrum, spectrum)
    parts = graph.add("Reshape", square, np.array([0, STEPS, 2, -1]))
    x = graph.add("Sqrt", graph.add("ReduceSum", parts, np.array([2]), keepdims=0))
    steps = STEPS
    for layer, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        x = _convolved(graph, x, weights, layer, steps=steps, stride=stride)
        steps = -(-steps // stride)
    return x


def _convolved(
    graph: Graph, x: str, weights: Weights, layer: str, *, steps: int, stride: int
) -> str:
    """ReLU of a convolution, three wide, over the steps of each frame: x (n, steps, n_in).

    As one product of matrices over all frames: over a frame's few steps a convolution is slow.
    """
    weight = weights[f"{layer}.weight"]
    x = graph.add("Pad", x, np.array([0, 1, 0, 0, 1, 0]))
    # Of each step its neighbours and itself.
    place = np.arange(0, steps, stride)[:, None] + np.arange(weight.shape[2])
    near = graph.add("Gather", x, place, axis=1)
    flat = graph.add("Reshape", near, np.array([0, len(place), -1]))
    x = graph.add("MatMul", flat, weight.transpose(2, 1, 0).reshape(-1, len(weight)))
    return graph.add("Relu", graph.add("Add", x, weights[f"{layer}.bias"]))
