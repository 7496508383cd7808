"""`model.name` chooses the model; the table of models names its class."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from ser.errors import BundleError
from ser.models.base import Building, EmotionModel
from ser.params import MODELS, EncoderParams, MachineParams, ModelParams, TrainParams

HERE = MachineParams()


def build_model(
    model: ModelParams,
    train: TrainParams,
    *,
    classes: tuple[str, ...],
    encoder: EncoderParams | None = None,
    machine: MachineParams = HERE,
) -> EmotionModel:
    """The unfitted model that `model.name` names, for these `classes`.

    encoder : which the model `lora` adapts; raises EncoderError where it is not on this machine.
    machine : the CPU threads to train on, and whether the hub may be asked.
    """

    def build(name: str, machine: MachineParams) -> EmotionModel:
        options = model.section(name)
        return _class_of(name).build(
            Building(name, options, train, classes, encoder, machine, build)
        )

    return build(model.name, machine)


def model_from_files(name: str, files: Mapping[str, bytes]) -> EmotionModel:
    """The fitted model `name` that `to_files` made; raises BundleError on anything not trusted."""
    if name not in MODELS:
        raise BundleError(f"No model is called {name!r}; known are {', '.join(MODELS)}.")
    model = _class_of(name).from_files(files, load=model_from_files)
    if model.name != name:
        raise BundleError(
            f"The files hold a {model.name}; the bundle names {name}. Restore the bundle."
        )
    return model


def _class_of(name: str) -> type[EmotionModel]:
    # Imported here: serving a classical model never loads torch, nor a network scikit-learn.
    module, _, own = MODELS[name].path.partition(":")
    found: type[EmotionModel] = getattr(import_module(module), own)
    return found
