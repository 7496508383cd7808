"""The one interface of all models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
import pandas as pd
from safetensors import SafetensorError

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.errors import BundleError, TableError
from ser.params import EncoderParams, MachineParams, TrainParams

T = TypeVar("T")
#: Names of a model's files: its tensors, where it has any, and what they are of.
WEIGHTS_FILE, CARD_FILE = "model.safetensors", "model.json"
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

    def take(self, rows: np.ndarray) -> Inputs:
        """The utterances at `rows`, in that order."""
        return Inputs(
            None if self.functionals is None else self.functionals.iloc[rows],
            *(
                None if arrays is None else [arrays[i] for i in rows]
                for arrays in (self.log_mel, self.layers, self.waveform)
            ),
        )

    def and_of(self, other: Inputs) -> Inputs:
        """These utterances, then those of `other`, of the kinds that both have."""
        joined: dict[str, Any] = {}
        for kind, own in vars(self).items():
            others = getattr(other, kind)
            if isinstance(own, pd.DataFrame) and others is not None:
                joined[kind] = pd.concat([own, others], ignore_index=True)
            elif own is not None and others is not None:
                joined[kind] = [*own, *others]
        return Inputs(**joined)

    def only(self, kinds: frozenset[Kind]) -> Inputs:
        return Inputs(**{kind: getattr(self, kind) for kind in kinds})


@dataclass(frozen=True)
class Examples:
    """Utterances to train on, row by row.

    emotion : (n,) canonical labels; speaker : (n,) speaker ids, unique over corpora; augmented :
    for each augmented version its functionals and log-mels, in the same order; corpus : (n,) names,
    each of which counts alike in training; None: each utterance does. shares : how much the
    recordings and each augmented version count in training, relative to each other; None: alike.
    """

    inputs: Inputs
    emotion: np.ndarray
    speaker: np.ndarray
    augmented: tuple[Inputs, ...] = ()
    corpus: np.ndarray | None = None
    shares: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.emotion)

    def take(self, rows: np.ndarray) -> Examples:
        """The utterances at `rows`, in that order."""
        return Examples(
            self.inputs.take(rows),
            self.emotion[rows],
            self.speaker[rows],
            tuple(version.take(rows) for version in self.augmented),
            None if self.corpus is None else self.corpus[rows],
            self.shares,
        )

    def and_of(self, other: Examples) -> Examples:
        """These utterances, then those of `other`, of the kinds that both have."""
        return Examples(
            self.inputs.and_of(other.inputs),
            np.concatenate([self.emotion, other.emotion]),
            np.concatenate([self.speaker, other.speaker]),
            tuple(a.and_of(b) for a, b in zip(self.augmented, other.augmented, strict=True)),
            None
            if self.corpus is None or other.corpus is None
            else np.concatenate([self.corpus, other.corpus]),
            self.shares,
        )

    def only(self, kinds: frozenset[Kind]) -> Examples:
        """The same utterances with these kinds of inputs alone."""
        augmented = tuple(version.only(kinds) for version in self.augmented)
        return replace(self, inputs=self.inputs.only(kinds), augmented=augmented)

    def with_augmented(self) -> Examples:
        """The recordings, then each augmented version as recordings of other speakers."""
        inputs, speaker = self.inputs, [self.speaker]
        for number, version in enumerate(self.augmented, start=1):
            inputs = inputs.and_of(version)
            speaker.append(np.char.add(self.speaker.astype(str), f" augmented {number}"))
        return Examples(
            inputs,
            np.tile(self.emotion, len(speaker)),
            np.concatenate(speaker),
            corpus=None if self.corpus is None else np.tile(self.corpus, len(speaker)),
        )


@dataclass(frozen=True)
class Fitting:
    """How a model is fitted, beside its parameters.

    enrolled : for speakers with enrolment clips. on_epoch : called after each epoch. workdir : the
    folder of checkpoints; a fit that was killed and is called again with the same arguments resumes
    there and ends with the same weights.
    """

    seed: int
    enrolled: bool = False
    on_epoch: OnEpoch | None = None
    workdir: Path | None = None


#: Makes a fitted model from its name and its files.
Loader = Callable[[str, Mapping[str, bytes]], "EmotionModel"]


@dataclass(frozen=True)
class Building:
    """What a model is built from.

    params : the section of `name`. encoder : the one that `lora` adapts. build : makes the unfitted
    model of a name, for the members of an ensemble.
    """

    name: str
    params: Any
    train: TrainParams
    classes: tuple[str, ...]
    encoder: EncoderParams | None
    machine: MachineParams
    build: Callable[[str, MachineParams], EmotionModel]


class EmotionModel:
    """Maps features of utterances to posteriors over `classes`, by way of an embedding.

    Between the two steps the embeddings of a speaker with enrolment clips are standardised by that
    speaker's own; `ser.models.voices` does both.
    """

    #: As in the table of models.
    name: str
    #: Which features the model takes.
    kinds: frozenset[Kind]
    classes: tuple[str, ...]
    #: Maximum training epochs (0 for models without epochs).
    epochs: int = 0
    #: What voices have in common; None: the model ignores who speaks.
    enrolment: Enrolment | None = None
    #: Set by `fit`: raw posteriors for dev, by models not trained on its speakers, as
    #: `ser.models.voices.posteriors_for_dev` gives them: (n_levels, n_dev, n_classes).
    dev_posteriors: np.ndarray

    @classmethod
    def build(cls, building: Building) -> EmotionModel:
        """The unfitted model; raises EncoderError where its encoder is not on this machine."""
        raise NotImplementedError

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> EmotionModel:
        """Inverse of `to_files`; raises BundleError on anything not trusted.

        load : makes the members of an ensemble.
        """
        raise NotImplementedError

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        raise NotImplementedError

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train on `train`; choose on `dev` what there is to choose.

        Once `dev_posteriors` are made a model may be trained on dev's speakers, too: there are
        too few speakers to leave any out for longer than need be.
        """
        raise NotImplementedError

    def embed(self, inputs: Inputs) -> np.ndarray:
        """Embeddings of the utterances, float64 (n, d)."""
        raise NotImplementedError

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        """How the speaker of embeddings (n, d), standardised by `enrolment`, expresses emotions.

        None for a model that takes no notice of it.
        """
        return None

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        """Posteriors, float64 (n, n_classes), rows sum to 1, of embeddings (n, d).

        A model with an enrolment takes embeddings that it has standardised, and `own_emotions` of
        a speaker with enrolment clips.
        """
        raise NotImplementedError

    def to_files(self) -> dict[str, bytes]:
        """The fitted model as named files, never a pickle; equal models give equal bytes."""
        raise NotImplementedError


def fitted(part: T | None) -> T:
    """The part of a model that `fit` sets; raises BundleError before that."""
    if part is None:
        raise BundleError("The model is not fitted; call fit() or load a bundle first.")
    return part


@contextmanager
def reading(*names: str) -> Iterator[None]:
    """Raises BundleError where the block finds a model's files, `names`, missing or malformed."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        first = str(error).partition("\n")[0]
        raise BundleError(
            f"The model's files cannot be read ({type(error).__name__}: {first}); expected "
            f"{' and '.join(names)}. Restore the bundle, or train the model again."
        ) from error


def targets_of(emotion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Indices of emotions (n,) in `classes`; raises TableError on one that is not among them."""
    target = pd.Index(list(classes)).get_indexer(pd.Index(emotion))
    if (target < 0).any():
        raise TableError(
            f"Training holds {str(emotion[target < 0][0])!r}; the model's classes are "
            f"{', '.join(classes)}."
        )
    return target
