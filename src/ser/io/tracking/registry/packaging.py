"""The bundle as an MLflow model: models-from-code, documented, and free of pickles."""

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
from ser.io.tracking.health import store_errors
from ser.io.tracking.patience import patiently
from ser.io.tracking.store import as_default_store, connect
from ser.models.ensemble.model import CARD_FILE as MEMBERS_FILE
from ser.params import MODELS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

#: Packages that every served model needs; MLflow would take 20 seconds to infer them.
REQUIREMENTS = (
    "ser-platform",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "librosa",
    "soundfile",
    "scikit-learn",
    "skops",
    "safetensors",
    "onnx",
    "onnxruntime",
)
#: And those that run networks by torch.
TORCH_REQUIREMENTS = ("torch",)
#: And those with an encoder of the Hugging Face hub.
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
    with TemporaryDirectory(prefix="ser-bundle-") as folder, as_default_store(root):
        # DVC may link files to its cache: MLflow refuses links that lead out of a folder, and would
        # keep them read-only. The copy's name is the one that `bundles` expects.
        bundle = Path(folder) / "bundle"
        shutil.copytree(bundle_dir.resolve(), bundle, copy_function=shutil.copyfile)

        def log() -> str:
            model_id = _create(root, run_id, name)
            with store_errors(root):
                Model.log(
                    artifact_path=None,
                    model_id=model_id,
                    flavor=mlflow.pyfunc,
                    run_id=run_id,
                    python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                    artifacts={"bundle": str(bundle)},
                    model_config={"bundle_sha256": bundle_sha256},
                    pip_requirements=[f"{n}=={version(n)}" for n in requirements_of(bundle_dir)],
                    signature=signature(),
                    input_example=pd.DataFrame({"audio": [example_audio()]}),
                )
            return model_id

        return patiently(root, log)


def _create(root: Path, run_id: str, name: str) -> str:
    """A new logged model of the run.

    What a registration that was cut off has left is deleted: MLflow does not take up a model that
    is half logged.
    """
    client = connect(root)
    run = client.get_run(run_id)
    experiment_id = run.info.experiment_id

    def left() -> list[LoggedModel]:
        found = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
        taken = versions_of(client, name, run_id)
        return [model for model in found if model.name == name and model.model_id not in taken]

    def create() -> LoggedModel:
        return client.create_logged_model(
            experiment_id, name=name, source_run_id=run_id, params=run.data.params
        )

    for model in left():
        client.delete_logged_model(model.model_id)
    return str(patiently(root, create, made=lambda: next(iter(left()), None)).model_id)


def versions_of(client: MlflowClient, name: str, run_id: str) -> dict[str, ModelVersion]:
    """The versions of a run, by the id of their logged model."""
    found = client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'")
    # A search leaves the id out.
    whole = [client.get_model_version(name, v.version) for v in found]
    return {str(v.source).removeprefix("models:/"): v for v in whole}


def requirements_of(bundle_dir: Path) -> tuple[str, ...]:
    """Packages that serving this bundle needs, without versions."""
    head = read_json(bundle_dir / CARD_FILE)
    members = bundle_dir / MEMBERS_FILE
    names = [head["model"], *(read_json(members)["members"] if members.is_file() else ())]
    by_torch = any(MODELS[name].serves_torch for name in names)
    torch = TORCH_REQUIREMENTS if by_torch else ()
    return (*REQUIREMENTS, *torch, *(HUB_REQUIREMENTS if head["encoder"] else ()))


def signature() -> ModelSignature:
    """The answer's columns.

    Those of the request are left out: MLflow would drop a misspelt one before the model sees it,
    and refuse all rows for one of another type. `pyfunc_model` checks them, row by row.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Map, Schema

    text, real = DataType.string, DataType.double
    return ModelSignature(
        outputs=Schema(
            [
                ColSpec(text, "emotion", required=False),
                ColSpec(real, "confidence", required=False),
                ColSpec(Map(real), "posteriors", required=False),
                ColSpec(Array(text), "candidates", required=False),
                ColSpec(real, "novelty", required=False),
                # Why there is no emotion: in a word, and in a sentence.
                ColSpec(text, "abstention", required=False),
                ColSpec(text, "abstention_detail", required=False),
                # Why there is no answer at all.
                ColSpec(text, "error", required=False),
            ]
        )
    )


def example_audio() -> str:
    """Half a second of a 200 Hz buzz, FLAC as base64."""
    sr = 8_000
    y = 0.5 * (np.arange(sr // 2) * 200 / sr % 1) - 0.25
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format="FLAC")
    return base64.b64encode(buffer.getvalue()).decode()
