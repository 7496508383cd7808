"""scikit-learn models on functionals. Never imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Self

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.pipeline import Pipeline

from ser.core.speakers.adaptation import Adaptation
from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.errors import BundleError, TableError
from ser.models.balance import training_weights
from ser.models.base import (
    CARD_FILE,
    Building,
    EmotionModel,
    Examples,
    Fitting,
    Inputs,
    Loader,
    fitted,
    reading,
    targets_of,
)
from ser.models.classical.discriminants import posteriors_of
from ser.models.classical.estimators import fit_pipeline, numbers_in
from ser.models.classical.files import dump_estimator, load_estimator
from ser.models.voices import adaptation_from, enrolment_from, posteriors_for_dev, voice_files
from ser.params import LdaParams, Section

MODEL_FILE = "model.skops"
#: Folds of speakers; posteriors for each are of a model trained on the others.
CROSS_FITS = 6
#: Softmax temperatures among which dev chooses, for models without posteriors of their own.
TEMPERATURES = tuple(float(t) for t in np.round(np.geomspace(0.05, 5.0, 41), 4))


class ClassicalModel(EmotionModel):
    """A scikit-learn pipeline behind the interface of all models."""

    kinds = frozenset({"functionals"})

    def __init__(
        self, name: str, *, classes: tuple[str, ...], options: Section | None = None
    ) -> None:
        self.name = name
        self.classes = classes
        self.options = options
        self.columns: tuple[str, ...] = ()
        self.temperature = 1.0
        self.pipeline: Pipeline | None = None
        self.adaptation: Adaptation | None = None

    @classmethod
    def build(cls, building: Building) -> Self:
        return cls(building.name, classes=building.classes, options=building.params)

    @property
    def n_parameters(self) -> int:
        return numbers_in(fitted(self.pipeline).steps[-1][1])

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train on `train`; `dev` chooses the temperature of an SVC. Then train on both."""
        self.columns = tuple(map(str, _frame(train.inputs).columns))
        self._train(train, fitting)
        if not hasattr(fitted(self.pipeline), "predict_proba"):
            self.temperature = self._chosen_temperature(dev)
        self.dev_posteriors = posteriors_for_dev(self, dev)
        self._train(train.and_of(dev), fitting)
        return self

    def _train(self, recorded: Examples, fitting: Fitting) -> None:
        examples = recorded.with_augmented()
        matrix = self.embed(examples.inputs)
        target = targets_of(examples.emotion, self.classes)
        weight = training_weights(len(recorded), corpus=examples.corpus, shares=recorded.shares)
        if fitting.enrolled:
            self.enrolment = Enrolment.of(matrix, speaker=examples.speaker)
            matrix = self.enrolment.by_speaker(matrix, speaker=examples.speaker)
            if isinstance(self.options, LdaParams):
                self.adaptation = self._adaptation(
                    matrix, target, recorded.speaker, weight, fitting.seed
                )
        self.pipeline = fit_pipeline(self.options, matrix, target, weight=weight, seed=fitting.seed)

    def _adaptation(
        self,
        matrix: np.ndarray,
        target: np.ndarray,
        speaker: np.ndarray,
        weight: np.ndarray | None,
        seed: int,
    ) -> Adaptation | None:
        """Estimated by posteriors of discriminants for speakers that they were not trained on.

        speaker : (n,) of the recordings, the first of the rows; their augmented versions follow.
        None where speakers are too few: every fold's training needs every emotion.
        """
        names, n = np.unique(speaker), len(speaker)
        if len(names) < 2:
            return None
        origin = np.tile(speaker, len(matrix) // n)
        posteriors = np.empty((n, len(self.classes)))
        for part in np.array_split(names, min(CROSS_FITS, len(names))):
            out = np.isin(origin, part)
            if len(np.unique(target[~out])) < len(self.classes):
                return None
            pipeline = fit_pipeline(
                self.options,
                matrix[~out],
                target[~out],
                weight=None if weight is None else weight[~out],
                seed=seed,
            )
            posteriors[out[:n]] = pipeline.predict_proba(matrix[:n][out[:n]])
        return Adaptation.of(posteriors, target[:n])

    def embed(self, inputs: Inputs) -> np.ndarray:
        """The functionals that the model takes, found by name: float64 (n, n_functionals)."""
        frame = _frame(inputs)
        # Extraction gives them in the order of training: then none need be looked up.
        if frame.columns.equals(_index(self.columns)):
            return frame.to_numpy(np.float64)
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise TableError(
                f"The functionals lack {missing[0]} ({len(missing)} of {len(self.columns)}); the "
                "model needs those it was trained on. Extract with the bundle's own parameters."
            )
        return frame.loc[:, list(self.columns)].to_numpy(np.float64)

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        return self.adaptation.own(self._raw(embeddings)) if self.adaptation else None

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        raw = self._raw(embeddings)
        if self.adaptation is None:
            return raw
        # Several notes are an ensemble's.
        assert not isinstance(own, tuple)
        return self.adaptation.posteriors(raw, own)

    def _raw(self, embeddings: np.ndarray) -> np.ndarray:
        """Posteriors (n, n_classes) before adaptation to the speaker."""
        pipeline = fitted(self.pipeline)
        # A class of `classes` without training utterances has posterior 0.
        posteriors = np.zeros((len(embeddings), len(self.classes)))
        if len(embeddings) == 0:
            return posteriors
        if hasattr(pipeline, "predict_proba"):
            known = posteriors_of(pipeline, embeddings)
        else:
            known = softmax(_decisions(pipeline, embeddings) / self.temperature, axis=1)
        posteriors[:, pipeline.classes_] = known
        return posteriors

    def to_files(self) -> dict[str, bytes]:
        card = {
            "name": self.name,
            "classes": self.classes,
            "columns": self.columns,
            "temperature": self.temperature,
        }
        return {
            MODEL_FILE: dump_estimator(self.pipeline),
            CARD_FILE: json.dumps(card, indent=1).encode(),
            **voice_files(self.enrolment, self.adaptation),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        with reading(CARD_FILE, MODEL_FILE):
            card = json.loads(files[CARD_FILE])
            model = cls(card["name"], classes=tuple(card["classes"]))
            model.columns = tuple(card["columns"])
            model.temperature = float(card["temperature"])
            data = files[MODEL_FILE]
        model.pipeline = load_estimator(data, n_features=len(model.columns))
        if not isinstance(model.pipeline, Pipeline):
            raise BundleError(
                f"{MODEL_FILE} holds a {type(model.pipeline).__name__}; expected a Pipeline."
            )
        model.enrolment, model.adaptation = enrolment_from(files), adaptation_from(files)
        return model

    def _chosen_temperature(self, dev: Examples) -> float:
        """The one with the least cross-entropy on dev."""
        if len(dev) == 0:
            return 1.0
        pipeline, matrix = fitted(self.pipeline), self.embed(dev.inputs)
        if self.enrolment:
            matrix = self.enrolment.by_speaker(matrix, speaker=dev.speaker)
        decisions = _decisions(pipeline, matrix)
        place = np.searchsorted(pipeline.classes_, targets_of(dev.emotion, self.classes))

        def log_loss(temperature: float) -> float:
            posteriors = softmax(decisions / temperature, axis=1)
            return -float(np.log(posteriors[np.arange(len(dev)), place] + 1e-12).mean())

        return min(TEMPERATURES, key=log_loss)


@lru_cache(maxsize=8)
def _index(columns: tuple[str, ...]) -> pd.Index:
    return pd.Index(columns)


def _frame(inputs: Inputs) -> pd.DataFrame:
    if inputs.functionals is None:
        raise TableError("A classical model takes functionals; found none. Extract them.")
    return inputs.functionals


def _decisions(pipeline: Pipeline, matrix: np.ndarray) -> np.ndarray:
    """Decisions (n, n_classes of the training)."""
    decisions = np.asarray(pipeline.decision_function(matrix))
    # For two classes scikit-learn returns one column: the second class's margin.
    return np.stack([-decisions, decisions], axis=1) if decisions.ndim == 1 else decisions
