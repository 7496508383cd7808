"""The one interface of all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
import pandas as pd

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.errors import TableError
from ser.params import EncoderParams, MachineParams, TrainParams

#: Called after each epoch with (epoch, {"train_loss": …, "dev_uar": …}).
OnEpoch = Callable[[int, Mapping[str, float]], None]
#: What can be extracted of an utterance.
Kind = Literal["functionals", "log_mel", "layers", "waveform"]


@dataclass(frozen=True)
class Inputs:
    """What was extracted of n utterances: the kinds that a model needs, others None.

    functionals : (n, n_functionals), columns by name; log_mel : n arrays (n_frames, n_mels), dB;
    layers : n arrays (n_layers, width), an encoder's of the hub; waveform : n arrays (n_samples,)
    at that encoder's rate.
    """

    functionals: pd.DataFrame | None = None
    log_mel: Sequence[np.ndarray] | None = None
    layers: Sequence[np.ndarray] | None = None
    waveform: Sequence[np.ndarray] | None = None

    def __len__(self) -> int:
        return next((len(known) for known in vars(self).values() if known is not None), 0)

    def take(self, rows: np.ndarray) -> Inputs:
        """Those of the utterances, in the order of `rows`."""
        return Inputs(
            None if self.functionals is None else self.functionals.iloc[rows],
            *(
                None if arrays is None else [arrays[i] for i in rows]
                for arrays in (self.log_mel, self.layers, self.waveform)
            ),
        )

    def and_of(self, other: Inputs) -> Inputs:
        """These utterances and after them those of `other`, of the kinds that both have."""
        joined: dict[str, Any] = {}
        for kind, own in vars(self).items():
            others = getattr(other, kind)
            if own is None or others is None:
                continue
            both = [own, others]
            joined[kind] = (
                pd.concat(both, ignore_index=True) if kind == "functionals" else [*own, *others]
            )
        return Inputs(**joined)

    def only(self, kinds: frozenset[Kind]) -> Inputs:
        """What a model of those kinds takes, and no more."""
        return Inputs(**{kind: getattr(self, kind) for kind in kinds})


@dataclass(frozen=True)
class Examples:
    """Utterances to train on, row by row.

    emotion : (n,) canonical labels; speaker : (n,) speaker ids, unique over corpora; augmented :
    of each augmented version of the recordings the functionals and log-mels, in the same order.
    """

    inputs: Inputs
    emotion: np.ndarray
    speaker: np.ndarray
    augmented: tuple[Inputs, ...] = ()

    def __len__(self) -> int:
        return len(self.emotion)

    def take(self, rows: np.ndarray) -> Examples:
        """Those of the utterances, in the order of `rows`."""
        return Examples(
            self.inputs.take(rows),
            self.emotion[rows],
            self.speaker[rows],
            tuple(version.take(rows) for version in self.augmented),
        )

    def and_of(self, other: Examples) -> Examples:
        """These and those of `other` after them, of the kinds that both have."""
        return Examples(
            self.inputs.and_of(other.inputs),
            np.concatenate([self.emotion, other.emotion]),
            np.concatenate([self.speaker, other.speaker]),
            tuple(a.and_of(b) for a, b in zip(self.augmented, other.augmented, strict=True)),
        )

    def only(self, kinds: frozenset[Kind]) -> Examples:
        """What a model of those kinds takes, and no more."""
        augmented = tuple(version.only(kinds) for version in self.augmented)
        return replace(self, inputs=self.inputs.only(kinds), augmented=augmented)

    def with_augmented(self) -> Examples:
        """The recordings and, after them, each augmented version as other speakers' recordings."""
        inputs, speaker = self.inputs, [self.speaker]
        for number, version in enumerate(self.augmented, start=1):
            inputs = inputs.and_of(version)
            speaker.append(np.char.add(self.speaker.astype(str), f" augmented {number}"))
        return Examples(inputs, np.tile(self.emotion, len(speaker)), np.concatenate(speaker))


@dataclass(frozen=True)
class Fitting:
    """How a model is fitted, beside its parameters.

    enrolled : for speakers who are known by unlabelled clips of theirs. on_epoch : called after
    each epoch. workdir : where checkpoints live while training; a killed fit that is called again
    with the same arguments resumes there and ends with the same weights.
    """

    seed: int
    enrolled: bool = False
    on_epoch: OnEpoch | None = None
    workdir: Path | None = None


#: Makes a fitted model of its name and files.
Loader = Callable[[str, Mapping[str, bytes]], "EmotionModel"]


@dataclass(frozen=True)
class Building:
    """What a model is built from.

    params : the section of `name`. encoder : the one that `lora` adapts. build, load : of an
    ensemble's members: the unfitted one of a name, the fitted one of a name and files.
    """

    name: str
    params: Any
    train: TrainParams
    classes: tuple[str, ...]
    encoder: EncoderParams | None
    machine: MachineParams
    build: Callable[[str, MachineParams], EmotionModel]
    load: Loader


class EmotionModel(Protocol):
    """Maps features of utterances to posteriors over `classes`, by way of an embedding.

    A class that inherits from it has no epochs and no enrolment, unless it says otherwise.
    Between the two steps a known speaker's embeddings are read against that speaker's own; see
    `ser.models.voices`, which is how models are asked.
    """

    classes: tuple[str, ...]
    #: Set by `fit`: raw posteriors for dev, by models not trained on its speakers, as
    #: `ser.models.voices.posteriors_for_dev` gives them: (n_levels, n_dev, n_classes).
    dev_posteriors: np.ndarray

    @classmethod
    def build(cls, building: Building) -> EmotionModel:
        """The unfitted model; raises EncoderError where its encoder is not on this machine."""
        ...

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader) -> EmotionModel:
        """Inverse of `to_files`; raises BundleError on anything not trusted.

        load : makes the members of an ensemble.
        """
        ...

    @property
    def name(self) -> str:
        """Its name in the table of models."""
        ...

    @property
    def kinds(self) -> frozenset[Kind]:
        """Which features the model takes."""
        ...

    @property
    def epochs(self) -> int:
        """Maximum training epochs (0 for models without epochs)."""
        return 0

    @property
    def enrolment(self) -> Enrolment | None:
        """What voices have in common; None: the model takes no notice of who speaks."""
        return None

    @property
    def n_parameters(self) -> int:
        """Trained parameters."""
        ...

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train on `train`; what there is to choose is chosen on `dev`.

        Once `dev_posteriors` are made a model may be trained on dev's speakers, too: there are
        too few speakers to leave any out for longer than need be.
        """
        ...

    def embed(self, inputs: Inputs) -> np.ndarray:
        """What is read of each utterance, float64 (n, d)."""
        ...

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        """What is to be noted of how the speaker of embeddings (n, d) expresses emotions.

        Asked of a model that knows voices, with embeddings that `enrolment` has standardised;
        None where it makes no difference.
        """
        return None

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        """Posteriors, float64 (n, n_classes), rows sum to 1, of embeddings (n, d).

        A model that knows voices takes them standardised by `enrolment`, and `own_emotions` of
        the speaker where he or she is known.
        """
        ...

    def to_files(self) -> dict[str, bytes]:
        """The fitted model as named files, never a pickle; equal models give equal bytes."""
        ...


def targets_of(emotion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Indices of emotions (n,) in `classes`; raises TableError on one that is not among them."""
    target = pd.Index(list(classes)).get_indexer(pd.Index(emotion))
    if (target < 0).any():
        raise TableError(
            f"Training holds {str(emotion[target < 0][0])!r}; the model's classes are "
            f"{', '.join(classes)}."
        )
    return target
