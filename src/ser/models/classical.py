"""scikit-learn models on functionals. Never imports torch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser.errors import BundleError, TableError
from ser.models.base import Examples, Inputs, OnEpoch
from ser.models.sklearn_files import dump_estimator, load_estimator
from ser.params import (
    ClassicalName,
    GradientBoostingParams,
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

    input_kind: ClassVar[Literal["functionals", "log_mel"]] = "functionals"

    def __init__(
        self, name: ClassicalName, *, classes: tuple[str, ...], options: Section | None = None
    ) -> None:
        self.name = name
        self.classes = classes
        self.options = options
        self.columns: tuple[str, ...] = ()
        self.temperature = 1.0
        self.pipeline: Pipeline | None = None

    def fit(
        self,
        train: Examples,
        dev: Examples,
        *,
        seed: int,
        on_epoch: OnEpoch | None = None,
        workdir: Path | None = None,
    ) -> Self:
        """Learn from `train`; `dev` chooses the temperature of an SVC's posteriors.

        There are no epochs, hence no calls of `on_epoch` and no checkpoints.
        """
        frame = _frame(train.inputs)
        self.columns = tuple(map(str, frame.columns))
        estimator = _estimator(self.name, self.options, seed=seed)
        self.pipeline = make_pipeline(StandardScaler(), estimator)
        with warnings.catch_warnings():
            # The number of epochs is a choice, not a failure to converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.pipeline.fit(self._matrix(frame), self._targets(train.emotion))
        _forget_training(estimator)
        if not hasattr(estimator, "predict_proba"):
            self.temperature = self._choose_temperature(dev)
        return self

    def predict_proba(self, inputs: Inputs) -> np.ndarray:
        """Posteriors, float64 (n, n_classes); columns of `inputs` are found by name."""
        if self.pipeline is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        frame = _frame(inputs)
        if frame.empty:
            return np.zeros((0, len(self.classes)))
        matrix = self._matrix(frame)
        if hasattr(self.pipeline, "predict_proba"):
            known = self.pipeline.predict_proba(matrix)
        else:
            known = _softmax(_decisions(self.pipeline, matrix) / self.temperature)
        # A class that `classes` names and training lacked has posterior 0.
        posteriors = np.zeros((len(matrix), len(self.classes)))
        posteriors[:, self.pipeline.classes_] = known
        return posteriors

    def to_files(self) -> dict[str, bytes]:
        """{"model.skops", "model.json"}; equal models give equal bytes."""
        card = {
            "name": self.name,
            "classes": self.classes,
            "columns": self.columns,
            "temperature": self.temperature,
        }
        return {
            MODEL_FILE: dump_estimator(self.pipeline),
            CARD_FILE: json.dumps(card, indent=1).encode(),
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
        return model

    def _targets(self, emotion: np.ndarray) -> np.ndarray:
        index = {label: i for i, label in enumerate(self.classes)}
        unknown = sorted(set(emotion) - set(index))
        if unknown:
            raise TableError(
                f"Training holds {unknown[0]!r}; the model's classes are {', '.join(self.classes)}."
            )
        return np.array([index[label] for label in emotion])

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise TableError(
                f"The functionals lack {missing[0]} ({len(missing)} of {len(self.columns)}); the "
                "model needs those it was trained on. Extract with the bundle's own parameters."
            )
        return frame.loc[:, list(self.columns)].to_numpy(np.float64)

    def _choose_temperature(self, dev: Examples) -> float:
        frame = _frame(dev.inputs)
        if self.pipeline is None or frame.empty:
            return 1.0
        decisions = _decisions(self.pipeline, self._matrix(frame))
        targets = self._targets(dev.emotion)
        positions = np.searchsorted(self.pipeline.classes_, targets)
        known = np.isin(targets, self.pipeline.classes_)
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


def _forget_training(estimator: Any) -> None:
    """Drop what only a further `fit` would need: optimisers and random states."""
    for attribute in ("_optimizer", "_random_state", "_rng"):
        if hasattr(estimator, attribute):
            delattr(estimator, attribute)


def _frame(inputs: Inputs) -> pd.DataFrame:
    if not isinstance(inputs, pd.DataFrame):
        raise TableError(
            f"A classical model takes functionals in a DataFrame; found {type(inputs).__name__}."
        )
    return inputs


def _decisions(pipeline: Pipeline, matrix: np.ndarray) -> np.ndarray:
    """(n, n_classes known to the pipeline)"""
    decisions = np.asarray(pipeline.decision_function(matrix))
    # For two classes scikit-learn returns one column: the second class's margin.
    return np.stack([-decisions, decisions], axis=1) if decisions.ndim == 1 else decisions


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return normalised
