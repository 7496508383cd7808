"""The script of versions from before rows had errors of their own, as it was.

One row is one recording: `audio`, a file of any supported container as base64, or `samples`
with `sr` in Hz. One row of the answer is {emotion, confidence, posteriors, abstention}. Any other
row is answered with status 400 and what was expected.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
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
from ser.predictor import Predictor

EXPECTED = (
    "rows with the column audio (a file as base64), or with the columns samples (a list "
    "of floats in -1..1) and sr (Hz)"
)


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

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        # MLflow has left out the columns that it does not find in the signature.
        if not isinstance(model_input, pd.DataFrame) or model_input.empty:
            raise _refusal(f"No audio was found; expected {EXPECTED}.")
        answers = [
            self._answer(number, row)
            for number, row in enumerate(model_input.to_dict("records"), start=1)
        ]
        # dtype: else pandas would make NaN of None, and JSON has no NaN.
        return pd.DataFrame(answers, dtype=object)

    def _answer(self, number: int, row: Mapping[Any, Any]) -> dict[str, Any]:
        try:
            y, sr = self._waveform(row)
            prediction = self._predictor.predict(y, sr=sr)
        except AudioError as error:
            raise _refusal(f"Row {number}: {error}") from error
        return {
            "emotion": prediction.emotion,
            "confidence": prediction.confidence,
            "posteriors": dict(prediction.posteriors),
            "abstention": prediction.abstention.reason if prediction.abstention else None,
        }

    def _waveform(self, row: Mapping[Any, Any]) -> tuple[np.ndarray, int]:
        audio, samples, sr = (row.get(name) for name in ("audio", "samples", "sr"))
        if isinstance(audio, str):
            try:
                data = base64.b64decode(audio, validate=True)
            except ValueError as error:
                raise AudioError(f"is not base64 ({error})", EXPECTED, file="audio") from error
            return load_mono(data)
        if samples is None or not np.size(samples) or sr is None or pd.isna(sr):
            raise AudioError("has no audio, or no sr beside samples", EXPECTED, file="It")
        try:
            y, rate = np.asarray(samples, dtype=np.float32), int(sr)
        except (TypeError, ValueError, OverflowError) as error:
            raise AudioError(f"are no numbers ({error})", EXPECTED, file="samples or sr") from error
        if y.ndim != 1 or not np.isfinite(y).all():
            raise AudioError("are no flat list of finite numbers", EXPECTED, file="samples")
        CORPUS.check_header(sr=rate, channels=1, n_samples=y.size)
        return y, rate


def _refusal(message: str) -> MlflowException:
    """An error that MLflow's server answers with status 400, without a stack trace."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(EmotionPyfunc())
