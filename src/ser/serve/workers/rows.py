"""Answers, and their rows of the traffic log, on their way from a worker to the server: JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ser.monitoring.traffic import InputSummary, Interface, Served, row_of
from ser.predictor import Prediction


def portable_answer(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON, which has no infinity: what is infinitely far away has no novelty."""
    found = asdict(prediction)
    if found["novelty"] is not None and not math.isfinite(found["novelty"]):
        found["novelty"] = None
    return found


def portable_row(
    prediction: Prediction, summary: InputSummary, served: Served, interface: Interface
) -> dict[str, Any]:
    """A row without time and latency, which the server knows: JSON."""
    row = row_of(
        prediction,
        summary,
        time=datetime.now(UTC),
        source="server",
        interface=interface,
        served=served,
        latency_ms=0.0,
    )
    del row["time"], row["latency_ms"]
    return row


def whole_row(portable: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """The row for the log. seconds : from the recording's arrival to the answer."""
    return {**portable, "time": datetime.now(UTC), "latency_ms": round(1000 * seconds, 3)}
