"""A look at recent answers, as a page, as rows of a table and in a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.core.drift.figures import BY_NAME, label_of
from ser.monitoring.drift import ALL, slices_of
from ser.reporting.canvas import new_figure
from ser.reporting.pages import inline_svg, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = ("Figure", "Outcome", "Of its limit", "Recent", "Training", "KS or AUC", "PSI")
RECENT, TRAINING = "#d55e00", "#8a979e"
BINS = 24


def finding_cells(findings: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row of text for each finding of a slice, under `TITLES`."""
    return [
        (
            label_of(one["figure"]),
            one["outcome"] + (f": {one['why']}" if one["why"] else ""),
            f"{one['over']:.2f}" if one["limit"] else "–",
            *(_value(one[key], one["figure"]) for key in ("recent", "reference")),
            *("–" if one[key] is None else f"{one[key]:.2f}" for key in ("statistic", "psi")),
        )
        for one in findings
    ]


def slice_line(one: Mapping[str, Any]) -> str:
    """A slice in a line.

    >>> slice_line({"name": "all", "answers": 20, "drifted": [], "waits": "20 of 200 answers that "
    ...     "are needed.", "findings": [], "unanswered": 0.1})
    'all: 20 of 200 answers that are needed.'
    """
    if one["waits"]:
        return f"{one['name']}: {one['waits']}"
    what = f"drift of {', '.join(map(label_of, one['drifted']))}" if one["drifted"] else "no drift"
    return (
        f"{one['name']}: {what} in the last {one['answers']} answers, "
        f"{one['unanswered']:.0%} without an emotion"
    )


def late_line(late: Mapping[str, Any]) -> str:
    """What listeners' labels say, in a line."""
    if not late["labels"]:
        return "no corrections of listeners for this version"
    return (
        f"{late['right']} of {late['labels']} answers agree with listeners' corrections, "
        f"UAR {late['uar']:.2f}"
    )


def markdown(document: Mapping[str, Any]) -> str:
    """A look for Prefect's page."""
    lines = [f"**{document['summary']}** Version {document['version']}."]
    for one in document["slices"]:
        lines += ["", slice_line(one)]
        if one["findings"]:
            lines += ["", f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|"]
            lines += [f"| {' | '.join(cells)} |" for cells in finding_cells(one["findings"])]
    return "\n".join([*lines, "", f"Late labels: {late_line(document['late_labels'])}."])


def drift_page(document: Mapping[str, Any], reference: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The self-contained page of a look.

    document : as `reports/drift.json` has it; reference : figures of the training speech, (n, k);
    rows : of the traffic log, with those that were compared.
    """
    parts = dict(slices_of(rows.sort_values("time", kind="stable")))
    slices = [
        {
            **one,
            "line": slice_line(one),
            "cells": finding_cells(one["findings"]),
            "picture": _picture(one, parts, reference),
        }
        for one in document["slices"]
    ]
    looks = [look for look in document["looks"] if look["over"].get(ALL) is not None]
    return render(
        "drift.html",
        title="Drift" if document["drifted"] else "No drift",
        found=document,
        slices=slices,
        titles=TITLES,
        late=late_line(document["late_labels"]),
        recall=document["late_labels"]["recall"],
        limits=next(iter(document["limits"].values()), None),
        history=inline_svg(_history(looks), label="Looks over time") if len(looks) > 1 else None,
    )


def _picture(
    one: Mapping[str, Any], parts: Mapping[str, pd.DataFrame], reference: pd.DataFrame
) -> Any:
    names = [
        f["figure"] for f in one["findings"] if f["figure"] in BY_NAME and f["psi"] is not None
    ]
    if not names or one["name"] not in parts:
        return None
    recent = parts[one["name"]].tail(one["answers"])
    return inline_svg(distributions(recent, reference, names), label=f"Figures of {one['name']}")


def distributions(recent: pd.DataFrame, reference: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Histograms of both, a panel for each figure."""
    columns = min(3, len(names))
    n_rows = -(-len(names) // columns)
    figure = new_figure(figsize=(3.1 * columns, 2.1 * n_rows + 0.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(n_rows, columns, squeeze=False)).ravel()
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels, names, strict=False):
        new, old = (table[name].dropna().to_numpy(dtype=float) for table in (recent, reference))
        edges = np.histogram_bin_edges(np.concatenate([new, old]), BINS)
        for values, colour, label in ((old, TRAINING, "training"), (new, RECENT, "recent")):
            weights = np.full(values.size, 1 / max(values.size, 1))
            axes.hist(values, edges, weights=weights, color=colour, alpha=0.6, label=label)
        about = BY_NAME[name]
        axes.set_xlabel(f"{about.label}, {about.unit}" if about.unit else about.label)
        axes.set_yticks([])
    panels[0].legend(fontsize=8)
    return figure


def _history(looks: Sequence[Mapping[str, Any]]) -> Figure:
    """The largest separation of each look, as a share of its limit."""
    figure = new_figure(figsize=(7.5, 2.4), layout="constrained")
    axes = figure.subplots()
    at = np.array([datetime.fromisoformat(look["at"]) for look in looks], dtype=object)
    over = [look["over"][ALL] for look in looks]
    axes.plot(at, over, ".-", color=RECENT, linewidth=1, markersize=5)
    axes.axhline(1.0, color="#000000", linestyle="--", linewidth=1)
    axes.set(ylim=(0, max(1.2, *over) * 1.05), ylabel="share of the limit")
    figure.autofmt_xdate(rotation=20)
    return figure


def _value(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    unit = BY_NAME[name].unit if name in BY_NAME else ""
    return f"{value:.4g} {unit}".strip()
