"""Emotions side by side: waveform and spectral descriptors of a clip of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser.core.features.extract import Lld
from ser.core.utterance.emotions import COLOURS
from ser.output import shortened
from ser.params import FeatureParams
from ser.reporting.canvas import new_figure

#: Colour of what has no emotion's.
PLAIN = "#7f7f7f"
#: Points across a waveform: more show nothing, and fill a page.
ENVELOPE = 400
#: Letters of a column's title.
COLUMN_LETTERS = 20
#: Letters of a title in an inch.
LETTERS = 9
#: Rows beneath the waveform: group of the descriptors, its axis, its colour map.
ROWS = (
    ("log_mel", "mel band", "magma"),
    ("mfcc", "MFCC", "viridis"),
    ("chroma", "chroma", "cividis"),
    ("contrast", "contrast band", "cividis"),
)


def emotion_panels(
    samples: Mapping[str, np.ndarray],
    descriptors: Mapping[str, Lld],
    *,
    features: FeatureParams,
    title: str,
) -> Figure:
    """Waveform, log-mel, MFCC, chroma, spectral contrast: one column a clip, on one time axis.

    samples : name, of an emotion or a clip -> (n_samples,) at features.sr, on one level;
    descriptors : name -> those of the same clip.
    """
    n = len(samples)
    figure = new_figure(figsize=(max(2.0 * n + 1.2, 4.5), 8.2), layout="constrained")
    axes = figure.subplots(
        1 + len(ROWS), n, sharex=True, sharey="row", squeeze=False, height_ratios=[2, 3, 2, 2, 1.6]
    )
    peak = max(float(np.abs(y).max(initial=0.0)) for y in samples.values()) or 1.0
    for wave, (name, y) in zip(axes[0], samples.items(), strict=True):
        low, high = envelope(y)
        time = np.linspace(0, y.size / features.sr, len(low))
        wave.fill_between(time, low, high, color=COLOURS.get(name, PLAIN), linewidth=0.3)
        wave.set(title=shortened(name, COLUMN_LETTERS), ylim=(-1.05 * peak, 1.05 * peak))
    axes[0, 0].set(ylabel="amplitude")
    for row, (group, label, colours) in zip(axes[1:], ROWS, strict=True):
        values = [descriptors[name][group] for name in samples]
        # The first MFCC is the level: its range would leave the others one colour.
        shown = [value[:, 1:] if group == "mfcc" else value for value in values]
        _images(figure, row, shown, features=features, colours=colours)
        row[0].set(ylabel=label)
    for last in axes[-1]:
        last.set(xlabel="time (s)")
    axes[0, 0].set_xlim(0, max(y.size for y in samples.values()) / features.sr)
    figure.suptitle(fill(title, width=round(LETTERS * figure.get_figwidth())))
    return figure


def envelope(y: np.ndarray, points: int = ENVELOPE) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of y (n_samples,) in each of at most `points` stretches."""
    starts = np.unique(np.linspace(0, max(y.size - 1, 0), points).astype(int))
    return np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)


def _images(
    figure: Figure,
    row: np.ndarray,
    values: Sequence[np.ndarray],
    *,
    features: FeatureParams,
    colours: str,
) -> None:
    """Descriptors (n_frames, n_bands) of each clip as images on one scale of colours."""
    low, high = np.percentile(np.concatenate([value.ravel() for value in values]), [2, 98])
    images = []
    axes: Axes
    for axes, value in zip(row, values, strict=True):
        extent = (0, len(value) * features.hop_length / features.sr, 0, value.shape[1])
        image = axes.imshow(
            value.T, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high
        )
        images.append(image)
    figure.colorbar(images[0], ax=list(row), pad=0.01)
