"""The bundle as an MLflow model: models-from-code, typed, and free of pickles."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

#: What a machine needs that serves the model; inferring this would take MLflow 20 seconds.
REQUIREMENTS = (
    "ser-platform",
    "mlflow",
    "numpy",
    "pandas",
    "scipy",
    "librosa",
    "soundfile",
    "scikit-learn",
    "skops",
    "safetensors",
    "torch",
)


def log_model(
    bundle_dir: Path, *, run_id: str, name: str, tags: Mapping[str, str], tracking_uri: str
) -> str:
    """Store the model and its bundle with the run; returns the id of the logged model."""
    import mlflow
    import pandas as pd
    from mlflow.models import Model

    before = mlflow.get_tracking_uri()
    # Logging a model has no form that takes a client.
    mlflow.set_tracking_uri(tracking_uri)
    try:
        logged = Model.log(
            artifact_path=None,
            name=name,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            tags=dict(tags),
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(bundle_dir.resolve())},
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
            signature=signature(),
            input_example=pd.DataFrame({"audio": [example_audio()]}),
        )
    finally:
        mlflow.set_tracking_uri(before)
    return logged.model_id


def signature() -> ModelSignature:
    """Rows of `audio` (base64) or `samples` with `sr` in; emotion and posteriors out."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Map, Schema

    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "audio", required=False),
                ColSpec(Array(DataType.double), "samples", required=False),
                ColSpec(DataType.long, "sr", required=False),
            ]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.string, "emotion"),
                ColSpec(DataType.double, "confidence"),
                ColSpec(Map(DataType.double), "posteriors"),
            ]
        ),
    )


def example_audio() -> str:
    """Half a second of a 200 Hz buzz, FLAC as base64: small, and audio all the same."""
    sr = 8_000
    y = 0.5 * (np.arange(sr // 2) * 200 / sr % 1) - 0.25
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format="FLAC")
    return base64.b64encode(buffer.getvalue()).decode()
