"""How many utterances are what: tables for `dvc plots`, and what is odd about a clip. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.core.utterance.emotions import EMOTIONS
from ser.core.utterance.tables import is_known

#: What a clip's measures are called, with the unit, by column.
NAMES = {
    "duration": "duration (s)",
    "level_db": "level (dB)",
    "peak_db": "peak (dB)",
    "snr_db": "SNR (dB)",
    "clipped_share": "clipped share",
    "f0_median": "F0 (Hz)",
    "f0_range": "F0 range (semitones)",
    "voiced_share": "voiced share",
}
#: Deviations (of a normal distribution, from the quartiles) beyond which a measure is odd.
ODD = 3.5


def counts(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Utterances by each value of a column, in canonical order or by name: columns, utterances."""
    found = table[column].value_counts()
    known = [emotion for emotion in EMOTIONS if emotion in found.index]
    order = known + sorted(set(found.index) - set(known))
    return pd.DataFrame({column: order, "utterances": found.reindex(order).to_numpy(int)})


def histogram(values: pd.Series, column: str, *, bins: int = 24) -> pd.DataFrame:
    """Utterances by bin of a measure, named by the bins' middles; empty without finite values."""
    finite = values[np.isfinite(values)].to_numpy(float)
    if not finite.size:
        return pd.DataFrame({column: [], "utterances": []})
    count, edges = np.histogram(finite, bins=bins)
    return pd.DataFrame({column: (edges[1:] + edges[:-1]) / 2, "utterances": count})


def within_speaker(clips: pd.DataFrame, column: str) -> pd.Series:
    """A measure less the median of its speaker's: what a microphone adds to all alike goes."""
    return clips[column] - clips.groupby("speaker")[column].transform("median")


def has_labels(clips: pd.DataFrame) -> bool:
    return bool(is_known(clips["emotion"]).any())


def odd_measures(clips: pd.DataFrame, columns: Sequence[str] = tuple(NAMES)) -> list[list[str]]:
    """What stands out of each clip, such as "SNR 4 dB (most 21 to 33)"; [] for nothing.

    Beyond `ODD` robust deviations of the corpus's own: half the clips lie within the named bounds.
    """
    found: list[list[str]] = [[] for _ in range(len(clips))]
    for column in columns:
        values = clips[column].to_numpy(float)
        if not np.isfinite(values).any():
            continue
        low, middle, high = np.nanpercentile(values, [25, 50, 75])
        # A normal distribution's quartiles lie 0.674 deviations from its median.
        spread = max((high - low) / 1.349, 0.01 * abs(middle), 1e-3)
        for row in np.flatnonzero(np.abs(values - middle) > ODD * spread):
            name, unit = _parts(column)
            bounds = f"half lie in {low:.3g} to {high:.3g}"
            found[row].append(f"{name} {values[row]:.3g}{unit} ({bounds})")
    return found


def _parts(column: str) -> tuple[str, str]:
    """A measure's name, and its unit after a blank."""
    name, _, unit = NAMES[column].partition(" (")
    return name, f" {unit.rstrip(')')}" if unit else ""
