"""Features of any stretch of an utterance that grows, each frame computed once.

A stretch's features depend on the stretch alone: its high-pass filter begins at its first sample,
its silence is trimmed, its level and its floors are its own, and its first and last frames are
filled up with zeros. What all stretches share is the spectrum of the frames in between, which
costs most: powers, band extremes and F0. They are kept as recorded, and brought to each
stretch's level by its squared gain. A few frames are computed anew for each stretch:

- at both ends, where half a window reaches beyond it;
- at its beginning, where the filter that began with the stretch has not yet forgotten that
  (`forgetting`); from there on it gives the samples of the one that began with the utterance;
- where there is nothing but the filter's dying response, or zeros: in digital silence.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ser.core.features.extract import (
    Features,
    Spectral,
    above_rumble,
    audible,
    extract,
    read_spectrum,
    speech_bounds,
    summed_up,
)
from ser.core.features.spectrum import centred_frames, count_extremes
from ser.core.streaming.growing import Growing
from ser.core.utterance.waveform import HighPass, forgetting, level_gain, trim_block
from ser.params import FeatureParams

#: Share that the time before a stretch may keep in its filtered samples: -180 dB, far below their
#: own rounding (-144 dB).
REMEMBERED = 1e-9
#: Of `Spectral`, what is scaled with the square of the gain.
POWERS = ("mel_and_chroma", "extremes")
#: A frame without a mel of this power holds digital silence: amplitudes below about 3e-8, which is
#: more than what is remembered; a single step of 16 bits has 3e-5.
FAINT = 1e-12


def is_incremental(params: FeatureParams, *, sr: int) -> bool:
    """Whether `GrowingUtterance` can be used: features of our own, frames on the trimming's grid.

    sr : Hz of the samples that will come.
    """
    return (
        params.sr == sr
        and params.functionals == params.log_mel == "ser"
        and params.n_fft % 2 == 0
        and trim_block(sr) % params.hop_length == 0
        and (params.trim_db is None or _margin(params) % params.hop_length == 0)
    )


def _margin(params: FeatureParams) -> int:
    return round(params.trim_margin_seconds * params.sr)


class GrowingUtterance:
    """Samples of an utterance at `params.sr` Hz, from the first one on.

    params : for which `is_incremental` holds.

    >>> hum = np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> utterance = GrowingUtterance(FeatureParams())
    >>> utterance.extend(hum[:5_000])
    >>> utterance.extend(hum[5_000:])
    >>> utterance.features_of(8_000, 16_000).log_mel.shape
    (51, 64)
    """

    def __init__(self, params: FeatureParams) -> None:
        self._params = params
        self._raw, self._filtered = Growing(room=2**16), Growing(room=2**16)
        cutoff = params.high_pass_hz
        self._filter = HighPass(cutoff_hz=cutoff, sr=params.sr) if cutoff else None
        self._settled = (
            forgetting(sr=params.sr, cutoff_hz=cutoff, share=REMEMBERED) if cutoff else 0
        )
        # Frame t is centred at sample t · hop_length; the first ones begin before the utterance.
        self._first = -(-(params.n_fft // 2) // params.hop_length)
        self._faint = Growing(dtype=np.bool_)
        self._spectra = {
            "mel_and_chroma": Growing(params.n_mels + params.n_chroma),
            "extremes": Growing(count_extremes(params)),
            "f0": Growing(dtype=np.float64),
            "harmonicity": Growing(dtype=np.float64),
        }

    def __len__(self) -> int:
        """Samples that have come."""
        return len(self._raw)

    @property
    def raw(self) -> np.ndarray:
        """All samples, as they came."""
        return self._raw.rows

    @property
    def audible(self) -> np.ndarray:
        """All samples, as `ser.core.features.extract.audible` makes them."""
        new = self.raw[len(self._filtered) :]
        if new.size:
            self._filtered.extend(self._filter(new - self.raw[:1]) if self._filter else new)
        return self._filtered.rows

    def extend(self, y: np.ndarray) -> None:
        """Take the next samples, y float32 (n_samples,), finite; nothing is computed yet."""
        self._raw.extend(y)

    def features_of(self, start: int, stop: int) -> Features:
        """As `extract` of the `audible` samples [start, stop): within rounding; raises as it does.

        A stretch whose start is no multiple of the hop shares no frame: it costs what `extract`
        does.
        """
        params, hop, half = self._params, self._params.hop_length, self._params.n_fft // 2
        if start % hop or stop <= start:
            return extract(self._afresh(start, stop), params=params)
        self._complete()
        y, settled = self._audible(start, stop)
        first, last = speech_bounds(y, params=params)
        # Of the n frames from `first` on those in [low, high) are like the utterance's own.
        n = 1 + (last - first) // hop
        low = -(-(max(first, settled) - first + half) // hop)
        high = max(low, (last - first - half) // hop + 1)
        place = (start + first) // hop - self._first
        kept = slice(place + low, place + high)
        anew = np.ones(n, dtype=bool)
        anew[low:high] = self._faint.rows[kept]
        y = y[first:last]
        gain = level_gain(y, level_db=params.level_db) if params.level_db is not None else None
        y = y if gain is None else y * gain
        frames = centred_frames(y, n_fft=params.n_fft, hop_length=hop)
        own = vars(read_spectrum(frames[anew], params=params))
        spectral = {}
        for name, grown in self._spectra.items():
            spectral[name] = np.empty((n, *grown.rows.shape[1:]), dtype=grown.rows.dtype)
            spectral[name][low:high] = grown.rows[kept]
            if gain is not None and name in POWERS:
                spectral[name][low:high] *= gain * gain
            spectral[name][anew] = own[name]
        return summed_up(y, Spectral(**spectral), params=params)

    def _complete(self) -> None:
        """Read the spectra of all frames that have come whole."""
        params, y = self._params, self.audible
        begin = (self._first + len(self._faint)) * params.hop_length - params.n_fft // 2
        if y.size < begin + params.n_fft:
            return
        frames = sliding_window_view(y[begin:], params.n_fft)[:: params.hop_length]
        spectral = vars(read_spectrum(frames, params=params))
        for name, grown in self._spectra.items():
            grown.extend(spectral[name])
        mel = spectral["mel_and_chroma"][:, : params.n_mels]
        self._faint.extend(mel.max(axis=1) < FAINT)

    def _audible(self, start: int, stop: int) -> tuple[np.ndarray, int]:
        """`audible` samples of [start, stop), and from which on they are the utterance's own."""
        if start == 0 or self._filter is None:
            return self.audible[start:stop], 0
        if self._is_faint(start, stop):
            return self._afresh(start, stop), self._settled
        y = self.raw[start:stop]
        # Zeros as long as nothing but a constant has come.
        still = int((y != y[0]).argmax()) or y.size
        settled = min(still + self._settled, y.size)
        begun = above_rumble(y[still - 1 : settled] - y[0], params=self._params)
        rest = self.audible[start + settled : stop]
        return np.concatenate([np.zeros(still - 1, np.float32), begun, rest]), settled

    def _is_faint(self, start: int, stop: int) -> bool:
        """Whether a frame in the stretch, its beginning aside, is faint."""
        hop = self._params.hop_length
        first, last = (edge // hop - self._first for edge in (start + self._settled, stop))
        return bool(self._faint.rows[max(first, 0) : last].any())

    def _afresh(self, start: int, stop: int) -> np.ndarray:
        params = self._params
        return audible(self.raw[start:stop], sr=params.sr, params=params)
