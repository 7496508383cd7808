"""What makes a recording unfit for training: `corpus add`, `audit` and `manifest` ask here. Pure.

Whatever `prepared` would refuse later is refused here, and what it would let through although
there is nothing in it: every utterance is brought to one level, the noise of the last bit too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy

from ser.errors import (
    AudioError,
    CancellingAudio,
    ChangedAudio,
    CorruptAudio,
    EmptyAudio,
    MissingDecoder,
    RefusedAudio,
)

#: What a manifest's notes call the recordings that are no rows of it.
LEFT_OUT = "left_out"
#: Left out although nothing was found: by the user's wish, by the corpus's own declaration.
EXCLUDED, KNOWN_BAD = "excluded", "known bad"
#: Nothing could be decoded.
UNREADABLE = ("empty", "damaged", "beyond limits", "undecoded")
#: Not the recording's fault: it is to be restored, not left out.
MENDABLE = ("changed", "no decoder", "no access")
#: Hz below which nothing is speech: an offset, rumble.
RUMBLE_HZ = 60.0
#: Root mean square that the loudest 25 ms of speech must reach: 4 steps of 16 bits, -78 dB. Noise
#: of the last bit has -92 dB, the softest of RAVDESS (1,440 recordings) and nEMO (1,514) -55 dB.
MIN_RMS, FRAME_SECONDS = 2.0**-13, 0.025
#: Distinct sample values that speech must have: the last bit of 8 bits is loud. Those recordings
#: have 296 and more.
MIN_LEVELS = 8
#: Seconds looked at at once, the loudest first: speech is found in one block.
BLOCK_SECONDS = 0.5


@dataclass(frozen=True)
class LeftOut:
    """A recording that is no row of the manifest.

    file : relative to the project's root. reason : in a word or two, what it is counted under.
    why : one line that names the file.
    """

    file: str
    reason: str
    why: str

    @property
    def is_bad(self) -> bool:
        """False for what the user chose to leave out."""
        return self.reason != EXCLUDED


def unfit(y: np.ndarray, *, sr: int, min_seconds: float) -> tuple[str, str] | None:
    """Why nothing can be learnt from a recording, in a word and in a clause; None: it is fit.

    y : mono, float32 (n_samples,), finite, at `sr` Hz.
    min_seconds : the features' window.
    """
    if len(y) == 0:
        return "empty", "holds no samples; expected speech"
    if len(y) < min_seconds * sr:
        return (
            "too short",
            f"lasts {len(y) / sr:.3f} s; one window of the features needs {min_seconds:.3f} s",
        )
    if not y.any():
        return "silent", "is digital silence; expected speech"
    if y.min() == y.max():
        return "constant", f"holds the constant {y[0]:.3g} and no sound; expected speech"
    levels = _levels(y)
    if levels < MIN_LEVELS:
        return "noise", f"takes {levels} sample values in all; speech has at least {MIN_LEVELS}"
    if (rms := _loudest(y, sr)) < MIN_RMS:
        return (
            "noise",
            f"reaches {_db(rms):.0f} dB at most above {RUMBLE_HZ:.0f} Hz, where noise of the last "
            f"bit lies; speech reaches {_db(MIN_RMS):.0f} dB",
        )
    return None


def reason_of(error: AudioError) -> str:
    """What an undecoded recording is counted under, one of UNREADABLE or MENDABLE."""
    if isinstance(error, ChangedAudio):
        return "changed"
    if isinstance(error, MissingDecoder):
        return "no decoder"
    if isinstance(error.__cause__, OSError):
        return "no access"
    if isinstance(error, CancellingAudio):
        return "channels cancel"
    if isinstance(error, EmptyAudio):
        return "empty"
    if isinstance(error, RefusedAudio):
        return "beyond limits"
    return "damaged" if isinstance(error, CorruptAudio) else "undecoded"


def counted(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """How many recordings there are of each reason, the most frequent first."""
    counts = Counter(one.reason for one in left_out)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def in_words(counts: Mapping[str, int]) -> str:
    """`3 silent, 1 too short`."""
    return ", ".join(f"{n} {reason}" for reason, n in counts.items())


def _levels(y: np.ndarray) -> int:
    """Distinct values of y (n_samples,), or MIN_LEVELS at least where a look at some shows it."""
    some = np.unique(y[:: max(1, y.size // 1000)]).size
    return some if some >= MIN_LEVELS else np.unique(y).size


def _loudest(y: np.ndarray, sr: int) -> float:
    """Root mean square of the loudest frame of y (n_samples,) above RUMBLE_HZ.

    Once MIN_RMS is reached, the rest is not looked at.
    """
    high_pass = scipy.signal.butter(4, RUMBLE_HZ, "high", fs=sr, output="sos")
    frame = round(FRAME_SECONDS * sr)
    loudest = 0.0
    blocks = np.array_split(y, max(1, round(y.size / (BLOCK_SECONDS * sr))))
    for block in sorted(blocks, key=lambda block: -float(np.dot(block, block))):
        # Mirrored at both ends for a while, the filter does not ring there.
        edge = min(block.size - 1, sr // 10)
        squares = np.square(scipy.signal.sosfiltfilt(high_pass, block, padlen=edge))
        power = np.add.reduceat(squares, np.arange(0, block.size, frame)) / frame
        loudest = max(loudest, float(np.sqrt(power.max())))
        if loudest >= MIN_RMS:
            break
    return loudest


def _db(value: float) -> float:
    return 20 * float(np.log10(max(value, 1e-10)))
