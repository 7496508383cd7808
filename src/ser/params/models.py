"""The table of models, and the section of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, PositiveInt, create_model

from ser.params.section import Section, one_of


class LdaParams(Section):
    """Linear discriminants: one covariance for all emotions."""

    #: Shrinkage of the covariance towards its diagonal: there are more functionals than utterances.
    shrinkage: float = Field(0.7, gt=0, le=1)
    #: How many functionals to keep: those that alone separate emotions best; None: all.
    select: PositiveInt | None = None


class LogisticRegressionParams(Section):
    select: PositiveInt | None = None
    c: float = Field(0.01, gt=0)
    max_iter: int = Field(2000, ge=1)


class SvcParams(Section):
    select: PositiveInt | None = None
    c: float = Field(10.0, gt=0)
    gamma: float = Field(0.0005, gt=0)


class RandomForestParams(Section):
    trees: int = Field(300, ge=1)
    min_samples_leaf: int = Field(2, ge=1)


class MlpParams(Section):
    hidden: tuple[PositiveInt, ...] = Field((128,), min_length=1)
    #: Weight decay.
    alpha: float = Field(1.0, ge=0)
    learning_rate: float = Field(0.001, gt=0)
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(60, ge=1)


class GradientBoostingParams(Section):
    rounds: int = Field(100, ge=1)
    max_depth: int = Field(3, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    #: Share of the utterances that each tree sees.
    subsample: float = Field(0.7, gt=0, le=1)


class CnnParams(Section):
    """The default network: convolutions over log-mel, attentive statistics pooling."""

    #: Channels of the first layer; the others have two, three and four times as many.
    channels: int = Field(16, ge=4)
    #: Channels over time, whose mean and deviation are classified.
    width: int = Field(96, ge=8)
    dropout: float = Field(0.2, ge=0, lt=1)


class ByolParams(Section):
    """BYOL-S, an encoder trained on unlabelled speech; needs features.log_mel: byol_s."""

    #: Path of its weights, which the user provides: this package does not contain them.
    weights: str | None = None
    #: SHA-256 that the file must have; None: any. Without it DVC does not notice another file.
    weights_sha256: str | None = None
    #: Whether it is fine-tuned; else linear discriminants are trained on the frozen encoder.
    tune: bool = False
    #: Shrinkage of the discriminants' covariance.
    shrinkage: float = Field(0.7, gt=0, le=1)
    dropout: float = Field(0.3, ge=0, lt=1)


class LayersParams(Section):
    """A head on all layers of an encoder of the hub, with a trained weight for each layer."""

    #: Units of the hidden layer; 0: the head is linear.
    hidden: int = Field(0, ge=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    learning_rate: float = Field(0.001, gt=0)
    #: Learning rate of the layers' weights.
    layer_learning_rate: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(64, ge=1)
    max_epochs: int = Field(60, ge=1)
    #: Epochs without a better dev UAR before training stops.
    patience: int = Field(12, ge=1)


class LoraParams(Section):
    """Adapters in an encoder of the hub (LoRA), and a head on it, which is trained first."""

    rank: int = Field(8, ge=1)
    #: The adapters' output is scaled by alpha / rank.
    alpha: int = Field(16, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    learning_rate: float = Field(0.0002, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    #: Utterances of a batch; the optimiser steps after `accumulate` batches.
    batch_size: int = Field(4, ge=1)
    accumulate: int = Field(4, ge=1)
    max_epochs: int = Field(10, ge=1)
    #: Epochs without a better dev UAR before training stops.
    patience: int = Field(3, ge=1)
    #: Longer utterances are cropped, at random, while training.
    crop_seconds: float = Field(8.0, gt=0)
    head: LayersParams = LayersParams()


def _model(fits: Callable[[Entry], bool]) -> AfterValidator:
    """Takes the name of a model whose entry in the table `fits`."""
    return AfterValidator(
        lambda name: one_of((name for name, entry in MODELS.items() if fits(entry)), name)
    )


Member = Annotated[str, _model(lambda entry: entry.member)]
ClassicalMember = Annotated[str, _model(lambda entry: entry.member and not entry.torch)]


class EnsembleParams(Section):
    """Networks and a classical model, which make different errors."""

    #: The same name twice: two models of different seeds.
    members: tuple[Member, ...] = Field(("cnn", "cnn", "lda"), min_length=1)


class StackParams(Section):
    """Classical models alone: trained in seconds, without torch."""

    members: tuple[ClassicalMember, ...] = Field(
        ("lda", "svc", "logistic_regression"), min_length=1
    )


class TransferParams(Section):
    """The ensemble with an encoder that was trained on other speech."""

    members: tuple[Member, ...] = Field(("cnn", "cnn", "cnn", "cnn", "lda", "byol_s"), min_length=1)


@dataclass(frozen=True)
class Entry:
    """A model of the table.

    params : its section of params.yaml. path : `module:class`, imported when a model is built or
    loaded, so that serving loads no torch where it need not. member : whether ensembles may have
    it. torch : whether training needs torch; `stack` takes only members that do not. serves_torch :
    whether predicting needs it, too. encoder : whether it takes the representations of an encoder
    of the Hugging Face hub.
    """

    params: type[Section]
    path: str
    member: bool = True
    torch: bool = False
    serves_torch: bool = False
    encoder: bool = False


CLASSICAL = "ser.models.classical.model:ClassicalModel"
ENSEMBLE = "ser.models.ensemble.model:Ensemble"
#: By the value of model.name: a line here and the class that it names are all that a model needs.
MODELS = {
    "ensemble": Entry(EnsembleParams, ENSEMBLE, member=False),
    "stack": Entry(StackParams, ENSEMBLE, member=False),
    "transfer": Entry(TransferParams, ENSEMBLE, member=False),
    "byol_s": Entry(
        ByolParams, "ser.models.networks.byol:ByolModel", torch=True, serves_torch=True
    ),
    "layers": Entry(
        LayersParams,
        "ser.models.encoders.layered:LayeredModel",
        torch=True,
        serves_torch=True,
        encoder=True,
    ),
    "lora": Entry(
        LoraParams,
        "ser.models.encoders.lora:LoraModel",
        member=False,
        torch=True,
        serves_torch=True,
        encoder=True,
    ),
    "lda": Entry(LdaParams, CLASSICAL),
    "logistic_regression": Entry(LogisticRegressionParams, CLASSICAL),
    "svc": Entry(SvcParams, CLASSICAL),
    "random_forest": Entry(RandomForestParams, CLASSICAL),
    "mlp": Entry(MlpParams, CLASSICAL),
    "gradient_boosting": Entry(GradientBoostingParams, CLASSICAL),
    "cnn": Entry(CnnParams, "ser.models.networks.model:NeuralModel", torch=True),
}


class ChosenModel(Section):
    """`name` chooses the model; the section of that name configures it, and its members'."""

    name: Annotated[str, _model(lambda entry: True)] = "ensemble"
    #: Whether to train for, and predict with, unlabelled clips of each speaker.
    enrolled: bool = False

    def section(self, name: str) -> Any:
        """The section of the model `name`."""
        return getattr(self, name)

    @property
    def used(self) -> frozenset[str]:
        """The names of the model and its members."""
        return frozenset({self.name, *getattr(self.section(self.name), "members", ())})

    @property
    def takes_encoder(self) -> bool:
        """Whether one of them takes an encoder of the Hugging Face hub."""
        return any(MODELS[name].encoder for name in self.used)


if TYPE_CHECKING:
    ModelParams = ChosenModel
else:
    # A section for each model of the table.
    ModelParams = create_model(
        "ModelParams",
        __base__=ChosenModel,
        __doc__=ChosenModel.__doc__,
        **{name: (entry.params, entry.params()) for name, entry in MODELS.items()},
    )
