"""The stress table as rows of numbers and as metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ser.core.scores.robustness import Stress
from ser.stress.printed import LIMITS, headline

VERDICTS = {True: "pass", False: "**fails**", None: ""}
#: Columns of the CSV file, after family and name.
COLUMNS = ("uar", "delta", "delta_low", "delta_high", "uar_answered", "answered", "unchanged")


def rows_table(found: Stress) -> pd.DataFrame:
    """One row for each row of the table, the recordings as they are first; for CSV and plots."""
    rows: list[dict[str, Any]] = [
        {
            "family": "",
            "name": "as recorded",
            "uar": found.uar_clean,
            "answered": found.answered_clean,
            "unchanged": 1.0,
        }
    ]
    for row in found.rows:
        low, high = row.delta_ci95 or (None, None)
        rows.append({**vars(row), "delta_low": low, "delta_high": high})
    return pd.DataFrame(rows, columns=["family", "name", *COLUMNS, "passed"])


def metric_names(found: Stress) -> dict[str, float]:
    """`stress/noise_white_20_dB` (UAR), `unchanged/noise_white_20_dB`, `stress/gap_sex`, …

    `stress/passed` is the share of the rows and gaps with a limit that reach it.
    """
    values: dict[str, float | None] = {"stress/as_recorded": found.uar_clean}
    if found.judged:
        values["stress/passed"] = 1 - len(found.failed) / found.judged
    for row in found.rows:
        name = slug(f"{row.family} {row.name}")
        values |= {f"stress/{name}": row.uar, f"unchanged/{name}": row.unchanged}
    values |= {f"stress/gap_{gap.name}": gap.gap for gap in found.fairness}
    return {name: round(value, 4) for name, value in values.items() if value is not None}


def markdown(found: Stress) -> str:
    """The table and the gaps for a page: UARs beside chance, intervals over speakers."""
    labelled = found.uar_clean is not None
    scores = ("UAR", "ΔUAR", "95 % of Δ", "UAR answered") if labelled else ()
    head = ("family", "row", *scores, "answered", "unchanged", "limits", "")
    lines = [headline(found), "", _cells(head), _cells("---" for _ in head)]
    for row in found.rows:
        low_high = "[{:+.3f}, {:+.3f}]".format(*row.delta_ci95) if row.delta_ci95 else ""
        own = (
            _number(row.uar, "{:.3f}"),
            _number(row.delta, "{:+.3f}"),
            low_high,
            _number(row.uar_answered, "{:.3f}"),
        )
        limits = ", ".join(LIMITS[name].format(value) for name, value in row.limits.items())
        shares = (f"{row.answered:.0%}", f"{row.unchanged:.1%}", limits)
        verdict = VERDICTS[row.passed]
        lines.append(_cells((row.family, row.name, *(own if labelled else ()), *shares, verdict)))
    if found.fairness:
        head = ("UAR by", "groups", "gap", "limit", "")
        lines += ["", _cells(head), _cells("---" for _ in head)]
    for gap in found.fairness:
        groups = ", ".join(f"{name} {value:.3f}" for name, value in gap.groups.items())
        numbers = (_number(gap.gap, "{:.3f}"), _number(gap.limit, "{:g}"))
        lines.append(_cells((gap.name, groups, *numbers, VERDICTS[gap.passed])))
    lines += [f"\nLeft out: {o.family} {o.name}, for want of: {o.lacks}" for o in found.left_out]
    return "\n".join(lines) + "\n"


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def few_metrics(found: Stress) -> dict[str, Any]:
    """What `dvc metrics diff` and `dvc exp show` have columns for: `stress.passed`, and by family
    the means over its rows."""
    rows = pd.DataFrame([vars(row) for row in found.rows]).groupby("family", sort=False)
    means = rows[["uar", "unchanged"]].mean().round(4)
    passed = 1 - len(found.failed) / found.judged if found.judged else None
    return {
        "stress": {
            "passed": None if passed is None else round(passed, 4),
            "as_recorded": found.uar_clean,
            "uar": means["uar"].to_dict(),
            "unchanged": means["unchanged"].to_dict(),
        }
    }


def slug(name: str) -> str:
    """A row's name as a metric has it.

    >>> slug("small gain -20 dB"), slug("time packet loss 10%")
    ('small_gain_-20_dB', 'time_packet_loss_10_pct')
    """
    words = name.replace("%", " pct").replace("+", "")
    return re.sub(r"[^A-Za-z0-9.-]+", "_", words).strip("_")
