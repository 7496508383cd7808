"""Waveforms: mixed to one channel, resampled, high-passed, scaled and trimmed. Pure."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy  # A submodule is loaded at its first use: most stages need none.
import soxr

from ser.errors import AudioError, EmptyAudio

#: Length of the blocks whose energy decides what is silence.
TRIM_BLOCK_SECONDS = 0.010
#: Hz below which there is no speech, the default of `features.high_pass_hz`.
RUMBLE_HZ = 70.0
#: The high-pass filter, of Chebyshev's type II (flat in the passband): its order, the attenuation
#: of its stopband, and the ratio of its 3 dB frequency to the edge of the stopband.
HIGH_PASS_ORDER, HIGH_PASS_STOP_DB = 7, 70.0
HIGH_PASS_RATIO = np.cosh(np.arccosh(np.sqrt(10 ** (HIGH_PASS_STOP_DB / 10) - 1)) / HIGH_PASS_ORDER)
#: Seconds at the beginning in which the filter, which takes what was before for a constant, may
#: ring louder than soft speech. Where bounds are found without a noise floor: at most the margin.
SETTLING_SECONDS, MARGIN_SETTLING_SECONDS = 0.150, 0.050
#: Blocks at the end, the last one cut short, in which a resampler rings where a signal breaks off.
END_BLOCKS = 2
#: Of recordings shorter than this many times what does not count, all counts.
SHORT = 3
#: Percentile of the blocks' energies that is the noise floor, and how far below the loudest block
#: nothing is ever taken for noise.
NOISE_PERCENTILE, LEAST_TOP_DB = 10, 12.0


def mono(y: np.ndarray) -> np.ndarray:
    """The mean of the channels.

    y : (n_samples,) or (n_samples, n_channels), as soundfile reads.
    Returns float32 (n_samples,). Raises AudioError for any other shape.

    >>> mono(np.array([[0.5, 0.25], [0.0, 1.0]]))
    array([0.375, 0.5  ], dtype=float32)
    """
    y = np.asarray(y, dtype=np.float32)
    if y.ndim == 1:
        return y
    if y.ndim != 2 or y.shape[1] == 0:
        raise AudioError(f"has shape {y.shape}", "(n_samples,) or (n_samples, n_channels)")
    return y[:, 0] if y.shape[1] == 1 else y.mean(axis=1, dtype=np.float32)


def resample(y: np.ndarray, *, sr_in: int, sr_out: int) -> np.ndarray:
    """y (n_samples,) at `sr_out` Hz: float32, ceil or floor of n_samples · sr_out / sr_in samples.

    Band-limited by libsoxr ("HQ", the quality that librosa.resample takes by default).

    >>> resample(np.zeros(44_100), sr_in=44_100, sr_out=16_000).size
    16000
    """
    if sr_in <= 0 or sr_out <= 0:
        raise AudioError(f"is at {sr_in} Hz, to be resampled to {sr_out} Hz", "positive rates")
    y = np.ascontiguousarray(y, dtype=np.float32)
    if sr_in == sr_out or y.size == 0:
        return y
    return np.asarray(soxr.resample(y, sr_in, sr_out, quality="HQ"), dtype=np.float32)


class HighPass:
    """A causal high-pass filter that takes a signal in chunks: any chunks give the same samples.

    It removes what microphones add below speech (DC offset, rumble): 3 dB at `cutoff_hz`, 70 dB
    from about half of it down. The signal before the first sample is assumed to be constant, so
    that a DC offset makes no step.

    >>> y, whole = np.sin(np.arange(8_000) / 9), HighPass(cutoff_hz=70, sr=16_000)
    >>> chunks = HighPass(cutoff_hz=70, sr=16_000)
    >>> np.array_equal(whole(y), np.concatenate([chunks(y[:5]), chunks(y[5:])]))
    True
    """

    def __init__(self, *, cutoff_hz: float, sr: int) -> None:
        """Raises AudioError where `cutoff_hz` does not lie between 0 and half of `sr`."""
        if not 0 < cutoff_hz < sr / 2:
            raise AudioError(
                f"has {sr} samples a second, and is to be filtered above {cutoff_hz:g} Hz",
                "a cutoff between 0 and half of the rate",
                "Correct features.high_pass_hz.",
            )
        self._sos, self._rest = _high_pass_design(cutoff_hz, sr)
        self._state: np.ndarray | None = None

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """The next samples (n_samples,) or (n_samples, n_channels), filtered: float32."""
        if y.size == 0:
            return np.zeros(y.shape, dtype=np.float32)
        if self._state is None:
            self._state = np.multiply.outer(self._rest, y[0].astype(np.float64))
        filtered, self._state = scipy.signal.sosfilt(self._sos, y, axis=0, zi=self._state)
        return np.asarray(filtered, dtype=np.float32)


def forgetting(*, sr: int, cutoff_hz: float, share: float) -> int:
    """Samples after which what came before has a weight of `share` in the filter's output."""
    slowest = np.abs(scipy.signal.sos2zpk(_high_pass_design(cutoff_hz, sr)[0])[1]).max()
    return int(np.ceil(np.log(share) / np.log(slowest)))


def high_pass(y: np.ndarray, *, sr: int, cutoff_hz: float) -> np.ndarray:
    """y (n_samples,) in one piece through `HighPass`: float32 (n_samples,)."""
    return HighPass(cutoff_hz=cutoff_hz, sr=sr)(y)


@lru_cache(maxsize=16)
def _high_pass_design(cutoff_hz: float, sr: int) -> tuple[np.ndarray, np.ndarray]:
    """Second-order sections, and their state after a constant 1 for ever."""
    # The bilinear transform warps frequencies; the ratio holds for the warped ones.
    edge = sr / np.pi * np.arctan(np.tan(np.pi * cutoff_hz / sr) / HIGH_PASS_RATIO)
    sos = scipy.signal.cheby2(
        HIGH_PASS_ORDER, HIGH_PASS_STOP_DB, edge, btype="highpass", output="sos", fs=sr
    )
    return sos, scipy.signal.sosfilt_zi(sos)


def levelled(y: np.ndarray, *, level_db: float) -> np.ndarray:
    """y (n_samples,) scaled to a root mean square of `level_db` dB re 1; silence as it is.

    Samples may then lie beyond ±1: nothing is clipped.

    >>> levelled(np.array([0.5, -0.5], dtype=np.float32), level_db=-20)
    array([ 0.1, -0.1], dtype=float32)
    """
    return y * level_gain(y, level_db=level_db)


def level_gain(y: np.ndarray, *, level_db: float) -> np.float32:
    """What `levelled` multiplies y (n_samples,) by; 1 for silence."""
    rms = float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))
    return np.float32(1.0 if rms == 0 else 10 ** (level_db / 20) / rms)


def trim(
    y: np.ndarray, *, sr: int, top_db: float = 40.0, margin_seconds: float = 0.050
) -> np.ndarray:
    """A view of y (n_samples,) without the silence at both ends, as `trim_bounds` finds it."""
    start, stop = trim_bounds(y, sr=sr, top_db=top_db, margin_seconds=margin_seconds)
    return y[start:stop]


def trim_bounds(
    y: np.ndarray,
    *,
    sr: int,
    top_db: float,
    margin_seconds: float,
    noise_db: float | None = None,
) -> tuple[int, int]:
    """The samples [start, stop) of y (n_samples,) between the silence at both ends.

    Silence is every 10 ms block whose energy lies more than `top_db` below the loudest block's;
    `margin_seconds` of it stay on each side. Digital silence is returned whole: the caller judges
    it. Like librosa.effects.trim, at a tenth of its cost.

    noise_db : silence is, too, what lies less than this above the noise floor, the level of the
    quietest tenth of the blocks. Without it (None) noise 35 dB below speech is no silence, and
    nothing is trimmed.
    """
    if y.size == 0:
        raise EmptyAudio("has no samples", "at least one", "Leave it out.")
    block = trim_block(sr)
    starts = np.arange(0, y.size, block)
    energy = np.add.reduceat(np.square(y, dtype=np.float64), starts)
    if noise_db is None:
        first, last = round(min(margin_seconds, MARGIN_SETTLING_SECONDS) / TRIM_BLOCK_SECONDS), 0
    else:
        first, last = round(SETTLING_SECONDS / TRIM_BLOCK_SECONDS), END_BLOCKS
        if energy.size < SHORT * (first + last):
            first = last = 0
    end = energy.size - last
    if not energy[first:end].any():
        first, end = 0, energy.size
    inside = energy[first:end]
    peak = inside.max()
    if not np.isfinite(peak) or peak <= 0:
        return 0, y.size
    limit = peak * 10 ** (-top_db / 10)
    if noise_db is not None:
        floor = np.percentile(inside, NOISE_PERCENTILE) * 10 ** (noise_db / 10)
        limit = max(limit, min(floor, peak * 10 ** (-LEAST_TOP_DB / 10)))
    loud = np.flatnonzero(inside > limit) + first
    margin = round(margin_seconds * sr)
    # Speech that begins with the first block that counts may have begun before; so with the last.
    start = 0 if loud[0] == first else max(0, int(loud[0]) * block - margin)
    stop = energy.size if loud[-1] == end - 1 else int(loud[-1]) + 1
    return start, min(y.size, stop * block + margin)


def trim_block(sr: int) -> int:
    """Samples of the blocks whose energy decides what is silence."""
    return max(1, round(TRIM_BLOCK_SECONDS * sr))
