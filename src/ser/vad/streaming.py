"""Speech detection in live audio: frame after frame, from what has come so far alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ser.core.features.pitch import track_f0
from ser.core.features.spectrum import power_blocks
from ser.core.utterance.waveform import RUMBLE_HZ, HighPass
from ser.vad import pitch, silero
from ser.vad.detect import LEAST_PROBABILITY, PEAK, Detector, check_samples, choose_detector

#: Hz, and samples of a frame: the network's.
SR, FRAME = silero.SR, silero.FRAME
#: Within speech a frame is speech down to this probability, as in Silero's own iterator.
STAYS = 0.35
#: The running peak falls by so many dB a second, and stays above `LEAST_PEAK`: noise of the last
#: bit must not become as loud as speech.
PEAK_FALLS_DB, LEAST_PEAK = 6.0, 0.001
#: Width of the network's recurrent layer.
WIDTH = 128
#: The network's convolutions: name, steps, stride.
LAYERS = (("conv1", 4, 1), ("conv2", 4, 2), ("conv3", 2, 2), ("conv4", 1, 1))
#: By pitch: samples of a window; frames over which pitch must move; frames after voice that are
#: speech, too (consonants); and dB below the running peak that the RMS of voice may lie.
VOICE_WINDOW, MOVING_FRAMES, HANGOVER, LEAST_RMS_DB = 1024, 6, 6, 36.0
#: What is fed is worked on in pieces of so many samples.
PIECE = 64 * FRAME

#: A frame, with the samples before it that the network takes, scaled -> is it speech?
Judge = Callable[[np.ndarray], bool]


class StreamingDetector:
    """Says of each 32 ms frame at `SR` Hz whether it is speech; any chunks give the same flags.

    What `ser.vad.detect` does with a whole recording is done with what has come so far: a running
    high-pass filter, and a running peak, which rises at once and falls slowly, in place of the
    recording's. Every frame is computed by itself, whatever came with it: so chunks change
    no rounding.

    detector : as in `choose_detector`, whose errors it raises.

    >>> detector = StreamingDetector(detector="energy")
    >>> detector(np.zeros(1000, np.float32)), detector(np.zeros(100, np.float32))
    (array([False]), array([False]))
    """

    def __init__(self, *, detector: Detector = "auto") -> None:
        chosen = choose_detector(detector)
        self._judge: Judge = _Silero() if chosen == "silero" else _Voice()
        self._before = silero.CONTEXT if chosen == "silero" else VOICE_WINDOW - FRAME
        self._filter = HighPass(cutoff_hz=RUMBLE_HZ, sr=SR)
        self._waiting = np.zeros(self._before, dtype=np.float32)
        self._peak = LEAST_PEAK
        self._falls = 10 ** (-PEAK_FALLS_DB * FRAME / SR / 20)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Flags, bool (n_frames,), of the frames that the next samples y (n_samples,) complete.

        Raises AudioError where y is not one-dimensional and finite.
        """
        check_samples(y)
        flags = []
        for start in range(0, y.size, PIECE):
            new = self._filter(y[start : start + PIECE])
            samples = np.concatenate([self._waiting, new])
            n = (samples.size - self._before) // FRAME
            flags += [
                self._is_speech(samples[place : place + self._before + FRAME])
                for place in range(0, n * FRAME, FRAME)
            ]
            self._waiting = samples[n * FRAME :]
        return np.array(flags, dtype=bool)

    def _is_speech(self, samples: np.ndarray) -> bool:
        peak = float(np.abs(samples[self._before :]).max())
        self._peak = max(self._peak * self._falls, peak, LEAST_PEAK)
        return self._judge(samples * np.float32(PEAK / self._peak))


class _Silero:
    """The network of `silero` on one frame at a time, with the state that it keeps."""

    def __init__(self) -> None:
        weights = silero.load_weights()
        self._basis = np.ascontiguousarray(weights["stft_conv.weight"][:, 0].T)
        self._layers = [_Convolution(weights, *layer) for layer in LAYERS]
        self._rows = _mirrored_windows()
        order, scale = _gate_order(WIDTH)
        self._into = np.ascontiguousarray((weights["lstm_cell.weight_ih"].T)[:, order] * scale)
        self._again = np.ascontiguousarray((weights["lstm_cell.weight_hh"].T)[:, order] * scale)
        self._bias = (weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"])[order] * scale
        self._out = weights["final_conv.weight"][0, :, 0]
        self._out_bias = float(weights["final_conv.bias"][0])
        self._hidden, self._cell = np.zeros((2, WIDTH), dtype=np.float32)
        self._speaks = False

    def __call__(self, samples: np.ndarray) -> bool:
        probability = self.probability(samples)
        self._speaks = probability >= (STAYS if self._speaks else LEAST_PROBABILITY)
        return self._speaks

    def probability(self, samples: np.ndarray) -> float:
        """P(speech) of the next samples (CONTEXT + FRAME,)."""
        spectrum = np.square(samples[self._rows] @ self._basis)
        half = spectrum.shape[1] // 2
        x = np.sqrt(spectrum[:, :half] + spectrum[:, half:])
        for layer in self._layers:
            x = layer(x)
        gates = x[0] @ self._into
        gates += self._hidden @ self._again
        gates += self._bias
        np.tanh(gates, out=gates)
        # The sigmoid is half of (1 + tanh of half): the scale of the weights has that half.
        gates[: 3 * WIDTH] += 1.0
        gates[: 3 * WIDTH] *= 0.5
        take, keep, give, new = gates.reshape(4, -1)
        self._cell = keep * self._cell + take * new
        self._hidden = give * np.tanh(self._cell)
        logit = float(np.maximum(self._hidden, 0.0) @ self._out) + self._out_bias
        return 0.5 * (math.tanh(0.5 * logit) + 1.0)


class _Convolution:
    """ReLU of a convolution over the few steps of one frame, the edges filled up with zeros."""

    def __init__(self, weights: silero.Weights, name: str, steps: int, stride: int) -> None:
        weight = weights[f"{name}.weight"]
        # Steps before channels: a window is a piece of contiguous memory.
        self._weight = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))
        self._bias = weights[f"{name}.bias"]
        n_in, width = weight.shape[1:]
        self._padded = np.zeros((steps + 2, n_in), dtype=np.float32)
        flat = np.lib.stride_tricks.sliding_window_view(self._padded.reshape(-1), width * n_in)
        self._windows = flat[:: stride * n_in]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self._padded[1:-1] = x
        # A copy: BLAS takes no windows that overlap.
        y: np.ndarray = np.ascontiguousarray(self._windows) @ self._weight
        y += self._bias
        return np.maximum(y, 0.0, out=y)


def _mirrored_windows() -> np.ndarray:
    """Indices (n_steps, N_FFT) of a frame's samples, the last ones mirrored at its end."""
    size = silero.CONTEXT + silero.FRAME
    place = np.arange(size + silero.MIRRORED)
    place = np.where(place < size, place, 2 * (size - 1) - place)
    return np.lib.stride_tricks.sliding_window_view(place, silero.N_FFT)[:: silero.HOP].copy()


def _gate_order(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Order of the recurrent layer's gates and their scale: input, forget, output by half, new."""
    order = np.r_[0 : 2 * width, 3 * width : 4 * width, 2 * width : 3 * width]
    return order, np.repeat(np.array([0.5, 1.0], dtype=np.float32), [3 * width, width])


class _Voice:
    """Voice by pitch alone, as in `ser.vad.pitch`, from the last frames.

    A frame is voice where it is periodic, loud beside what came before, of more than one partial,
    and where the pitch of the last frames moved. Consonants around are bridged afterwards only: of
    an onset, what lies before the first moving pitch is the preroll's.
    """

    def __init__(self) -> None:
        self._octaves: list[float] = []
        self._since = HANGOVER

    def __call__(self, samples: np.ndarray) -> bool:
        ((_, power),) = power_blocks(samples[None])
        power = power.copy()
        power[:, : round(pitch.LOWEST_HZ * samples.size / SR)] = 0.0
        f0, harmonicity = track_f0(
            power, sr=SR, n_fft=samples.size, f0_min=pitch.F0_MIN, f0_max=pitch.F0_MAX
        )
        total = float(power.sum())
        rms = float(np.sqrt(np.mean(np.square(samples))))
        loud = rms > PEAK * 10 ** (-LEAST_RMS_DB / 20)
        rich = float(power.max()) <= pitch.MOST_IN_ONE_BIN * total
        if harmonicity[0] >= pitch.PERIODIC and loud and rich:
            self._octaves = [*self._octaves, math.log2(f0[0])][-MOVING_FRAMES:]
        else:
            self._octaves = []
        moves = len(self._octaves) > 1 and (
            max(self._octaves) - min(self._octaves) >= pitch.LEAST_GLIDE
        )
        self._since = 0 if moves else self._since + 1
        return self._since < HANGOVER
