"""Tables and samples in, matplotlib figures out; nothing is shown or saved here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser.core.utterance.emotions import COLOURS
from ser.params import FeatureParams


def emotion_panels(
    samples: Mapping[str, np.ndarray],
    log_mels: Mapping[str, np.ndarray],
    *,
    features: FeatureParams,
    title: str,
) -> Figure:
    """Waveform above log-mel, one column an emotion, all on one time axis and level.

    samples : emotion -> (n_samples,) at features.sr; log_mels : emotion -> (n_frames, n_mels), dB.
    """
    figure = Figure(figsize=(2.6 * len(samples) + 0.6, 5.2), layout="constrained")
    axes = figure.subplots(2, len(samples), sharex=True, sharey="row", squeeze=False)
    hop_seconds = features.hop_length / features.sr
    peak = max(np.abs(y).max() for y in samples.values()) or 1.0
    low = min(np.percentile(s.astype(np.float32), 5) for s in log_mels.values())
    high = max(s.max() for s in log_mels.values())
    for column, (emotion, y) in enumerate(samples.items()):
        wave, mel = axes[:, column]
        wave.plot(np.arange(y.size) / features.sr, y, color=COLOURS[emotion], linewidth=0.5)
        wave.set(title=emotion, ylim=(-1.05 * peak, 1.05 * peak))
        log_mel = log_mels[emotion].astype(np.float32).T
        extent = (0, log_mel.shape[1] * hop_seconds, 0, log_mel.shape[0])
        image = mel.imshow(
            log_mel, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=low, vmax=high
        )
        mel.set(xlabel="time (s)")
    axes[0, 0].set(ylabel="amplitude")
    axes[1, 0].set(ylabel="mel band")
    longest = max(y.size for y in samples.values()) / features.sr
    axes[0, 0].set_xlim(0, longest)
    figure.colorbar(image, ax=axes[1, :], label="dB", pad=0.01)
    figure.suptitle(title)
    return figure


def confusion_matrix(counts: pd.DataFrame, *, title: str) -> Figure:
    """Share of each uttered emotion (rows) by predicted emotion, with the counts."""
    number = counts.to_numpy()
    shares = number / number.sum(axis=1, keepdims=True).clip(min=1)
    figure = Figure(figsize=(1.6 + 0.75 * len(counts.columns), 1.4 + 0.65 * len(counts)))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(counts.columns)), counts.columns, rotation=35, ha="right")
    axes.set_yticks(range(len(counts)), counts.index)
    axes.set(xlabel="predicted", ylabel="uttered", title=title)
    for row, column in np.ndindex(counts.shape):
        share = float(shares[row, column])
        if share:
            colour = "white" if share > 0.55 else "black"
            text = f"{share:.0%}\n{number[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, label="share of the uttered emotion")
    return figure


def recall_bars(recalls: Mapping[str, float], *, chance: float, title: str) -> Figure:
    """Recall of each emotion beside chance."""
    figure = Figure(figsize=(1.5 + 0.8 * len(recalls), 3.6), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar(list(recalls), list(recalls.values()), color=[COLOURS[e] for e in recalls])
    axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.axhline(chance, color="black", linestyle="--", linewidth=1, label=f"chance {chance:.3f}")
    axes.set(ylim=(0, 1.05), ylabel="recall", title=title)
    axes.tick_params(axis="x", rotation=25)
    axes.legend(loc="upper right")
    return figure


def learning_curves(curves: pd.DataFrame) -> Figure:
    """Loss (left) and dev UAR (right) by epoch."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, ending in ((left, "loss"), (right, "uar")):
        for column in [c for c in curves.columns if c.endswith(ending)]:
            # Dev is not scored in every epoch.
            scored = curves[["epoch", column]].dropna()
            axes.plot(scored["epoch"], scored[column], label=column.replace("_", " "))
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="UAR", ylim=(0, 1))
    for axes in (left, right):
        if axes.lines:
            axes.legend()
    return figure
