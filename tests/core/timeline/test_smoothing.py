"""Smoothed posteriors follow what is spoken, and the label does not flicker."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser.core.timeline.smoothing import Smoothing, SteadyLabel


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 5)), min_size=1, max_size=30))
def test_smoothed_posteriors_stay_a_distribution_between_what_came(results):
    smoothing = Smoothing(tau_seconds=1.0)
    for p, seconds in results:
        found = smoothing(np.array([p, 1 - p]), seconds=seconds)
    assert found.sum() == pytest.approx(1)
    assert min(p for p, _ in results) - 1e-9 <= found[0] <= max(p for p, _ in results) + 1e-9


def test_after_one_time_constant_two_thirds_are_new():
    smoothing = Smoothing(tau_seconds=1.0)
    smoothing(np.array([1.0, 0.0]), seconds=1.0)
    assert smoothing(np.array([0.0, 1.0]), seconds=1.0)[1] == pytest.approx(1 - np.exp(-1))


def test_a_result_that_is_left_out_does_not_slow_the_others_down():
    every, second = Smoothing(tau_seconds=1.0), Smoothing(tau_seconds=1.0)
    first, later = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    every(first, seconds=0.5)
    second(first, seconds=0.5)
    for _ in range(4):
        often = every(later, seconds=0.5)
    second(later, seconds=1.0)
    assert second(later, seconds=1.0) == pytest.approx(often)


def test_what_is_smoothed_is_never_written_to():
    smoothing, mine = Smoothing(tau_seconds=1.0), np.array([1.0, 0.0])
    first = smoothing(mine, seconds=1.0)
    smoothing(np.array([0.0, 1.0]), seconds=1.0)
    assert first.tolist() == mine.tolist() == [1.0, 0.0]


def test_two_emotions_that_are_equally_probable_do_not_take_turns():
    rng, label = np.random.default_rng(0), SteadyLabel(margin=0.1)
    p = 0.5 + 0.04 * rng.uniform(-1, 1, 100)
    assert len({label(np.array([x, 1 - x])) for x in p}) == 1


def test_a_clear_lead_changes_the_label_at_once():
    label = SteadyLabel(margin=0.1)
    assert label(np.array([0.7, 0.2, 0.1])) == 0
    assert label(np.array([0.44, 0.46, 0.1])) == 0
    assert label(np.array([0.2, 0.1, 0.7])) == 2


def test_without_a_margin_the_label_is_the_most_probable():
    label = SteadyLabel(margin=0.0)
    for posteriors in np.random.default_rng(0).dirichlet(np.ones(4), 50):
        assert label(posteriors) == posteriors.argmax()
