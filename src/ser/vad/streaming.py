"""Speech detection in live audio: frame after frame, from what has come so far alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

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
#: By pitch: samples of a window; frames over which pitch must move; frames after voice that are
#: speech, too (consonants); and dB below the running peak that the RMS of voice may lie.
VOICE_WINDOW, MOVING_FRAMES, HANGOVER, LEAST_RMS_DB = 1024, 6, 6, 36.0
#: What is fed is worked on in pieces of so many samples.
PIECE = 64 * FRAME

#: Frames (n, n_samples), by pitch with the samples before them, scaled -> which are speech (n,).
Judge = Callable[[np.ndarray], Sequence[bool]]


class StreamingDetector:
    """Says of each 32 ms frame at `SR` Hz whether it is speech; any chunks give the same flags.

    What `ser.vad.detect` does with a whole recording is done with what has come so far: a running
    high-pass filter, and a running peak, which rises at once and falls slowly, in place of the
    recording's. So many frames are computed together, whatever came with them: so chunks change
    no rounding.

    detector : as in `choose_detector`, whose errors it raises. at_once : frames that are computed
        together, once all of them are there: 1 where flags are awaited, more where time counts.

    >>> detector = StreamingDetector(detector="energy")
    >>> detector(np.zeros(1000, np.float32)), detector(np.zeros(100, np.float32))
    (array([False]), array([False]))
    """

    def __init__(self, *, detector: Detector = "auto", at_once: int = 1) -> None:
        chosen = choose_detector(detector)
        self._at_once = at_once
        self._judge: Judge = _Silero() if chosen == "silero" else _Voice()
        self._before = 0 if chosen == "silero" else VOICE_WINDOW - FRAME
        self._filter = HighPass(cutoff_hz=RUMBLE_HZ, sr=SR)
        self._waiting = np.zeros(self._before, dtype=np.float32)
        self._peak = LEAST_PEAK
        self._falls = 10 ** (-PEAK_FALLS_DB * FRAME / SR / 20)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Flags, bool (n_frames,), of the frames that the next samples y (n_samples,) complete.

        Raises AudioError where y is not one-dimensional and finite.
        """
        check_samples(y)
        flags: list[bool] = []
        for start in range(0, y.size, PIECE):
            new = self._filter(y[start : start + PIECE])
            flags += self._take(np.concatenate([self._waiting, new]), self._at_once)
        return np.array(flags, dtype=bool)

    def close(self) -> np.ndarray:
        """Flags, bool (n_frames,), of the frames that waited for others; the signal ends here."""
        return np.array(self._take(self._waiting, 1), dtype=bool)

    def _take(self, samples: np.ndarray, at_once: int) -> list[bool]:
        """Flags of whole groups of frames; what is left over waits."""
        n = (samples.size - self._before) // FRAME // at_once * at_once
        flags: list[bool] = []
        for first in range(0, n * FRAME, at_once * FRAME):
            own = samples[first : first + self._before + at_once * FRAME]
            flags += self._judge(self._scaled(own))
        self._waiting = samples[n * FRAME :]
        return flags

    def _scaled(self, samples: np.ndarray) -> np.ndarray:
        """Frames with the samples before them, (n, before + FRAME), each by its running peak."""
        frames = sliding_window_view(samples, self._before + FRAME)[::FRAME]
        scales = []
        for peak in np.abs(frames[:, self._before :]).max(axis=1).tolist():
            self._peak = max(self._peak * self._falls, peak, LEAST_PEAK)
            scales.append(PEAK / self._peak)
        return frames * np.array(scales, dtype=np.float32)[:, None]


class _Silero:
    """The network, with the state and the samples before that it keeps, and hysteresis."""

    def __init__(self) -> None:
        self._network = silero.Silero()
        self._speaks = False

    def __call__(self, frames: np.ndarray) -> list[bool]:
        flags = []
        for probability in self._network.probabilities(frames.ravel()):
            self._speaks = bool(probability >= (STAYS if self._speaks else LEAST_PROBABILITY))
            flags.append(self._speaks)
        return flags


class _Voice:
    """Voice by pitch alone, as in `ser.vad.pitch`, from the last frames.

    A frame is voice where it is periodic, loud beside what came before, of more than one partial,
    and where the pitch of the last frames moved. Consonants around are bridged afterwards only: of
    an onset, what lies before the first moving pitch is the preroll's.
    """

    def __init__(self) -> None:
        self._octaves: list[float] = []
        self._since = HANGOVER

    def __call__(self, frames: np.ndarray) -> list[bool]:
        n_fft = frames.shape[1]
        rms = np.sqrt(np.mean(np.square(frames), axis=1))
        loud = rms > PEAK * 10 ** (-LEAST_RMS_DB / 20)
        flags: list[bool] = []
        for rows, block in power_blocks(frames):
            power = block.copy()
            power[:, : round(pitch.LOWEST_HZ * n_fft / SR)] = 0.0
            f0, harmonicity = track_f0(
                power, sr=SR, n_fft=n_fft, f0_min=pitch.F0_MIN, f0_max=pitch.F0_MAX
            )
            rich = power.max(axis=1) <= pitch.MOST_IN_ONE_BIN * power.sum(axis=1, dtype=np.float64)
            voiced = (harmonicity >= pitch.PERIODIC) & loud[rows] & rich
            flags += map(self._moves, voiced.tolist(), f0.tolist())
        return flags

    def _moves(self, voiced: bool, f0: float) -> bool:
        self._octaves = [*self._octaves, math.log2(f0)][-MOVING_FRAMES:] if voiced else []
        moves = len(self._octaves) > 1 and (
            max(self._octaves) - min(self._octaves) >= pitch.LEAST_GLIDE
        )
        self._since = 0 if moves else self._since + 1
        return self._since < HANGOVER
