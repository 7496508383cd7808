"""`model.name` chooses the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from ser.errors import BundleError
from ser.models.base import EmotionModel
from ser.params import EncoderParams, MachineParams, ModelName, ModelParams, TrainParams

MODEL_NAMES: tuple[str, ...] = get_args(ModelName)
#: Models that are made of others.
ENSEMBLES = ("ensemble", "stack", "transfer")
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
    name, options = model.name, getattr(model, model.name)
    threads = machine.threads
    # Imported here so that classical serving never loads torch, nor a network scikit-learn.
    if name == "cnn":
        from ser.models.networks.model import NeuralModel

        return NeuralModel(options, train, classes=classes, threads=threads)
    if name == "byol_s":
        from ser.models.networks.byol import ByolModel
        from ser.models.networks.model import NeuralModel

        return (
            NeuralModel(options, train, classes=classes, threads=threads)
            if options.tune
            else ByolModel(options, classes=classes)
        )
    if name == "layers":
        from ser.models.encoders.layered import LayeredModel

        return LayeredModel(options, classes=classes, threads=threads)
    if name == "lora":
        from ser.models.encoders.loading import load_encoder
        from ser.models.encoders.lora import LoraModel

        assert encoder is not None
        assert encoder.name is not None
        base = load_encoder(encoder.name, revision=encoder.revision, download=machine.download)
        return LoraModel(options, base, classes=classes, threads=threads)
    if name == "ensemble" or name == "stack" or name == "transfer":
        from ser.models.ensemble.model import Ensemble

        alone = machine.model_copy(update={"threads": 1})
        members = [
            (
                own,
                build_model(
                    model.model_copy(update={"name": own}), train, classes=classes, machine=alone
                ),
            )
            for own in options.members
        ]
        return Ensemble(name, members, classes=classes, load=model_from_files)
    from ser.models.classical.model import ClassicalModel

    return ClassicalModel(name, classes=classes, options=options)


def model_from_files(name: str, files: Mapping[str, bytes]) -> EmotionModel:
    """The fitted model `name` that `to_files` made; raises BundleError on anything not trusted."""
    if name not in MODEL_NAMES:
        raise BundleError(f"No model is called {name!r}; known are {', '.join(MODEL_NAMES)}.")
    if name == "cnn":
        from ser.models.networks.model import NeuralModel

        return NeuralModel.from_files(files)
    if name == "byol_s":
        from ser.models.networks import byol
        from ser.models.networks.model import NeuralModel

        frozen = byol.CARD_FILE in files
        return (byol.ByolModel if frozen else NeuralModel).from_files(files)
    if name == "layers":
        from ser.models.encoders.layered import LayeredModel

        return LayeredModel.from_files(files)
    if name == "lora":
        from ser.models.encoders.lora import LoraModel

        return LoraModel.from_files(files)
    model: EmotionModel
    if name in ENSEMBLES:
        from ser.models.ensemble.model import Ensemble

        model = ensemble = Ensemble.from_files(files, load=model_from_files)
        found = ensemble.name
    else:
        from ser.models.classical.model import ClassicalModel

        model = classical = ClassicalModel.from_files(files)
        found = classical.name
    if found != name:
        raise BundleError(f"The files hold a {found}; the bundle says {name}.")
    return model
