"""Copies of recordings: candidates by their fingerprints, decided by their samples."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.splits.leakage import copies_of
from ser.core.splits.likeness import SR, likeness, needed
from ser.core.utterance.segments import WHOLE
from ser.core.utterance.waveform import resample
from ser.io.audio.read import load_segments
from ser.parallel import in_parallel

#: From so many candidates on, starting other processes saves time.
MANY = 64


def find_copies(root: Path, table: pd.DataFrame, fingerprints: pd.Series) -> pd.DataFrame:
    """The copies among a manifest's rows, as `copies_of` returns; reads the candidates.

    root : of the paths in `table`. Raises AudioError where a recording is gone or changed.
    """
    place = table[["file", "start", "end", "sha256"]]

    def compare(pairs: np.ndarray) -> np.ndarray:
        jobs = [(root, place.iloc[a].to_dict(), place.iloc[b].to_dict()) for a, b in pairs]
        results = (
            in_parallel(_similarity, jobs, doing="compare candidates")
            if len(jobs) >= MANY
            else (_similarity(*job) for job in jobs)
        )
        return np.fromiter(results, dtype=float, count=len(jobs))

    return copies_of(table, fingerprints, compare=compare)


def _similarity(root: Path, a: dict[str, Any], b: dict[str, Any]) -> float:
    """Likeness of two utterances, by their manifest's rows; NaN where they are no copies."""
    samples = [_samples(root, **utterance) for utterance in (a, b)]
    alike = likeness(*samples)
    return alike if alike >= needed(*samples) else float("nan")


@lru_cache(maxsize=16)
def _samples(root: Path, file: str, start: float, end: float, sha256: str) -> np.ndarray:
    ((y, sr),) = load_segments(root / file, [WHOLE], sha256=sha256)
    return resample(y[round(start * sr) : round(end * sr)], sr_in=sr, sr_out=SR)
