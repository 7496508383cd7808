"""Figures of a corpus: who utters what, how loud and how clean, how voices differ by emotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser.core.corpus.distributions import NAMES, counts, within_speaker
from ser.core.utterance.emotions import COLOURS
from ser.core.utterance.tables import is_known
from ser.reporting.canvas import new_figure
from ser.reporting.panels import PLAIN

#: Bars of single speakers; of more speakers, how many utterances they have is counted.
MOST_BARS = 30
#: Places that an axis of bars or boxes has at least.
LEAST_PLACES = 3
#: Names that a legend can hold.
MOST_NAMES = 24
#: Of corpora, speakers and sexes, which are no emotions: Okabe & Ito's, then others.
OTHER_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f")
#: Sexes as boxes beside each other.
SHADES = {"female": 0.9, "male": 0.4, "unknown": 0.15}


def distributions(clips: pd.DataFrame, *, title: str) -> Figure:
    """Emotions, speakers, sexes; durations, levels and SNRs by corpus.

    clips : the manifest's columns, and the measures'.
    """
    figure = new_figure(figsize=(11, 6.2), layout="constrained")
    (emotion, speaker, sex), measured = figure.subplots(2, 3)
    _bars(emotion, counts(clips, "emotion"), "emotion")
    _speakers(speaker, clips)
    _bars(sex, counts(clips, "sex"), "sex")
    colours = colours_of(list(clips["corpus"].unique()))
    for axes, column in zip(measured, ("duration", "level_db", "snr_db"), strict=True):
        _histogram(axes, clips, column, colours)
    if len(colours) > 1:
        measured[0].legend(fontsize=8)
    figure.suptitle(title)
    return figure


def voices(clips: pd.DataFrame, *, title: str) -> Figure:
    """F0, its range, and level by emotion; a box for each sex where sexes are known.

    Levels are relative to the speaker's median: recordings' own depend on the microphone.
    """
    present = list(counts(clips, "emotion")["emotion"])
    sexes = [sex for sex in SHADES if (clips["sex"] == sex).any()]
    clips = clips.assign(relative_db=within_speaker(clips, "level_db"))
    figure = new_figure(figsize=(max(4.0 + 0.95 * len(present), 7.5), 8.4), layout="constrained")
    rows = {
        "f0_median": NAMES["f0_median"],
        "f0_range": NAMES["f0_range"],
        "relative_db": "level over the\nspeaker's median (dB)",
    }
    all_axes = figure.subplots(3, 1, sharex=True)
    for axes, (column, label) in zip(all_axes, rows.items(), strict=True):
        for place, emotion in enumerate(present):
            own = clips[clips["emotion"] == emotion]
            _boxes(axes, place, own, column, sexes, COLOURS.get(emotion, PLAIN))
        axes.set(ylabel=label)
        axes.grid(axis="y", alpha=0.25)
    all_axes[-1].set_xticks(range(len(present)), present)
    # One emotion's boxes are no wider than one of three's.
    all_axes[-1].set_xlim(-0.6, max(len(present), LEAST_PLACES) - 0.4)
    if len(sexes) > 1:
        key = ", ".join(f"{_shade_name(sex)}: {sex}" for sex in sexes)
        title = f"{title}\n{key}"
    figure.suptitle(title)
    return figure


def feature_map(
    points: np.ndarray, labels: pd.Series, *, kind: str, axes_names: tuple[str, str], title: str
) -> Figure:
    """Points (n, 2) of clips on a plane, coloured by their labels (n,).

    kind : emotion, speaker, sex or corpus; what has more than `MOST_NAMES` has no legend.
    """
    figure = new_figure(figsize=(6.6, 5.0), layout="constrained")
    axes = figure.subplots()
    names = list(counts(pd.DataFrame({kind: labels}), kind)[kind])
    colours = {name: COLOURS.get(name, PLAIN) for name in names}
    if kind != "emotion":
        colours = colours_of(names)
    shade = labels.map(colours).to_numpy()
    size = float(np.clip(6000 / max(len(points), 1), 4, 26))
    # In one call, rows as they come: a group drawn last would lie over all others.
    x, y = points.T
    axes.scatter(x, y, c=list(shade), s=size, alpha=0.75, linewidths=0, rasterized=True)
    if len(names) <= MOST_NAMES:
        for name in names:
            axes.scatter([], [], color=colours[name], label=name, s=26)
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1], title=title, xticks=[], yticks=[])
    return figure


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each corpus, speaker or sex; of many, along a scale."""
    if len(names) <= len(OTHER_COLOURS):
        return dict(zip(names, OTHER_COLOURS, strict=False))
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    scale = colormaps["turbo"]
    return {name: to_hex(scale(0.04 + 0.92 * i / (len(names) - 1))) for i, name in enumerate(names)}


def _bars(axes: Axes, table: pd.DataFrame, column: str) -> None:
    # The first on top.
    table = table.iloc[::-1]
    colours = [COLOURS.get(name, PLAIN) for name in table[column]]
    bars = axes.barh(table[column], table["utterances"], color=colours)
    axes.bar_label(bars, fontsize=8, padding=2)
    axes.set(xlabel="utterances", title=column)
    axes.margins(x=0.16)
    axes.set_ylim(min(-0.6, len(table) - LEAST_PLACES - 0.4), len(table) - 0.4)


def _speakers(axes: Axes, clips: pd.DataFrame) -> None:
    table = counts(clips, "speaker").sort_values("utterances", kind="stable")
    n = len(table)
    if n > MOST_BARS:
        axes.hist(table["utterances"], bins=24, color=PLAIN)
        axes.set(xlabel="utterances of a speaker", ylabel="speakers", title=f"{n} speakers")
        return
    names = table["speaker"]
    if clips["corpus"].nunique() == 1:
        names = names.str.partition("/")[2]
    axes.barh(names, table["utterances"], color=PLAIN)
    axes.set_ylim(min(-0.6, n - LEAST_PLACES - 0.4), n - 0.4)
    axes.tick_params(axis="y", labelsize=8 if n <= 16 else 5.5)
    axes.set(xlabel="utterances", title="speaker" if n == 1 else f"{n} speakers")


def _histogram(axes: Axes, clips: pd.DataFrame, column: str, colours: Mapping[str, str]) -> None:
    values = clips[column].to_numpy(float)
    finite = values[np.isfinite(values)]
    axes.set(xlabel=NAMES[column], ylabel="utterances", title=NAMES[column].partition(" (")[0])
    if not finite.size:
        axes.text(0.5, 0.5, "not measurable", ha="center", va="center", transform=axes.transAxes)
        return
    edges = np.histogram_bin_edges(finite, bins=24)
    for corpus, colour in colours.items():
        own = clips.loc[clips["corpus"] == corpus, column].to_numpy(float)
        own = own[np.isfinite(own)]
        if len(colours) == 1:
            axes.hist(own, bins=list(edges), color=PLAIN)
        else:
            axes.hist(own, bins=list(edges), histtype="step", color=colour, label=corpus)


def _boxes(
    axes: Axes, place: int, own: pd.DataFrame, column: str, sexes: Sequence[str], colour: str
) -> None:
    width = 0.8 / max(len(sexes), 1)
    for i, sex in enumerate(sexes):
        values = own.loc[own["sex"] == sex, column].to_numpy(float)
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        where = place + (i - (len(sexes) - 1) / 2) * width
        shade = SHADES[sex] if is_known(pd.Series([sex])).item() or len(sexes) > 1 else 0.6
        axes.boxplot(
            values,
            positions=[where],
            widths=0.85 * width,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": (colour, shade), "edgecolor": colour},
            medianprops={"color": "black", "linewidth": 1.2},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={"marker": ".", "markersize": 2.5, "markeredgecolor": colour, "alpha": 0.6},
        )


def _shade_name(sex: str) -> str:
    return {"female": "full colour", "male": "half", "unknown": "pale"}[sex]
