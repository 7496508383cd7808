"""The traffic log's table: one row an answer. Pure.

A row has figures alone: no audio, text, file name, address or embedding. Whoever answers (server,
`ser predict --log`, MLflow's server) makes it by `summarise` and `row_of`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from ser.core.drift.figures import decibels, sound_of
from ser.core.features.extract import Features
from ser.core.utterance.emotions import EMOTIONS
from ser.params import FeatureParams

if TYPE_CHECKING:
    from ser.predictor import Prediction

Source = Literal["server", "predict", "pyfunc"]
Interface = Literal["rest", "stream", "batch"]


@dataclass(frozen=True)
class Column:
    """kind : of its values; optional : whether it may be null; meaning : a line for the docs."""

    name: str
    kind: Literal["time", "text", "integer", "real"]
    meaning: str
    optional: bool = False


COLUMNS = (
    Column("time", "time", "when the answer was given, UTC, to the millisecond"),
    Column("source", "text", "who answered: `server`, `predict` or `pyfunc`"),
    Column("interface", "text", "how it was asked: `rest`, `stream` or `batch`"),
    Column("version", "integer", "the registry's number of the model; null: a bundle", True),
    Column("bundle_sha256", "text", "the model's identity"),
    Column("duration_seconds", "real", "of the recording; null: too long to be decoded", True),
    Column("level_db", "real", "root mean square of the decoded samples, dB re full scale", True),
    Column("snr_db", "real", "signal-to-noise ratio, an estimate", True),
    Column("bandwidth_hz", "real", "up to which frequency there is sound", True),
    Column("pitch_hz", "real", "median F0 of voiced frames; null: none is voiced", True),
    Column("novelty", "real", "distance to the training speech; above 1: too different", True),
    Column("emotion", "text", "the answer; null: the model abstained", True),
    Column("confidence", "real", "posterior of the most probable emotion", True),
    *(Column(f"p_{e}", "real", f"posterior of {e}; null: no class", True) for e in EMOTIONS),
    Column("abstention", "text", "why there is no emotion, such as `no_speech`", True),
    Column("enrolled_clips", "integer", "of the speaker; null: the model has no enrolment", True),
    Column("latency_ms", "real", "from the recording's arrival to the answer"),
)


@dataclass(frozen=True)
class InputSummary:
    """What the traffic log keeps of a recording; None: not known."""

    duration_seconds: float | None = None
    level_db: float | None = None
    snr_db: float | None = None
    bandwidth_hz: float | None = None
    pitch_hz: float | None = None


@dataclass(frozen=True)
class Served:
    """Which model answers. version : the registry's number; None for a bundle of no version."""

    bundle_sha256: str
    version: int | None = None


def summarise(
    y: np.ndarray, *, sr: int, features: Features | None, params: FeatureParams
) -> InputSummary:
    """The summary of mono samples `y`, (n_samples,), at `sr` Hz, as they were decoded.

    features : what was extracted of them by `params`; None where they were refused before, which
    leaves duration and level. The rest is read off them (`sound_of`), so that it costs next to
    nothing, and is None with other functionals than our own.

    >>> summarise(np.full(8_000, 0.1), sr=16_000, features=None, params=FeatureParams()).level_db
    -20.0
    """
    power = float(np.dot(y, y)) / y.size if y.size else 0.0
    seconds, level_db = y.size / sr, round(decibels(power), 2)
    sound = sound_of(features.functionals.to_numpy(), params) if features else None
    return InputSummary(seconds, level_db, **(vars(sound) if sound else {}))


def row_of(
    prediction: Prediction,
    summary: InputSummary,
    *,
    time: datetime,
    source: Source,
    interface: Interface,
    served: Served,
    latency_ms: float,
) -> dict[str, object]:
    """A row of the table: a value for each of `COLUMNS`. time : aware of its time zone."""
    refused = prediction.abstention
    row: dict[str, object] = {
        "time": time,
        "source": source,
        "interface": interface,
        "version": served.version,
        "bundle_sha256": served.bundle_sha256,
        **vars(summary),
        "novelty": prediction.novelty,
        "emotion": prediction.emotion,
        "confidence": prediction.confidence,
        **{f"p_{emotion}": prediction.posteriors.get(emotion) for emotion in EMOTIONS},
        "abstention": refused.reason if refused else None,
        "enrolled_clips": prediction.enrolled_clips,
        "latency_ms": latency_ms,
    }
    # Means and histograms of later readers would be lost by one infinite value.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
