"""The picture of emotions side by side, from the recordings of a manifest's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ser.core.features.extract import audible, lld, prepared
from ser.core.utterance.waveform import trim
from ser.io.storage.recordings import load_utterances
from ser.params import FeatureParams
from ser.reporting.panels import emotion_panels


def draw_panels(
    root: Path, rows: pd.DataFrame, names: Sequence[str], *, features: FeatureParams, title: str
) -> Figure:
    """Panels of a manifest's rows, one column each, under `names`; raises as `load_utterances`."""
    samples, descriptors = {}, {}
    for name, (recorded, sr) in zip(names, load_utterances(root, rows), strict=True):
        heard = audible(recorded, sr=sr, params=features)
        # At the recorded level, which shows how loud an emotion is.
        samples[name] = trim(heard, sr=features.sr)
        descriptors[name] = lld(prepared(heard, params=features), params=features)
    return emotion_panels(samples, descriptors, features=features, title=title)
