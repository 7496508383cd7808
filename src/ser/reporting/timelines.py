"""A timeline as a figure: waveform, posteriors as ribbons, turns, for each channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ser.core.timeline.turns import Windows
from ser.core.timeline.values import ChannelTimeline, Timeline
from ser.core.utterance.emotions import COLOURS
from ser.output import clock, one_line
from ser.reporting.canvas import new_figure

#: Inches: of all, of a channel, and of the legend and the title.
WIDTH, CHANNEL, REST = 11.0, 2.6, 1.0
#: Of waveform, ribbons and turns.
HEIGHTS = (1.0, 1.5, 0.35)
#: What an abstention looks like in the row of turns.
ABSTAINED: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "#888888",
    "hatch": "////",
    "linewidth": 0.4,
}


def timeline_figure(timeline: Timeline) -> Figure:
    """Three panels for each channel on one time axis; the title names recording and model."""
    n = len(timeline.channels)
    figure = new_figure(figsize=(WIDTH, n * CHANNEL + REST), layout="constrained")
    rows = figure.subplots(3 * n, 1, sharex=True, squeeze=False, height_ratios=HEIGHTS * n)[:, 0]
    for number, channel in enumerate(timeline.channels):
        wave, ribbons, turns = rows[3 * number : 3 * number + 3]
        _draw_wave(wave, channel, timeline.seconds)
        _draw_ribbons(ribbons, channel, timeline.classes)
        _draw_turns(turns, channel)
        if n > 1:
            wave.set_title(channel.name, loc="left", fontsize=9)
    last = rows[-1]
    last.set_xlim(0, timeline.seconds)
    last.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 1.5, 2, 3, 5, 6, 10]))
    last.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    last.set_xlabel("time")
    handles = [Patch(color=COLOURS[name], label=name) for name in timeline.classes]
    if any(turn.emotion is None for channel in timeline.channels for turn in channel.turns):
        handles.append(Patch(label="abstained", **ABSTAINED))
    figure.legend(handles=handles, loc="outside lower center", ncols=9, frameon=False, fontsize=8)
    version = f" version {timeline.model.version}" if timeline.model.version else ""
    figure.suptitle(f"{one_line(timeline.file)}   {timeline.model.name}{version}", fontsize=10)
    return figure


def _draw_wave(axes: Axes, channel: ChannelTimeline, seconds: float) -> None:
    low, high = channel.envelope.T
    at = (np.arange(len(low)) + 0.5) * seconds / max(1, len(low))
    axes.fill_between(at, low, high, color="#666666", linewidth=0.3)
    peak = max(float(np.abs(channel.envelope).max(initial=0.0)), 1e-3)
    axes.set(ylim=(-1.1 * peak, 1.1 * peak), yticks=[])
    axes.set_ylabel("wave", fontsize=8)


def _draw_ribbons(axes: Axes, channel: ChannelTimeline, classes: tuple[str, ...]) -> None:
    colours = [COLOURS[name] for name in classes]
    for at, posteriors in _stretches(channel):
        axes.stackplot(at, posteriors.T, colors=colours, linewidth=0)
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.tick_params(axis="y", labelsize=7)
    axes.set_ylabel("posterior", fontsize=8)


def _stretches(channel: ChannelTimeline) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Times (n,) and posteriors (n, n_classes) of each speech, from its start to its end."""
    windows: Windows = channel.windows
    for number, speech in enumerate(channel.speech):
        own = windows.speech == number
        if own.any():
            middle = (windows.start[own] + windows.end[own]) / 2
            posteriors = windows.posteriors[own]
            at = np.concatenate([[speech.start], middle, [speech.end]])
            yield at, np.concatenate([posteriors[:1], posteriors, posteriors[-1:]])


def _draw_turns(axes: Axes, channel: ChannelTimeline) -> None:
    for turn in channel.turns:
        look = ABSTAINED if turn.emotion is None else {"color": COLOURS[turn.emotion]}
        axes.broken_barh([(turn.start, turn.seconds)], (0, 1), **look)
    axes.set(ylim=(0, 1), yticks=[])
    axes.set_ylabel("turns", fontsize=8, rotation=0, ha="right", va="center")
