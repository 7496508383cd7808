"""The registered model as MLflow runs it: a script stored beside the bundle, not a pickle.

One row is one recording: `audio`, a file of any supported container as base64, or `samples` with
`sr` in Hz. A request in another form, or with another column, is an error (400) that names what was
found and expected. A recording that cannot be answered is a row with its `error`, and nulls: it
fails no other row, and a request of one row has no rule of its own.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.bundle import bundle_sha256, load_bundle, load_encoder_of
from ser.errors import AudioError, DamagedVersion
from ser.io.audio.read import CORPUS, load_mono
from ser.io.audio.take import Answered, answer, take_samples
from ser.io.storage.traffic import open_traffic
from ser.monitoring.traffic import Served, row_of
from ser.output import one_line
from ser.params.traffic import TrafficParams
from ser.predictor import Predictor

COLUMNS = ("audio", "samples", "sr")
EXPECTED = (
    "rows with the column audio (a file as base64), or with the columns samples (a list "
    "of floats in -1..1) and sr (Hz)"
)
#: The remedy where columns are no rows.
APART = "Send rows of different columns as dataframe_records, or as a list in inputs."
#: Columns of the answer, as `packaging.signature` has them.
OUTPUTS = (
    "emotion",
    "confidence",
    "posteriors",
    "candidates",
    "novelty",
    "abstention",
    "abstention_detail",
    "error",
)
#: Recordings that networks take at once.
BATCH = 16


class EmotionPyfunc(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        directory = Path(context.artifacts["bundle"])
        expected = (context.model_config or {}).get("bundle_sha256")
        if bundle_sha256(directory) != expected:
            raise DamagedVersion(
                f"{directory} is not what was registered (other SHA-256).",
                "Restore it, or serve another version.",
            )
        bundle = load_bundle(directory)
        self._predictor = Predictor(bundle, load_encoder_of(bundle))
        self._served = Served(expected)
        # A served model has no project: logged only where the environment names a folder. Often,
        # since uvicorn, which MLflow serves by, dies of SIGTERM without Python's exit.
        often = TrafficParams(enabled=False, flush_seconds=10)
        self._log = open_traffic(often, root=Path.cwd())

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answers to rows in any of the forms that MLflow takes; see `_rows_of`."""
        rows = _rows_of(model_input)
        if not rows:
            raise _refusal(f"Found no rows; expected {EXPECTED}.")
        answers: list[dict[str, Any]] = []
        for start in range(0, len(rows), BATCH):
            answers.extend(self._answers(rows[start : start + BATCH]))
        # dtype: else pandas would make NaN of None, and JSON has no NaN.
        return pd.DataFrame(answers, dtype=object)

    def _answers(self, rows: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        front_end = self._predictor.front_end
        taken = [take_samples(front_end, partial(_waveform, row)) for row in rows]
        for one in answer(self._predictor, taken):
            self._note(one)
            yield _as_row(one)

    def _note(self, one: Answered) -> None:
        if self._log is None or isinstance(one.prediction, AudioError):
            return
        row = row_of(
            one.prediction,
            one.summary,
            time=datetime.now(UTC),
            source="pyfunc",
            interface="batch",
            served=self._served,
            latency_ms=one.latency_ms,
        )
        self._log.add(row)


def _rows_of(given: Any) -> list[Mapping[str, Any]]:
    """The rows of a DataFrame, of a list of rows or of a dictionary of columns, which are the
    forms that MLflow's server makes of a request.

    Raises MlflowException, which the server answers with status 400, for another form or column.
    """
    if isinstance(given, pd.DataFrame):
        _check_columns(list(given.columns))
        return [
            dict(zip(given.columns, row, strict=True))
            for row in given.itertuples(index=False, name=None)
        ]
    if isinstance(given, Mapping):
        _check_columns(list(given))
        return _rows_of_columns(given)
    if _is_list(given) and len(given) and all(isinstance(row, Mapping) for row in given):
        _check_columns(list(dict.fromkeys(name for row in given for name in row)))
        return list(given)
    raise _refusal(f"Found no rows; expected {EXPECTED}.")


def _check_columns(found: list[Any]) -> None:
    """Raise unless all columns are known, once each, and there is one that holds audio."""
    names = one_line(", ".join(map(str, found)))[:200] or "none"
    unknown = [one_line(str(name))[:80] for name in found if name not in COLUMNS]
    if unknown:
        problem = f"{unknown[0]} is unknown"
    elif len(set(found)) < len(found):
        problem = "one stands twice"
    elif not {"audio", "samples"} & set(found):
        problem = "there is no audio"
    else:
        return
    raise _refusal(f"Found the columns {names}: {problem}; expected {EXPECTED}.")


def _rows_of_columns(columns: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of columns that are lists; a single recording may be given without them."""
    lists = {
        name: list(values)
        for name, values in columns.items()
        # One recording's samples are themselves a list.
        if _is_list(values) and not (name == "samples" and _is_flat(values))
    }
    if not lists:
        return [columns]
    lengths = {name: len(values) for name, values in lists.items()}
    if len(lists) < len(columns) or len(set(lengths.values())) > 1:
        listed = ", ".join(f"{one_line(str(n))[:80]} ({k})" for n, k in lengths.items())
        raise _refusal(
            f"Found columns of different lengths: lists are {listed}; expected as many values in "
            f"each column. {APART}"
        )
    rows: list[Mapping[str, Any]] = [
        {name: values[place] for name, values in lists.items()}
        for place in range(next(iter(lengths.values())))
    ]
    # MLflow makes columns of `instances` and drops which row a value was of.
    if any(
        _plain(row.get("audio")) is not None and _plain(row.get("samples")) is not None
        for row in rows
    ):
        raise _refusal(f"Found both audio and samples in one row; expected one of them. {APART}")
    return rows


def _waveform(row: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    """The samples of one row, and their rate; raises AudioError."""
    audio, samples, sr = (_plain(row.get(name)) for name in COLUMNS)
    if audio is not None:
        if samples is not None:
            raise AudioError("has both audio and samples", "one of them", file="The row")
        return load_mono(_decoded(audio))
    if samples is None or sr is None:
        raise AudioError("has no audio, or no sr beside samples", EXPECTED, file="The row")
    y, rate = _as_samples(samples), _as_rate(sr)
    CORPUS.check_header(sr=rate, channels=1, n_samples=y.size)
    return y, rate


def _decoded(audio: Any) -> bytes:
    if not isinstance(audio, str):
        found = f"is of type {type(audio).__name__}"
        raise AudioError(found, "text, a file as base64", file="audio")
    try:
        return base64.b64decode(audio, validate=True)
    except ValueError as error:
        raise AudioError(f"is not base64 ({error})", EXPECTED, file="audio") from error


def _as_samples(samples: Any) -> np.ndarray:
    try:
        y = np.asarray(samples)
    except ValueError:  # Lists of different lengths.
        y = np.empty(0, dtype=object)
    if y.ndim != 1 or y.size == 0 or y.dtype.kind not in "iuf" or not np.isfinite(y).all():
        raise AudioError(
            "are no flat list of finite numbers", "floats in -1..1 of one channel", file="samples"
        )
    with np.errstate(over="ignore"):
        return y.astype(np.float32)


def _as_rate(sr: Any) -> int:
    # Tables in which other rows have none hold floats.
    rate = int(sr) if isinstance(sr, float) and sr.is_integer() else sr
    if isinstance(rate, bool) or not isinstance(rate, int):
        raise AudioError(f"is {one_line(repr(sr))[:80]}", "a whole number of Hz", file="sr")
    return rate


def _plain(value: Any) -> Any:
    """Without NumPy's wrapping of single values; None for NaN, which tables have for nothing."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _is_flat(values: Any) -> bool:
    """Whether the values are numbers, as those of one recording are, and no lists."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.ndim == 1
    return not any(_is_list(value) or value is None for value in values)


def _as_row(one: Answered) -> dict[str, Any]:
    """A row of the answer; the columns are those of `packaging.signature`."""
    found = one.prediction
    if isinstance(found, AudioError):
        return {**dict.fromkeys(OUTPUTS), "error": one_line(str(found))}
    refused, novelty = found.abstention, found.novelty
    return {
        "emotion": found.emotion,
        "confidence": found.confidence,
        "posteriors": dict(found.posteriors),
        "candidates": list(found.candidates),
        # JSON has no infinity.
        "novelty": novelty if novelty is not None and math.isfinite(novelty) else None,
        "abstention": refused.reason if refused else None,
        "abstention_detail": refused.detail if refused else None,
        "error": None,
    }


def _refusal(message: str) -> MlflowException:
    """An error that MLflow's server answers with status 400, without a stack trace."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(EmotionPyfunc())
