"""Results as a picture: ours beside the published, and UAR by enrolment clips."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser.benchmark.page import Result, Section, name_of
from ser.reporting.canvas import new_figure

OURS, ENROLLED, THEIRS = "#0072b2", "#009e73", "#b0b0b0"


def comparison(results: Sequence[Result]) -> Figure:
    """Scores of one corpus and protocol with their intervals, beside published ones and chance.

    Right of them, where a model takes enrolment: UAR by the number of enrolment clips.
    """
    first = results[0]
    curves = [result for result in results if result["by_enrolment_clips"]]
    section = Section.of(first)
    height = 1.6 + 0.34 * (len(results) + len(section.published))
    figure = new_figure(figsize=(11 if curves else 7.5, max(height, 3.2)), layout="constrained")
    grid = figure.add_gridspec(1, 2 if curves else 1, width_ratios=[2, 1] if curves else None)
    bars = figure.add_subplot(grid[0])
    _bars(bars, results)
    bars.axvline(first["chance"], color="black", linestyle="--", linewidth=1)
    above = bars.get_xaxis_transform()
    bars.text(first["chance"], 1.01, "chance", fontsize=8, ha="center", transform=above)
    bars.set(xlim=(0, 1), xlabel="UAR")
    # Above the word at the line of chance.
    bars.set_title("\n".join(wrap(section.title, 70)), pad=16)
    if curves:
        lines = figure.add_subplot(grid[1])
        for result in curves:
            known = {
                str(row["clips"]): row["uar"]
                for row in result["by_enrolment_clips"]
                if row["known_by"] == "any"
            }
            known["all"] = result["uar"]
            lines.plot(list(known), list(known.values()), marker="o", label=result["model"])
        lines.set(xlabel="unlabelled clips of the speaker", ylabel="UAR", title="known voices")
        lines.legend(fontsize=8)
        lines.grid(alpha=0.3)
    return figure


def _bars(axes: Axes, results: Sequence[Result]) -> None:
    rows = [(name_of(r), r["uar"], r["uar_ci95"], _colour(r), f"{r['uar']:.3f}") for r in results]
    for row in Section.of(results[0]).published:
        low, _, high = row.score.partition("–")
        middle = (float(low) + float(high or low)) / 2
        spread = [float(low), float(high)] if high else None
        label = f"{row.system} ({row.note})" if row.note else row.system
        rows.append((label, middle, spread, THEIRS, row.score))
    rows.sort(key=lambda row: row[1], reverse=True)
    for place, (_, score, interval, colour, words) in enumerate(rows):
        error = [[score - interval[0]], [interval[1] - score]] if interval else None
        axes.barh(place, score, color=colour, xerr=error, capsize=2.5, error_kw={"linewidth": 1})
        # Beyond the interval: inside the bar of a low score there is no room.
        end = min(max([score, *(interval or [])]) + 0.012, 0.94)
        axes.text(end, place, words, va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=8)
    axes.invert_yaxis()


def _colour(result: Result) -> str:
    return ENROLLED if result["normalisation"] == "speaker-enrolled" else OURS
