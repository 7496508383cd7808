"""Distances of two samples, by two ways each."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from ser.core.drift.shift import auc_separation, classifier_auc, ks, psi, separation


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_separation_is_the_distance_of_two_normal_distributions(apart):
    n = 20_000
    x = norm.ppf((np.arange(n) + 0.5) / n)
    assert separation(ks(x + apart, x), n) == pytest.approx(apart, abs=0.01)


def test_separation_of_disjoint_samples_is_finite():
    assert separation(1.0, 200) == pytest.approx(5.6, abs=0.05)


def test_psi_is_nothing_for_the_same_and_large_for_a_constant_that_moved():
    x = np.random.default_rng(0).normal(size=2_000)
    assert psi(x, x) == 0
    assert psi(np.full(200, 4000.0), np.full(2_000, 8000.0)) > 1


def test_the_classifier_is_at_chance_for_the_same_and_finds_a_shift_of_spread():
    rng = np.random.default_rng(0)
    same, other, wide = (
        pd.DataFrame(rng.normal(0, scale, (400, 2)), columns=["a", "b"]) for scale in (1, 1, 3)
    )
    assert classifier_auc(same, other, seed=1) == pytest.approx(0.5, abs=0.06)
    assert classifier_auc(wide, other, seed=1) > 0.7
    assert auc_separation(0.5, 400) == 0
