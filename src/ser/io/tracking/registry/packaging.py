"""The bundle as an MLflow model: models-from-code, typed, and free of pickles."""

from __future__ import annotations

import base64
import io
import logging
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ser.bundle import CARD_FILE
from ser.files import read_json
from ser.io.tracking.store import as_default_store, connect

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

#: Packages that the served model needs; MLflow would take 20 seconds to infer them.
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
    "onnx",
    "onnxruntime",
    "torch",
)
#: And for an encoder of the Hugging Face hub.
HUB_REQUIREMENTS = ("transformers", "peft")


def log_model(root: Path, bundle_dir: Path, *, run_id: str, name: str, bundle_sha256: str) -> str:
    """Store the model and its bundle with the run; returns the id of MLflow's logged model.

    bundle_sha256 : stored with the model, which checks its files against it when it is loaded.
    MLflow loads the model and predicts the example, and warns if that fails.
    """
    import mlflow
    import pandas as pd
    from mlflow.models import Model

    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    hub = HUB_REQUIREMENTS if read_json(bundle_dir / CARD_FILE)["encoder"] else ()
    client = connect(root)
    run = client.get_run(run_id)
    logged = client.create_logged_model(
        run.info.experiment_id, name=name, source_run_id=run_id, params=run.data.params
    )
    with TemporaryDirectory(prefix="ser-bundle-") as folder, as_default_store(root):
        # DVC may link files to its cache: MLflow refuses links that lead out of a folder, and would
        # keep them read-only. The copy's name is the one that `bundles` expects.
        bundle = Path(folder) / "bundle"
        shutil.copytree(bundle_dir.resolve(), bundle, copy_function=shutil.copyfile)
        Model.log(
            artifact_path=None,
            model_id=logged.model_id,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(bundle)},
            model_config={"bundle_sha256": bundle_sha256},
            pip_requirements=[
                f"{package}=={version(package)}" for package in (*REQUIREMENTS, *hub)
            ],
            signature=signature(),
            input_example=pd.DataFrame({"audio": [example_audio()]}),
        )
    return str(logged.model_id)


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
                # None where the model abstains; the last column has the reason.
                ColSpec(DataType.string, "emotion", required=False),
                ColSpec(DataType.double, "confidence", required=False),
                ColSpec(Map(DataType.double), "posteriors"),
                ColSpec(DataType.string, "abstention", required=False),
            ]
        ),
    )


def example_audio() -> str:
    """Half a second of a 200 Hz buzz, FLAC as base64."""
    sr = 8_000
    y = 0.5 * (np.arange(sr // 2) * 200 / sr % 1) - 0.25
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format="FLAC")
    return base64.b64encode(buffer.getvalue()).decode()
