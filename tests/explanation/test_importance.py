"""Permutation importance by groups: what was planted falls, what says nothing does not."""

import numpy as np
import pytest

from ser.bundle import Bundle
from ser.explanation.attribution.importance import ALL, importances, steps_of
from ser.models.base import Examples, Fitting
from ser.models.build import build_model
from ser.params import FeatureParams, ModelParams, TrainParams
from support.cues import CLASSES, N_MELS, Loudest, with_functionals, with_log_mels


@pytest.fixture(scope="module")
def bundle():
    model = build_model(ModelParams(name="logistic_regression"), TrainParams(), classes=CLASSES)
    model.fit(with_functionals(), with_functionals(30, seed=1), Fitting(3))
    return Bundle("logistic_regression", model, FeatureParams())


def test_the_uar_falls_to_chance_without_the_planted_group_and_stays_without_others(bundle):
    steps = []
    held_out = with_functionals(90, seed=2)
    found = importances(bundle, held_out, on_step=lambda: steps.append(1))
    rows = {row.group: row for row in found.rows}
    assert found.uar > 0.8
    assert found.chance == pytest.approx(1 / 3)
    assert found.uar - rows["F0"].drop == pytest.approx(found.chance, abs=0.12)
    assert rows["F0"].drop == pytest.approx(rows[ALL].drop, abs=0.12)
    assert abs(rows["MFCC"].drop) < 0.1
    low, high = rows["F0"].interval
    assert low < rows["F0"].drop < high
    assert found.rows[0].group == ALL
    assert len(steps) == steps_of(bundle, held_out.inputs) == len(found.rows)


def test_a_single_speaker_has_no_interval(bundle):
    one = with_functionals(30, seed=2)
    found = importances(bundle, Examples(one.inputs, one.emotion, np.full(30, "s0")))
    assert found.speakers == 1
    assert all(row.interval is None for row in found.rows)


def test_bands_of_log_mels_of_any_length_are_permuted():
    bundle = Bundle("loudest", Loudest(), FeatureParams(n_mels=N_MELS, n_mfcc=8))
    examples = with_log_mels()
    kept = [np.array(x) for x in examples.inputs.log_mel]
    found = importances(bundle, examples)
    assert {row.kind for row in found.rows} == {"log_mel"}
    assert found.rows[0].drop > 0.3
    assert found.rows[0].drop >= max(row.drop for row in found.rows) - 0.05
    # The set itself is as it was.
    assert all(np.array_equal(a, b) for a, b in zip(kept, examples.inputs.log_mel, strict=True))


def test_the_same_seed_gives_the_same_importances(bundle):
    examples = with_functionals(60, seed=2)
    assert importances(bundle, examples, seed=4) == importances(bundle, examples, seed=4)
