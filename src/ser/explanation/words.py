"""An explanation in sentences, alike in the terminal, on the page and in JSON. Pure."""

from __future__ import annotations

import math

from ser.explanation.attribution.parts import Question
from ser.explanation.attribution.spectrogram import Region
from ser.explanation.clip import Distance, Share
from ser.explanation.counterfactual.changes import Dimension, signed
from ser.explanation.counterfactual.search import Counterfactuals, Searched, Turn
from ser.params import FeatureParams
from ser.predictor import Prediction

#: What an explanation is, and what it is not; it stands below each.
LIMITS = (
    "This shows what moved this model's answer, not why the person spoke so. Features that go "
    "together share what either would have."
)
#: Beyond these odds a number says no more.
MOST_ODDS = 1000
#: Groups this many times as unusual as in training speech are named as reasons to abstain.
UNUSUAL, FARTHEST = 1.5, 3


def answered(prediction: Prediction) -> str:
    """
    >>> answered(Prediction("anger", 0.92))
    'anger 0.92'
    """
    if refused := prediction.abstention:
        return f"no emotion ({refused.reason}). {refused.detail}"
    return f"{prediction.emotion} {prediction.confidence:.2f}"


def asked(question: Question, odds: float) -> str:
    """
    >>> asked(Question(0, 1, ("anger", "fear")), 2.0)
    'Why anger rather than fear? Odds 7.4 to 1, log-odds +2.00.'
    """
    answer, other = question.emotions
    ratio = math.exp(min(odds, 700.0))
    shown = f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
    shown = f"more than {MOST_ODDS}" if ratio > MOST_ODDS else shown
    return f"Why {answer} rather than {other}? Odds {shown} to 1, log-odds {odds:+.2f}."


def member(share: Share) -> str:
    """
    >>> member(Share("cnn", 2, 1.0, 0.2)), member(Share("lda", 1, 1.0, 0.2))
    ('2 × cnn', 'lda')
    """
    return share.name if share.members == 1 else f"{share.members} × {share.name}"


def region(one: Region) -> str:
    """
    >>> region(Region(0.4, 0.6, 1000.0, 2000.0, 0.5))
    '0.4–0.6 s, 1–2 kHz'
    """
    low, high = (f"{hz / 1000:g}" for hz in (one.low_hz, one.high_hz))
    return f"{one.start:.1f}–{one.end:.1f} s, {low}–{high} kHz"


def turned(searched: Searched, turn: Turn, before: str) -> str:
    """Such as "F0 range −40 % turns anger into neutral (0.61)"."""
    change = searched.dimension.said(turn.amount)
    return f"{change} turns {before} into {turn.emotion} ({turn.prediction.confidence:.2f})"


def not_turned(searched: Searched, before: str, to: str | None, features: FeatureParams) -> str:
    """What was searched in vain, or why it was not searched."""
    name = searched.dimension.name
    if searched.left_out:
        return f"{name}: not judged, since {searched.left_out}"
    sought = f"gives {to}" if to else f"turns {before}"
    text = f"{name}: no change {bounds(searched.dimension)} {sought}"
    if name == "level" and features.level_db is not None:
        text += f"; the model brings every recording to {signed(features.level_db)} dB first"
    return text


def bounds(dimension: Dimension) -> str:
    """
    >>> from ser.explanation.counterfactual.changes import DIMENSIONS
    >>> bounds(DIMENSIONS[0])
    'from −8 to +8 semitones'
    """
    return f"from {signed(dimension.least)} to {signed(dimension.most)} {dimension.unit}"


def abstains(searched: Searched) -> list[str]:
    """Where the model abstains along a dimension: such changes are no turns."""
    return [
        f"at {searched.dimension.said(amount)} the model abstains ({reason})"
        for amount, reason in searched.abstained
    ]


def resynthesised(found: Counterfactuals, before: Prediction) -> str:
    """What the resynthesis alone does to the answer."""
    again = found.resynthesised
    if again.emotion == before.emotion:
        return (
            "Put together again without a change, the voice is answered "
            f"{again.emotion} {again.confidence:.2f} ({before.confidence:.2f} as recorded)."
        )
    became = "abstain" if again.emotion is None else f"answer {again.emotion}"
    return (
        f"The resynthesis alone, without any change, makes the model {became}: what F0, its range "
        "and the rate do cannot be told for this recording."
    )


def unusual(distances: tuple[Distance, ...]) -> str:
    """Which groups of functionals make a recording novel: "" where none stands out."""
    far = [one for one in distances if one.times >= UNUSUAL and one.share > 0.01][:FARTHEST]
    if not far:
        return ""
    named = ", ".join(f"{one.group} ({one.times:.1f} × the usual)" for one in far)
    return f"Farthest from the training speech: {named}."
