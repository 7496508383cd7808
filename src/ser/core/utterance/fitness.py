"""What makes a recording unfit for training, for `corpus add`, `audit` and `manifest`. Pure.

Unfit is what no features can be made of, and what holds no speech: since every utterance is scaled
to one level, noise of the last bit would become as loud as speech.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ser import errors
from ser.core.utterance.waveform import RUMBLE_HZ, high_pass

#: Key, in a manifest's metadata, of the recordings that are no rows of it.
LEFT_OUT = "left_out"
#: Left out unchecked: named in data.exclude, or declared bad by the corpus.
EXCLUDED, KNOWN_BAD = "excluded", "known bad"
#: Nothing could be decoded.
UNREADABLE = ("empty", "damaged", "beyond limits", "undecoded")
#: Recordings that the user should restore, not leave out.
MENDABLE = ("changed", "no decoder", "no access")
#: Root mean square that the loudest 25 ms of speech must reach: 4 steps of 16 bits, -78 dB. Noise
#: of the last bit has -92 dB, the softest of RAVDESS (1,440 recordings) and nEMO (1,514) -55 dB.
MIN_RMS, FRAME_SECONDS = 2.0**-13, 0.025
#: Least share of speech that a second pass of the high-pass filter leaves. Of rumble it removes as
#: much as the first pass did: at 50 Hz 27 dB.
LEAST_LEFT = 0.1
#: Distinct sample values that speech must have: the last of 8 bits is loud. The recordings above
#: have 296 and more.
MIN_LEVELS = 8
#: Seconds of a block. The loudest come first: one with speech is enough.
BLOCK_SECONDS = 0.5
#: Seconds after which the filter's response to the start of rumble lies far below speech.
WARM_UP_SECONDS = 0.15


@dataclass(frozen=True)
class Needs:
    """seconds : window of the features. cutoff_hz : of their high-pass filter."""

    seconds: float
    cutoff_hz: float = RUMBLE_HZ


@dataclass(frozen=True)
class LeftOut:
    """A recording that is no row of the manifest.

    file : relative to the project's root. reason : one or two words, by which recordings are
    counted. why : one line that names the file.
    """

    file: str
    reason: str
    why: str

    @property
    def is_bad(self) -> bool:
        """False if the user chose to leave it out."""
        return self.reason != EXCLUDED


def unfit(y: np.ndarray, *, sr: int, needs: Needs) -> tuple[str, str] | None:
    """Why a recording is unfit for training: the reason and a clause. None: it is fit.

    y : mono, float32 (n_samples,), finite, at `sr` Hz.
    """
    if len(y) == 0:
        return "empty", "holds no samples; expected speech"
    if len(y) < needs.seconds * sr:
        return (
            "too short",
            f"lasts {len(y) / sr:.3f} s; one window of the features needs {needs.seconds:.3f} s",
        )
    if not y.any():
        return "silent", "is digital silence; expected speech"
    if y.min() == y.max():
        return "constant", f"holds the constant {y[0]:.3g} and no sound; expected speech"
    levels = _levels(y)
    if levels < MIN_LEVELS:
        return "noise", f"takes {levels} sample values in all; speech has at least {MIN_LEVELS}"
    once, twice = _loudest(y, sr, needs.cutoff_hz)
    if once < MIN_RMS:
        return (
            "noise",
            f"reaches {_db(once):.0f} dB at most above {needs.cutoff_hz:g} Hz, where noise of the "
            f"last bit lies; speech reaches {_db(MIN_RMS):.0f} dB",
        )
    if twice < LEAST_LEFT * once:
        return (
            "rumble",
            f"holds no more than rumble: of the {_db(once):.0f} dB that a filter at "
            f"{needs.cutoff_hz:g} Hz leaves, the same filter again leaves {_db(twice):.0f} dB; of "
            f"speech it leaves at least {_db(LEAST_LEFT * once):.0f} dB",
        )
    return None


def reason_of(error: errors.AudioError) -> str:
    """The reason to leave out a recording that cannot be decoded."""
    if isinstance(error, errors.ChangedAudio):
        return "changed"
    if isinstance(error, errors.MissingDecoder):
        return "no decoder"
    if isinstance(error.__cause__, OSError):
        return "no access"
    if isinstance(error, errors.CancellingAudio):
        return "channels cancel"
    if isinstance(error, errors.EmptyAudio):
        return "empty"
    if isinstance(error, errors.RefusedAudio):
        return "beyond limits"
    return "damaged" if isinstance(error, errors.CorruptAudio) else "undecoded"


def counted(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Recordings of each reason, the most frequent reason first."""
    counts = Counter(one.reason for one in left_out)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def in_words(counts: Mapping[str, int]) -> str:
    """`3 silent, 1 too short`."""
    return ", ".join(f"{n} {reason}" for reason, n in counts.items())


def _levels(y: np.ndarray) -> int:
    """Distinct values of y (n_samples,), or of some of its samples if those are enough."""
    some = np.unique(y[:: max(1, y.size // 1000)]).size
    return some if some >= MIN_LEVELS else np.unique(y).size


def _loudest(y: np.ndarray, sr: int, cutoff_hz: float) -> tuple[float, float]:
    """Root mean square of the loudest frame of y (n_samples,), high-passed once and twice.

    Blocks after the first one with speech are skipped.
    """
    frame = round(FRAME_SECONDS * sr)
    warm_up = max(0, min(round(WARM_UP_SECONDS * sr), y.size - frame))
    bounds = np.linspace(warm_up, y.size, max(1, round(y.size / (BLOCK_SECONDS * sr))) + 1)
    blocks = [
        (float(np.dot(y[start:stop], y[start:stop])), start, stop)
        for start, stop in pairwise(bounds.astype(int))
    ]
    once = twice = 0.0
    for energy, start, stop in sorted(blocks, reverse=True):
        left = high_pass(y[start - warm_up : stop], sr=sr, cutoff_hz=cutoff_hz)
        found = again = _loudest_frame(left[warm_up:], frame)
        # Where the first pass leaves most, so does the second one.
        if found < LEAST_LEFT * math.sqrt(energy / (stop - start)):
            again = _loudest_frame(high_pass(left, sr=sr, cutoff_hz=cutoff_hz)[warm_up:], frame)
        once, twice = max(once, found), max(twice, again)
        if once >= MIN_RMS and twice >= LEAST_LEFT * once:
            break
    return once, twice


def _loudest_frame(y: np.ndarray, frame: int) -> float:
    """Root mean square of the loudest `frame` samples of y (n_samples,)."""
    power = np.add.reduceat(np.square(y), np.arange(0, y.size, frame)) / frame
    return math.sqrt(power.max())


def _db(value: float) -> float:
    return 20 * float(np.log10(max(value, 1e-10)))
