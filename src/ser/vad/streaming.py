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
#: By pitch: samples of a window; frames over which pitch must move; frames after voice that are
#: speech, too (consonants); and dB below the running peak that the RMS of voice may lie.
VOICE_WINDOW, MOVING_FRAMES, HANGOVER, LEAST_RMS_DB = 1024, 6, 6, 36.0
#: What is fed is worked on in pieces of so many samples.
PIECE = 64 * FRAME

#: A frame, by pitch with the samples before it, scaled -> is it speech?
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
    """The network, with the state and the samples before that it keeps, and hysteresis."""

    def __init__(self) -> None:
        self._network = silero.Silero()
        self._speaks = False

    def __call__(self, samples: np.ndarray) -> bool:
        (probability,) = self._network.probabilities(samples)
        self._speaks = bool(probability >= (STAYS if self._speaks else LEAST_PROBABILITY))
        return self._speaks


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
