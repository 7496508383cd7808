"""Tables and samples in, matplotlib figures out; nothing is shown or saved here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser.core.utterance.emotions import COLOURS
from ser.reporting.canvas import new_figure


def confusion_matrix(counts: pd.DataFrame, *, title: str) -> Figure:
    """Share of each uttered emotion (rows) by predicted emotion, with the counts."""
    number = counts.to_numpy()
    shares = number / number.sum(axis=1, keepdims=True).clip(min=1)
    figure = new_figure(figsize=(1.6 + 0.75 * len(counts.columns), 1.4 + 0.65 * len(counts)))
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
    figure = new_figure(figsize=(1.5 + 0.8 * len(recalls), 3.6), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar(list(recalls), list(recalls.values()), color=[COLOURS[e] for e in recalls])
    axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.axhline(chance, color="black", linestyle="--", linewidth=1, label=f"chance {chance:.3f}")
    axes.set(ylim=(0, 1.05), ylabel="recall", title=title)
    axes.tick_params(axis="x", rotation=25)
    axes.legend(loc="upper right")
    return figure


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> Figure:
    """Accuracy by confidence, beside the diagonal of perfect calibration; below, utterances.

    bins : as `core.scores.metrics.reliability` makes them.
    """
    figure = new_figure(figsize=(5.2, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    left = [b["low"] for b in bins]
    width = [b["high"] - b["low"] for b in bins]
    bars = {"width": width, "align": "edge", "edgecolor": "#000000", "linewidth": 0.4}
    above.bar(left, [b["accuracy"] for b in bins], color="#4f9da6", label="accuracy", **bars)
    above.plot([0, 1], [0, 1], color="#000000", linestyle="--", linewidth=1, label="perfect")
    confidence = [b["confidence"] for b in bins]
    above.plot(
        confidence, [b["accuracy"] for b in bins], "o", color="#d55e00", markersize=4, label="mean"
    )
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    above.legend(loc="upper left")
    below.bar(left, [b["utterances"] for b in bins], color="#9aa5ab", **bars)
    below.set(xlabel="confidence", ylabel="utterances")
    return figure


def learning_curves(curves: pd.DataFrame) -> Figure:
    """Loss (left) and dev UAR (right) by epoch."""
    figure = new_figure(figsize=(8, 3.4), layout="constrained")
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
