"""The registered model as MLflow runs it: a script stored beside the bundle, not a pickle.

One row is one recording: `audio`, a file of any supported container as base64, or `samples`
with `sr` in Hz. One row of the answer is {emotion, confidence, posteriors}.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.bundle import load_bundle
from ser.errors import AudioError
from ser.io.audio import load_mono
from ser.predictor import Predictor


class EmotionPyfunc(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        self._predictor = Predictor(load_bundle(Path(context.artifacts["bundle"])))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        answers = [self._answer(row) for row in model_input.to_dict("records")]
        # What is None stays None, which JSON knows; else pandas would make it NaN.
        return pd.DataFrame(answers, dtype=object)

    def _answer(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        y, sr = self._waveform(row)
        prediction = self._predictor.predict(y, sr=sr)
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
            except binascii.Error as error:
                raise AudioError(f"audio is not base64: {error}") from error
            return load_mono(data)
        if samples is None or not np.size(samples) or sr is None or pd.isna(sr):
            raise AudioError(
                "A row needs audio (a file as base64), or samples (floats in -1..1) and sr (Hz)."
            )
        return np.asarray(samples, dtype=np.float32), int(sr)


mlflow.models.set_model(EmotionPyfunc())
