"""How far two samples of figures lie apart. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import ks_2samp, rankdata

#: Bins of the population stability index: tenths of the reference.
BINS = 10
#: Reference rows a recent one that the classifier is given, and its shrinkage.
ROWS, SHRINKAGE = 3, 0.1


def ks(recent: np.ndarray, reference: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic: the largest distance of the two distribution functions.

    >>> ks(np.arange(4.0), np.arange(4.0) + 2)
    0.5
    """
    return float(ks_2samp(recent, reference, method="asymp").statistic)


def separation(statistic: float, n: int) -> float:
    """How many deviations apart two normal distributions of that KS statistic lie.

    Unlike the statistic it has no upper bound, so that a spread of it over speakers can be
    continued beyond them; `n` values tell no more than 1 - 1/n from 1.

    >>> round(separation(0.3829, 200), 2)
    1.0
    """
    return float(2 * ndtri((1 + min(statistic, 1 - 1 / n)) / 2))


def psi(recent: np.ndarray, reference: np.ndarray) -> float:
    """Population stability index over tenths of the reference; half a row stands in empty bins.

    Siddiqi (2006), "Credit risk scorecards": above 0.25 is a large shift, where rows are
    independent.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(edges, x, side="right"), minlength=edges.size + 1), 0.5
        )
        / x.size
        for x in (recent, reference)
    ]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


def classifier_auc(recent: pd.DataFrame, reference: pd.DataFrame, *, seed: int) -> float:
    """How well a classifier tells rows (n, k) of the two apart that it was not trained on: the
    area under the ROC curve, 0.5 where it does not.

    Linear discriminants of standardised figures, their squares and products, by two halves; in
    closed form, since it is fitted hundreds of times. Lopez-Paz and Oquab (2017), "Revisiting
    classifier two-sample tests".
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.preprocessing import PolynomialFeatures

    rng = np.random.default_rng(seed)
    places = rng.permutation(len(reference))[: ROWS * len(recent)]
    own = reference.iloc[places]
    centre = own.median()
    scale = (own.quantile(0.84) - own.quantile(0.16)).clip(lower=1e-6) / 2
    both = ((pd.concat([recent, own]) - centre) / scale).clip(-8, 8).fillna(0.0).to_numpy()
    both = PolynomialFeatures(2, include_bias=False).fit_transform(both)
    label = np.repeat([1, 0], [len(recent), len(own)])
    half = rng.permutation(np.arange(len(label)) % 2)
    score = np.empty(len(label))
    for part in (0, 1):
        model = LinearDiscriminantAnalysis("lsqr", shrinkage=SHRINKAGE, priors=[0.5, 0.5])
        model.fit(both[half != part], label[half != part])
        score[half == part] = model.decision_function(both[half == part])
    return float(np.mean([_auc(score[half == part], label[half == part]) for part in (0, 1)]))


def _auc(score: np.ndarray, label: np.ndarray) -> float:
    """By ranks: scikit-learn's takes ten times as long for its checks."""
    n = int(label.sum())
    ranks = rankdata(score)[label == 1].sum()
    return float((ranks - n * (n + 1) / 2) / (n * (len(label) - n)))


def auc_of(separation: float) -> float:
    """Inverse of `auc_separation`."""
    return float(ndtr(separation / np.sqrt(2)))


def auc_separation(auc: float, n: int) -> float:
    """How many deviations apart two normal distributions of that AUC lie, see `separation`.

    >>> round(auc_separation(0.76025, 200), 2)
    1.0
    """
    return float(np.sqrt(2) * ndtri(min(max(auc, 0.5), 1 - 1 / n)))
