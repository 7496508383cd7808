"""The stress table as a figure."""

from __future__ import annotations

from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from ser.core.scores.robustness import Stress
from ser.reporting.canvas import new_figure

#: Of rows that reach their limits, that miss one, and that have none.
PASSED, FAILED, UNJUDGED = "#2f7d4f", "#c0392b", "#7f7f7f"
#: Letters of the title in an inch.
LETTERS = 13


def stress_figure(found: Stress, *, title: str) -> Figure:
    """Left: UAR of each row with its interval, beside that as recorded and chance. Right: the
    share of answers that stay, and its limit. Without labels the right one alone."""
    rows = found.rows
    labelled = found.uar_clean is not None
    place = np.arange(len(rows))[::-1]
    colours = [_colour(row.passed) for row in rows]
    # One line of text a row, and room for title and axis.
    width = 10.0 if labelled else 6.5
    figure = new_figure(figsize=(width, 1.6 + 0.19 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 2 if labelled else 1, sharey=True, squeeze=False)[0]
    if labelled:
        left = axes[0]
        for row, y, colour in zip(rows, place, colours, strict=True):
            if row.uar_ci95:
                left.plot(row.uar_ci95, [y, y], color=colour, linewidth=1.2)
            left.plot([row.uar], [y], "o", color=colour, markersize=4)
        left.axvline(found.uar_clean, color="black", linewidth=1, label="as recorded")
        left.axvline(found.chance, color="black", linewidth=1, linestyle="--", label="chance")
        left.set(xlim=(0, 1), xlabel="UAR, 95 % over speakers")
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower left", fontsize=8, ncols=2
        )
    right = axes[-1]
    right.barh(place, [row.unchanged for row in rows], color=colours, height=0.6)
    for row, y in zip(rows, place, strict=True):
        if "unchanged" in row.limits:
            right.plot([row.limits["unchanged"]] * 2, [y - 0.45, y + 0.45], color="black", lw=1.5)
    right.set(xlim=(0, 1), xlabel="share of answers unchanged (black: limit)")
    axes[0].set_yticks(place, [f"{row.family}: {row.name}" for row in rows], fontsize=8)
    axes[0].set_ylim(-0.7, len(rows) - 0.3)
    families = [row.family for row in rows]
    for i in range(1, len(rows)):
        if families[i] != families[i - 1]:
            for one in axes:
                one.axhline(place[i] + 0.5, color="#cccccc", linewidth=0.7)
    wrapped = "\n".join(fill(line, round(width * LETTERS)) for line in title.splitlines())
    figure.suptitle(wrapped, fontsize=10)
    return figure


def _colour(passed: bool | None) -> str:
    return UNJUDGED if passed is None else PASSED if passed else FAILED
