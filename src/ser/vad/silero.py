"""Silero's voice-activity network, run by NumPy on the weights in its package.

Silero Team (2024), "Silero VAD", MIT licence; the layers are those of the 16 kHz model, release
6.2. The package's own code needs torch, sets the threads of the whole process on import, and
keeps the state of one caller in the model.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ser.core.utterance.waveform import resample
from ser.errors import BundleError, ParamsError

#: The network's rate, samples of a frame, and samples of the frame before that it takes again.
SR, FRAME, CONTEXT = 16_000, 512, 64
#: Samples of its transform: window, hop, and those mirrored at the frame's end.
N_FFT, HOP, MIRRORED = 256, 128, 64
#: Frames that are computed at once.
BLOCK = 512
WEIGHTS = "data/silero_vad_16k.safetensors"

Weights = dict[str, np.ndarray]


def installed() -> bool:
    """Whether the extra `vad` is installed."""
    return find_spec("silero_vad") is not None


def speech_probabilities(y: np.ndarray, *, sr: int) -> np.ndarray:
    """P(speech) of each 32 ms frame of mono y (n_samples,): float32 (n_frames,).

    The last frame is filled up with zeros. Raises ParamsError without the package, BundleError
    where its weights are not those of this network.
    """
    weights = load_weights()
    y = resample(y, sr_in=sr, sr_out=SR)
    n = -(-y.size // FRAME)
    padded = np.zeros(CONTEXT + n * FRAME, dtype=np.float32)
    padded[CONTEXT : CONTEXT + y.size] = y
    frames = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
    if n == 0:
        return np.zeros(0, dtype=np.float32)
    codes = [_encoded(frames[start : start + BLOCK], weights) for start in range(0, n, BLOCK)]
    return _decoded(np.concatenate(codes), weights)


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """The package's weights by name; raises as `speech_probabilities` does."""
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


def _encoded(frames: np.ndarray, weights: Weights) -> np.ndarray:
    """Output of the convolutions for frames (n, CONTEXT + FRAME): (n, 128)."""
    y = np.pad(frames, [(0, 0), (0, MIRRORED)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(y, N_FFT, axis=1)[:, ::HOP]
    spectrum = windows @ weights["stft_conv.weight"][:, 0].T
    real, imaginary = np.split(spectrum, 2, axis=2)
    x = np.sqrt(np.square(real) + np.square(imaginary))
    for layer, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        x = _convolved(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride=stride)
    return x[:, 0]


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, stride: int) -> np.ndarray:
    """ReLU of a convolution over time: x (n, n_steps, n_in), weight (n_out, n_in, 3)."""
    x = np.pad(x, [(0, 0), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2], axis=1)[:, ::stride]
    flat = windows.reshape(*windows.shape[:2], -1)
    return np.maximum(flat @ weight.reshape(len(weight), -1).T + bias, 0.0)


def _decoded(codes: np.ndarray, weights: Weights) -> np.ndarray:
    """P(speech) (n,) by the recurrent layer over codes (n, 128), frame after frame."""
    width = codes.shape[1]
    # torch's order of gates is input, forget, new, output; here `new` comes last. Of the others
    # the sigmoid is half of (1 + tanh of half): one call of tanh serves all four.
    order = np.r_[0 : 2 * width, 3 * width : 4 * width, 2 * width : 3 * width]
    half = np.repeat(np.array([0.5, 1.0], dtype=np.float32), [3 * width, width])
    into = codes @ weights["lstm_cell.weight_ih"].T
    into += weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"]
    into = into[:, order] * half
    again = np.ascontiguousarray(weights["lstm_cell.weight_hh"].T[:, order] * half)
    states = np.empty_like(codes)
    hidden, cell = np.zeros((2, width), dtype=np.float32)
    gates = np.empty(4 * width, dtype=np.float32)
    sigmoids, new = gates[: 3 * width], gates[3 * width :]
    take, keep, give = np.split(sigmoids, 3)
    for t, own in enumerate(into):
        np.matmul(hidden, again, out=gates)
        gates += own
        np.tanh(gates, out=gates)
        sigmoids += 1.0
        sigmoids *= 0.5
        cell *= keep
        new *= take
        cell += new
        hidden = states[t]
        np.tanh(cell, out=hidden)
        hidden *= give
    logits = np.maximum(states, 0.0) @ weights["final_conv.weight"][0, :, 0]
    logits += weights["final_conv.bias"][0]
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * logits) + np.float32(1.0))
