"""The smallest change that turns the answer is found, and nothing else is blamed."""

import numpy as np
import pytest
import pyworld

from ser.core.uncertainty.abstention import Abstention
from ser.explanation.counterfactual.changes import Recorded
from ser.explanation.counterfactual.search import BY_RESYNTHESIS, NO_F0, search
from ser.explanation.counterfactual.voice import AnalysedVoice
from ser.explanation.words import abstains, not_turned, resynthesised, turned
from ser.params import FeatureParams
from ser.predictor import Prediction
from support.signals import SR, noise, voice


def recorded(y) -> Recorded:
    return Recorded(y, SR, AnalysedVoice.of(y, sr=SR, f0_min=65, f0_max=500))


@pytest.fixture(scope="module")
def spoken():
    return recorded(voice(seconds=0.8, f0=150, glide=25))


class Ruled:
    """Predicts by a rule: a function of the samples gives the emotion, or None to abstain."""

    def __init__(self, rule):
        self.rule = rule

    def predict(self, y, *, sr):
        emotion = self.rule(y)
        refused = None if emotion else Abstention("out_of_domain", "Too different.")
        return Prediction(emotion, 0.8, {"anger": 0.8, "neutral": 0.2}, abstention=refused)


def found(rule, recording, **options):
    predictor = Ruled(rule)
    before = predictor.predict(recording.y, sr=SR)
    return {
        one.dimension.name: one for one in search(predictor, recording, before, **options).searched
    }


def f0_of(y) -> float:
    """Geometric mean, by another algorithm than the search's: DIO is a hundred times faster."""
    f0, _ = pyworld.dio(y.astype(float), SR, f0_floor=65, f0_ceil=500)
    return float(np.exp(np.log(f0[f0 > 0]).mean()))


def test_the_smallest_change_of_f0_is_found_to_its_precision(spoken):
    limit = f0_of(spoken.voice.spoken()) * 2 ** (3.1 / 12)
    by_name = found(lambda y: "anger" if f0_of(y) < limit else "neutral", spoken)
    (turn,) = by_name["F0"].turns
    assert turn.emotion == "neutral"
    assert turn.amount == pytest.approx(3.1, abs=0.3)
    assert f0_of(turn.y) >= limit
    assert turned(by_name["F0"], turn, "anger").startswith("F0 +3")
    assert by_name["level"].turns == by_name["spectral tilt"].turns == ()


def test_the_smallest_change_of_the_rate_is_found(spoken):
    limit = spoken.y.size / 1.17
    by_name = found(lambda y: "anger" if y.size > limit else "neutral", spoken)
    (turn,) = by_name["speaking rate"].turns
    assert turn.amount == pytest.approx(17.5, abs=2.5)
    assert by_name["F0"].turns == ()
    text = not_turned(by_name["F0"], "anger", None, FeatureParams())
    assert text == "F0: no change from −8 to +8 semitones turns anger"


def test_a_model_that_leans_on_level_is_turned_by_level_alone(spoken):
    limit = spoken.y.std() * 0.6
    by_name = found(lambda y: "anger" if y.std() > limit else "neutral", spoken)
    (turn,) = by_name["level"].turns
    assert turn.amount == pytest.approx(20 * np.log10(0.6), abs=1.1)
    assert all(not one.turns for name, one in by_name.items() if name != "level")


def test_both_directions_are_told_the_smaller_change_first(spoken):
    size = spoken.y.size
    by_name = found(lambda y: "anger" if 0.87 * size < y.size < 1.4 * size else "neutral", spoken)
    up, down = by_name["speaking rate"].turns
    assert (up.amount, down.amount) == (pytest.approx(15, abs=2.6), pytest.approx(-30, abs=2.6))


def test_where_the_model_abstains_nothing_is_turned(spoken):
    limit = spoken.y.size / 1.3
    by_name = found(lambda y: "anger" if y.size > limit else None, spoken)
    rate = by_name["speaking rate"]
    assert rate.turns == ()
    ((amount, reason),) = rate.abstained
    assert reason == "out_of_domain"
    assert amount == 30
    assert abstains(rate) == ["at speaking rate +30 % the model abstains (out_of_domain)"]


def test_a_turn_beyond_an_abstention_is_found(spoken):
    size = spoken.y.size

    def rule(y):
        return "anger" if y.size > size / 1.2 else None if y.size > size / 1.4 else "neutral"

    rate = found(rule, spoken)["speaking rate"]
    assert rate.turns[0].amount == pytest.approx(40, abs=2.6)
    assert rate.abstained[0][0] <= 30


def test_only_the_emotion_that_is_asked_for_counts(spoken):
    size = spoken.y.size

    def rule(y):
        return "anger" if y.size > size / 1.15 else "fear" if y.size > size / 1.4 else "neutral"

    rate = found(rule, spoken, to="neutral")["speaking rate"]
    assert [turn.emotion for turn in rate.turns] == ["neutral"]
    assert rate.turns[0].amount == pytest.approx(40, abs=2.6)
    assert found(rule, spoken, to="sadness")["speaking rate"].turns == ()


def test_a_resynthesis_that_turns_the_answer_itself_is_not_blamed_on_the_change(spoken):
    predictor = Ruled(lambda y: "anger" if np.array_equal(y, spoken.y) else "neutral")
    before = predictor.predict(spoken.y, sr=SR)
    result = search(predictor, spoken, before)
    by_name = {one.dimension.name: one for one in result.searched}
    for name in ("F0", "F0 range", "speaking rate"):
        assert by_name[name].left_out == BY_RESYNTHESIS
        assert by_name[name].turns == by_name[name].tried == ()
    # Level and tilt change the recording itself.
    assert by_name["level"].tried
    assert "cannot be told" in resynthesised(result, before)


def test_f0_of_unvoiced_sound_is_left_out():
    hiss = recorded(noise(seconds=0.8))
    by_name = found(lambda y: "anger", hiss)
    assert by_name["F0"].left_out == by_name["F0 range"].left_out == NO_F0
    assert by_name["speaking rate"].tried
    assert "too little of it is voiced" in not_turned(by_name["F0"], "anger", None, FeatureParams())


def test_what_was_asked_is_kept_in_order(spoken):
    rate = found(lambda y: "anger", spoken)["speaking rate"]
    amounts = [one.amount for one in rate.tried]
    assert amounts == sorted(amounts)
    assert (amounts[0], amounts[-1]) == (rate.dimension.least, rate.dimension.most)
