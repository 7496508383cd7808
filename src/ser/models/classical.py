"""scikit-learn models on functionals. Never imports torch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser.core.enrolment import Enrolment
from ser.errors import BundleError, TableError
from ser.models.base import Examples, Inputs, Kind, OnEpoch, targets_of
from ser.models.discriminants import fit_discriminants
from ser.models.sklearn_files import dump_estimator, load_estimator
from ser.models.voices import enrolment_files, enrolment_from, posteriors_by_speaker
from ser.params import (
    ClassicalName,
    GradientBoostingParams,
    LdaParams,
    LogisticRegressionParams,
    MlpParams,
    RandomForestParams,
    Section,
    SvcParams,
)

MODEL_FILE = "model.skops"
CARD_FILE = "model.json"
#: Softmax temperatures among which dev chooses, for models without posteriors of their own.
TEMPERATURES = tuple(float(t) for t in np.round(np.geomspace(0.05, 5.0, 41), 4))


class ClassicalModel:
    """A scikit-learn pipeline behind the interface of all models (`EmotionModel`)."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"functionals"})
    has_epochs: ClassVar[bool] = False

    def __init__(
        self, name: ClassicalName, *, classes: tuple[str, ...], options: Section | None = None
    ) -> None:
        self.name = name
        self.classes = classes
        self.options = options
        self.columns: tuple[str, ...] = ()
        self.temperature = 1.0
        self.pipeline: Pipeline | None = None
        self.enrolment: Enrolment | None = None

    @property
    def n_parameters(self) -> int:
        return numbers_in(self._fitted().steps[-1][1])

    def fit(
        self,
        train: Examples,
        dev: Examples,
        *,
        seed: int,
        enrolled: bool = False,
        on_epoch: OnEpoch | None = None,
        workdir: Path | None = None,
    ) -> Self:
        """Learn from `train`; `dev` chooses the temperature of an SVC's posteriors. Then from both.

        There are no epochs, hence no calls of `on_epoch` and no checkpoints.
        """
        self.columns = tuple(map(str, _frame(train.inputs).columns))
        self._learn(train, seed=seed, enrolled=enrolled)
        if not hasattr(self._fitted(), "predict_proba"):
            self.temperature = self._choose_temperature(dev)
        self.dev_posteriors = posteriors_by_speaker(self, dev)
        self._learn(train.and_of(dev), seed=seed, enrolled=enrolled)
        return self

    def _learn(self, heard: Examples, *, seed: int, enrolled: bool) -> None:
        matrix = self.embed(heard.inputs)
        if enrolled:
            self.enrolment = Enrolment.of(matrix, speaker=heard.speaker)
            matrix = self.enrolment.by_speaker(matrix, speaker=heard.speaker)
        target = targets_of(heard.emotion, self.classes)
        before = make_pipeline(*_before(self.options, matrix.shape[1]))
        matrix = before.fit_transform(matrix, target)
        if isinstance(self.options, LdaParams):
            estimator = fit_discriminants(matrix, target, shrinkage=self.options.shrinkage)
        else:
            estimator = _estimator(self.name, self.options, seed=seed)
            with warnings.catch_warnings():
                # The number of epochs is a choice, not a failure to converge.
                warnings.simplefilter("ignore", ConvergenceWarning)
                estimator.fit(matrix, target)
        self.pipeline = make_pipeline(*(step for _, step in before.steps), estimator)
        _forget_training(estimator)

    def embed(self, inputs: Inputs) -> np.ndarray:
        """The functionals that the model takes, found by name: float64 (n, n_functionals)."""
        frame = _frame(inputs)
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise TableError(
                f"The functionals lack {missing[0]} ({len(missing)} of {len(self.columns)}); the "
                "model needs those it was trained on. Extract with the bundle's own parameters."
            )
        return frame.loc[:, list(self.columns)].to_numpy(np.float64)

    def classify(self, embeddings: np.ndarray) -> np.ndarray:
        pipeline = self._fitted()
        # A class that `classes` names and training lacked has posterior 0.
        posteriors = np.zeros((len(embeddings), len(self.classes)))
        if len(embeddings) == 0:
            return posteriors
        if hasattr(pipeline, "predict_proba"):
            known = pipeline.predict_proba(embeddings)
        else:
            known = _softmax(_decisions(pipeline, embeddings) / self.temperature)
        posteriors[:, pipeline.classes_] = known
        return posteriors

    def to_files(self) -> dict[str, bytes]:
        """{"model.skops", "model.json"}, an enrolment; equal models give equal bytes."""
        card = {
            "name": self.name,
            "classes": self.classes,
            "columns": self.columns,
            "temperature": self.temperature,
        }
        return {
            MODEL_FILE: dump_estimator(self.pipeline),
            CARD_FILE: json.dumps(card, indent=1).encode(),
            **enrolment_files(self.enrolment),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Inverse of `to_files`; raises BundleError on anything not trusted."""
        try:
            card = json.loads(files[CARD_FILE])
            model = cls(card["name"], classes=tuple(card["classes"]))
            model.columns = tuple(card["columns"])
            model.temperature = float(card["temperature"])
            data = files[MODEL_FILE]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"The model's files are incomplete or malformed ({error!r}); expected {CARD_FILE} "
                f"and {MODEL_FILE}. Restore the bundle, or train the model again."
            ) from error
        model.pipeline = load_estimator(data, n_features=len(model.columns))
        if not isinstance(model.pipeline, Pipeline):
            raise BundleError(
                f"{MODEL_FILE} holds a {type(model.pipeline).__name__}; expected a Pipeline."
            )
        model.enrolment = enrolment_from(files)
        return model

    def _fitted(self) -> Pipeline:
        if self.pipeline is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        return self.pipeline

    def _choose_temperature(self, dev: Examples) -> float:
        if len(dev) == 0:
            return 1.0
        matrix, pipeline = self.embed(dev.inputs), self._fitted()
        if self.enrolment:
            matrix = self.enrolment.by_speaker(matrix, speaker=dev.speaker)
        decisions = _decisions(pipeline, matrix)
        targets = targets_of(dev.emotion, self.classes)
        positions = np.searchsorted(pipeline.classes_, targets)
        known = np.isin(targets, pipeline.classes_)
        if not known.any():
            return 1.0
        rows = np.flatnonzero(known)

        def log_loss(temperature: float) -> float:
            posteriors = _softmax(decisions / temperature)
            return -float(np.log(posteriors[rows, positions[rows]] + 1e-12).mean())

        return min(TEMPERATURES, key=log_loss)


def _estimator(name: ClassicalName, options: Section | None, *, seed: int) -> Any:
    """The unfitted scikit-learn estimator. Emotions weigh alike however often they occur."""
    match options:
        case LogisticRegressionParams():
            return LogisticRegression(
                C=options.c, class_weight="balanced", max_iter=options.max_iter, random_state=seed
            )
        case SvcParams():
            # break_ties: predict and the largest decision agree, and so do the posteriors.
            return SVC(
                C=options.c,
                gamma=options.gamma,
                class_weight="balanced",
                break_ties=True,
                random_state=seed,
            )
        case RandomForestParams():
            return RandomForestClassifier(
                n_estimators=options.trees,
                min_samples_leaf=options.min_samples_leaf,
                class_weight="balanced",
                random_state=seed,
            )
        case MlpParams():
            return MLPClassifier(
                hidden_layer_sizes=options.hidden,
                alpha=options.alpha,
                learning_rate_init=options.learning_rate,
                max_iter=options.epochs,
                batch_size=options.batch_size,
                # All epochs are wanted: there is nothing to converge to.
                n_iter_no_change=options.epochs,
                random_state=seed,
            )
        case GradientBoostingParams():
            return GradientBoostingClassifier(
                n_estimators=options.rounds,
                max_depth=options.max_depth,
                learning_rate=options.learning_rate,
                subsample=options.subsample,
                max_features="sqrt",
                random_state=seed,
            )
    raise BundleError(f"{name!r} has no options to be built from; use build_model().")


def _before(options: Section | None, n_features: int) -> list[Any]:
    """The steps before the estimator: scales alike, and the functionals that tell most apart."""
    select = getattr(options, "select", None)
    steps: list[Any] = [StandardScaler()]
    if select is not None and select < n_features:
        steps.append(SelectKBest(f_classif, k=select))
    return steps


def numbers_in(fitted: Any) -> int:
    """How many numbers a fitted scikit-learn object holds, trees and networks included."""
    if isinstance(fitted, np.ndarray) and fitted.dtype != object:
        return int(fitted.size)
    if isinstance(fitted, list | tuple | np.ndarray):
        return sum(map(numbers_in, fitted))
    if hasattr(fitted, "tree_"):
        return int(fitted.tree_.node_count * 2 + fitted.tree_.value.size)
    if hasattr(fitted, "get_params"):
        return sum(map(numbers_in, (v for k, v in vars(fitted).items() if k.endswith("_"))))
    return 0


def _forget_training(estimator: Any) -> None:
    """Drop what only a further `fit` would need: optimisers, random states, the covariance."""
    for attribute in ("_optimizer", "_random_state", "_rng", "covariance_", "xbar_", "means_"):
        if hasattr(estimator, attribute):
            delattr(estimator, attribute)


def _frame(inputs: Inputs) -> pd.DataFrame:
    if inputs.functionals is None:
        raise TableError("A classical model takes functionals; found none. Extract them.")
    return inputs.functionals


def _decisions(pipeline: Pipeline, matrix: np.ndarray) -> np.ndarray:
    """(n, n_classes known to the pipeline)"""
    decisions = np.asarray(pipeline.decision_function(matrix))
    # For two classes scikit-learn returns one column: the second class's margin.
    return np.stack([-decisions, decisions], axis=1) if decisions.ndim == 1 else decisions


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return normalised
