"""The model report: one run in one page, self-contained. Pure: facts in, HTML out."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pandas as pd
from markupsafe import Markup

from ser.core.scores.metrics import audit_text, emotions_text
from ser.core.scores.published import PUBLISHED_ROWS, PublishedRow, listeners
from ser.reporting.pages import inline_svg, render
from ser.reporting.plots import learning_curves, reliability_diagram
from ser.reporting.words import (
    PROHIBITED,
    PURPOSE,
    SCORES,
    SYNTHETIC,
    protocol_text,
    stress_text,
    too_few_text,
)

#: Groups that are in sight; the others open on demand.
IN_SIGHT = 12
#: What the lists of wrong answers are called.
KINDS = {
    "confident": "The surest wrong answers",
    "worst": "The true emotion least probable",
}


@dataclass(frozen=True)
class Other:
    """A run to compare with. role : "champion then", "the run before".

    changes : parameter -> its value there and here. uar : on the same split; None where it is not.
    """

    role: str
    name: str
    changes: Mapping[str, tuple[str, str]]
    uar: float | None = None


@dataclass(frozen=True)
class Player:
    """A recording as a data URI, or why it cannot be played."""

    uri: str = ""
    why: str = ""


@dataclass(frozen=True)
class Report:
    """What the page says. Empty or None: not recorded, and said so.

    scores, protocol : as in reports/metrics.json. analysis : reports/slices.json. stress :
    reports/stress.json. confusion : counts, rows the uttered emotion. players : one for each of
    the analysis's mistakes. lineage : titles and texts. panels : a PNG.
    """

    name: str
    scores: Mapping[str, Mapping[str, Any]]
    protocol: Mapping[str, Any]
    analysis: Mapping[str, Any] = field(default_factory=dict)
    confusion: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    stress: Mapping[str, Any] | None = None
    others: Sequence[Other] = ()
    players: Sequence[Player] = ()
    lineage: Sequence[tuple[str, str]] = ()
    verdict: tuple[str, str] | None = None
    panels: bytes | None = None


def report_html(report: Report) -> str:
    """The page of one run."""
    test, dev = report.scores["test"], report.scores["dev"]
    return render(
        "report.html",
        title=report.name,
        test=test,
        dev=dev,
        protocol=protocol_text(test, report.protocol),
        emotions=emotions_text(dict(test)),
        audit=audit_text(report.protocol["audit"]),
        coverage_asked=test.get("coverage_asked"),
        synthetic=SYNTHETIC if "synthetic" in report.protocol["corpora"] else "",
        human=listeners(report.protocol["corpora"]),
        published=_published(report),
        others=report.others,
        verdict=report.verdict,
        scores=list(_scores(test, dev, report.analysis)),
        recalls=list(_recalls(test, dev, report.analysis)),
        confusion=_confusion(report.confusion),
        calibration=_calibration(report),
        slices=_slices(report.analysis),
        too_few=too_few_text(report.analysis.get("slices", ())),
        mistakes=_mistakes(report),
        curves=_curves(report.curves),
        panels=_picture(report.panels),
        stress=report.stress,
        stress_said=stress_text(report.stress) if report.stress else "",
        families=_families(report.stress),
        lineage=report.lineage,
        purpose=PURPOSE,
        prohibited=PROHIBITED,
    )


def _published(report: Report) -> tuple[PublishedRow, ...]:
    rows = PUBLISHED_ROWS.get(report.protocol["name"], ())
    return tuple(row for row in rows if row.kind != "people")


def _scores(
    test: Mapping[str, Any], dev: Mapping[str, Any], analysis: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Each score of test and dev, with intervals."""
    intervals = analysis.get("intervals", {})
    for name, title in SCORES.items():
        if name in test:
            yield {
                "title": title,
                "test": test[name],
                "test_ci95": _interval(intervals, "test", name, test),
                "dev": dev.get(name),
                "dev_ci95": _interval(intervals, "dev", name, dev),
            }


def _interval(
    intervals: Mapping[str, Any], split: str, name: str, scores: Mapping[str, Any]
) -> Sequence[float] | None:
    # That of UAR stands in the metrics, too, whatever else was recorded.
    found = scores.get("uar_ci95") if name == "uar" else None
    return found or intervals.get(split, {}).get(name)


def _recalls(
    test: Mapping[str, Any], dev: Mapping[str, Any], analysis: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    intervals = analysis.get("intervals", {}).get("test", {})
    for emotion, values in test["per_class"].items():
        yield {
            "emotion": emotion,
            **values,
            "ci95": intervals.get(f"recall_{emotion}"),
            "dev": dev["per_class"].get(emotion, {}).get("recall"),
        }


def _confusion(counts: pd.DataFrame | None) -> dict[str, Any] | None:
    """Rows of (uttered, cells of count and share)."""
    if counts is None:
        return None
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    rows = [
        (uttered, list(zip(counts.columns, counts.loc[uttered], shares.loc[uttered], strict=True)))
        for uttered in counts.index
    ]
    return {"predicted": list(counts.columns), "rows": rows}


def _calibration(report: Report) -> Markup | None:
    bins = report.analysis.get("reliability", {})
    if not bins.get("test"):
        return None
    ece = report.scores["test"]["ece"]
    return inline_svg(
        reliability_diagram(bins["test"]),
        label=f"Accuracy by confidence; calibration error {ece:.3f}",
    )


def _slices(analysis: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Groups by what they are groups of: those in sight, and the others.

    Of many groups those with the lowest scores are in sight.
    """
    tables = []
    for by, found in groupby(analysis.get("slices", ()), key=lambda one: one["by"]):
        rows = list(found)
        if len(rows) > IN_SIGHT:
            rows.sort(key=lambda one: (bool(one["too_few"]), one["uar"]))
        tables.append(
            {
                "by": by,
                "over": rows[0]["over"],
                "rows": rows[:IN_SIGHT],
                "more": rows[IN_SIGHT:],
            }
        )
    return tables


def _mistakes(report: Report) -> list[tuple[str, list[tuple[Mapping[str, Any], Player]]]]:
    pairs = list(zip(report.analysis.get("mistakes", ()), report.players, strict=True))
    return [
        (title, found)
        for kind, title in KINDS.items()
        if (found := [(one, player) for one, player in pairs if one["kind"] == kind])
    ]


def _curves(curves: pd.DataFrame | None) -> Markup | None:
    """None for a model without epochs."""
    if curves is None or "train_loss" not in curves or not curves["train_loss"].notna().any():
        return None
    return inline_svg(learning_curves(curves), label="Loss, and dev UAR, by epoch")


def _picture(png: bytes | None) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}" if png else ""


def _families(stress: Mapping[str, Any] | None) -> list[tuple[str, list[Mapping[str, Any]]]]:
    rows = stress["rows"] if stress else ()
    return [(family, list(of)) for family, of in groupby(rows, key=lambda row: row["family"])]
