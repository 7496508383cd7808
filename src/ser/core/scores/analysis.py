"""All that a report says of a model beyond its scores, as JSON: reports/slices.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from ser.core.scores.intervals import intervals
from ser.core.scores.metrics import reliability, uar
from ser.core.scores.mistakes import mistakes
from ser.core.scores.slices import KEY, slices, with_facts

SCHEMA = "ser.slices/1"


def analysis(
    tables: Mapping[str, pd.DataFrame],
    folds: pd.DataFrame,
    *,
    resamples: int,
    seed: int,
    errors: int,
) -> dict[str, Any]:
    """Intervals and reliability of each split, slices and mistakes of the test.

    tables : predictions by split, `test` among them; with `covered` and `candidates` where the
    prediction sets are to have intervals. errors : of each kind of mistake.
    `below` of a slice: its whole interval lies below the UAR of the test. A mistake names its
    recording by `file` and `sha256`; `whole` is False where it is a segment of it.
    """
    options = {"resamples": resamples, "seed": seed}
    test = with_facts(tables["test"], folds)
    overall = uar(test)
    places = folds.set_index(KEY)[["sha256", "whole"]]
    return {
        "schema": SCHEMA,
        **options,
        "intervals": {split: intervals(table, **options) for split, table in tables.items()},
        "reliability": {split: reliability(table) for split, table in tables.items()},
        "slices": [
            {**asdict(one), "below": one.is_below(overall)} for one in slices(test, **options)
        ],
        "mistakes": [
            {
                **asdict(one),
                "sha256": str(places.at[key, "sha256"]),
                "whole": bool(places.at[key, "whole"]),
            }
            for one in mistakes(tables["test"], each=errors)
            if (key := (one.file, one.start, one.end))
        ],
    }
