"""`model.name` chooses the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from ser.errors import BundleError
from ser.models.base import EmotionModel
from ser.params import ModelName, ModelParams, TrainParams

MODEL_NAMES: tuple[str, ...] = get_args(ModelName)


def build_model(
    model: ModelParams, train: TrainParams, *, classes: tuple[str, ...]
) -> EmotionModel:
    """The unfitted model that `model.name` names, for these `classes`."""
    # Imported here so that classical serving never loads torch, nor a network scikit-learn.
    if model.name == "cnn":
        from ser.models.neural import NeuralModel

        return NeuralModel(model.cnn, train, classes=classes)
    from ser.models.classical import ClassicalModel

    return ClassicalModel(model.name, classes=classes, options=getattr(model, model.name))


def model_from_files(name: str, files: Mapping[str, bytes]) -> EmotionModel:
    """The fitted model `name` that `to_files` made; raises BundleError on anything not trusted."""
    if name not in MODEL_NAMES:
        raise BundleError(f"No model is called {name!r}; known are {', '.join(MODEL_NAMES)}.")
    if name == "cnn":
        from ser.models.neural import NeuralModel

        return NeuralModel.from_files(files)
    from ser.models.classical import ClassicalModel

    model = ClassicalModel.from_files(files)
    if model.name != name:
        raise BundleError(f"The files hold a {model.name}; the bundle says {name}.")
    return model
