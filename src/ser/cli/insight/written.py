"""What `ser explain` writes: WAV files of changes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ser.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from ser.explanation.clip import Explained


def write_changes(folder: Path, explained: Explained) -> list[Path]:
    """Write the resynthesis and each change that turns the answer; returns the files."""
    found = explained.counterfactuals
    if found is None:
        return []
    samples = {"resynthesis": found.resynthesis}
    for searched in found.searched:
        for turn in searched.turns:
            change = f"{searched.dimension.said(turn.amount)} {turn.emotion}"
            for sign, word in (("−", "-"), ("%", "percent"), ("/", " per ")):
                change = change.replace(sign, word)
            samples[re.sub(r"\s+", "_", change)] = turn.y
    return [_write_wav(folder / f"{name}.wav", y, found.recorded.sr) for name, y in samples.items()]


def _write_wav(path: Path, y: np.ndarray, sr: int) -> Path:
    import soundfile

    # As on a page: what exceeds full scale, of a tilt, is brought into range and not clipped.
    peak = float(abs(y).max(initial=1.0))
    with atomic_path(path) as temporary:
        # soundfile refuses a path whose name is no UTF-8; it takes the bytes.
        soundfile.write(os.fsencode(temporary), y / peak, sr, format="WAV", subtype="PCM_16")
    return path
