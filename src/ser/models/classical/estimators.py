"""scikit-learn's pipelines, built and fitted from parameters. Never imports torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from ser.errors import BundleError
from ser.models.classical.discriminants import fit_discriminants
from ser.params import (
    GradientBoostingParams,
    LdaParams,
    LogisticRegressionParams,
    MlpParams,
    RandomForestParams,
    Section,
    SvcParams,
)


def fit_pipeline(
    options: Section | None,
    matrix: np.ndarray,
    target: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    seed: int,
) -> Pipeline:
    """Scaled functionals, selected where `options` ask for it, and an estimator: fitted.

    matrix : (n, n_functionals); target : (n,); weight : (n,) of each example; None: all weigh 1.
    Functionals are selected without weights.
    """
    select = getattr(options, "select", None)
    steps: list[Any] = [StandardScaler()]
    if select is not None and select < matrix.shape[1]:
        steps.append(SelectKBest(f_classif, k=select))
    weights = {} if weight is None else {"standardscaler__sample_weight": weight}
    matrix = make_pipeline(*steps).fit_transform(matrix, target, **weights)
    if isinstance(options, LdaParams):
        estimator: Any = fit_discriminants(
            matrix, target, shrinkage=options.shrinkage, weight=weight
        )
    else:
        estimator = _estimator(options, seed=seed)
        # A second thread makes logistic regression three times slower, and an MLP no faster.
        with threadpool_limits(1), warnings.catch_warnings():
            # The number of epochs is a choice, not a failure to converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Every estimator of the table takes weights.
            estimator.fit(matrix, target, sample_weight=weight)
    # What only a further `fit` would need: optimisers, random states, the covariance.
    for attribute in ("_optimizer", "_random_state", "_rng", "covariance_", "xbar_", "means_"):
        vars(estimator).pop(attribute, None)
    return make_pipeline(*steps, estimator)


def _estimator(options: Section | None, *, seed: int) -> Any:
    """The unfitted scikit-learn estimator; emotions weigh alike however often they occur."""
    match options:
        case LogisticRegressionParams():
            return LogisticRegression(
                C=options.c, class_weight="balanced", max_iter=options.max_iter, random_state=seed
            )
        case SvcParams():
            # break_ties: predict agrees with the largest decision, hence with the posteriors.
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
                # All epochs are wanted: no early stop.
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
    raise BundleError(f"{type(options).__name__} is the section of no classical model.")


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
