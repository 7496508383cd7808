"""The stress table as rows of numbers and as metrics."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from ser.core.scores.robustness import Stress

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
