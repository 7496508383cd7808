"""The smallest change of a recording that turns the answer into another emotion.

Each dimension is stepped from nothing to its bound, upwards and downwards; between the last step
with the old answer and the first with another one the change is bisected. A turn that lies between
two steps and back is not found. All answers are the `Predictor`'s: where it abstains, the answer
has not turned into another emotion, and that is told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ser.errors import AudioError
from ser.explanation.counterfactual.changes import Dimension, Recorded, of_recording
from ser.predictor import Prediction, Predictor

#: Why a dimension was not searched.
NO_F0 = "too little of it is voiced for F0 to be changed"
BY_RESYNTHESIS = "the resynthesis alone changes the answer"


@dataclass(frozen=True)
class Tried:
    """amount : of change; prediction : of the Predictor."""

    amount: float
    prediction: Prediction


@dataclass(frozen=True)
class Turn:
    """The smallest change found that turns the answer: what it is turned into, and the samples."""

    amount: float
    emotion: str
    prediction: Prediction
    y: np.ndarray


@dataclass(frozen=True)
class Searched:
    """A dimension's result.

    tried : all that was asked, from the lowest amount to the highest, none for no change; turns :
    downwards, upwards or both, the smaller change first; abstained : the smallest changes in either
    direction from which the Predictor abstains, with the reason; left_out : why nothing was
    searched, else "".
    """

    dimension: Dimension
    tried: tuple[Tried, ...] = ()
    turns: tuple[Turn, ...] = ()
    abstained: tuple[tuple[float, str], ...] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Counterfactuals:
    """recorded : the samples that were changed; resynthesis : these put together again unchanged,
    and the answer to that."""

    recorded: Recorded
    resynthesis: np.ndarray
    resynthesised: Prediction
    searched: tuple[Searched, ...]


def search(
    predictor: Predictor,
    recorded: Recorded,
    before: Prediction,
    *,
    to: str | None = None,
    on_step: Callable[[], object] = lambda: None,
) -> Counterfactuals:
    """The changes that turn `before`, the answer to the recording, into another emotion.

    to : the one emotion that is sought; None: any. on_step : called after each dimension.
    """
    resynthesis = recorded.voice.spoken()
    again = predictor.predict(resynthesis, sr=recorded.sr)
    found = []
    for dimension in of_recording(recorded):
        if dimension.needs_f0 and recorded.voice.mean_f0 is None:
            found.append(Searched(dimension, left_out=NO_F0))
        elif dimension.by_voice and again.emotion != before.emotion:
            found.append(Searched(dimension, left_out=BY_RESYNTHESIS))
        else:
            found.append(_along(predictor, recorded, dimension, before.emotion, to))
        on_step()
    return Counterfactuals(recorded, resynthesis, again, tuple(found))


def _along(
    predictor: Predictor,
    recorded: Recorded,
    dimension: Dimension,
    answer: str | None,
    to: str | None,
) -> Searched:
    tried: dict[float, Prediction] = {}

    def turned(amount: float) -> bool:
        """Whether the change by `amount` gives an emotion that is sought."""
        found = _asked(predictor, dimension.change(recorded, amount), recorded.sr)
        if found is None:
            return False
        tried[amount] = found
        return found.emotion not in (None, answer) and to in (None, found.emotion)

    turns, abstained = [], []
    for sign in (-1, 1):
        last = 0.0
        for amount in dimension.amounts(sign):
            if turned(amount):
                amount = _smallest(turned, last, amount, dimension.precision)
                prediction = tried[amount]
                assert prediction.emotion is not None
                y = dimension.change(recorded, amount)
                turns.append(Turn(amount, prediction.emotion, prediction, y))
                break
            last = amount
        refused = [
            (amount, one.abstention.reason)
            for amount, one in tried.items()
            if one.abstention and amount * sign > 0
        ]
        abstained += sorted(refused, key=lambda one: abs(one[0]))[:1]
    return Searched(
        dimension,
        tuple(Tried(amount, tried[amount]) for amount in sorted(tried)),
        tuple(sorted(turns, key=lambda turn: abs(turn.amount))),
        tuple(abstained),
    )


def _smallest(
    turned: Callable[[float], bool], not_yet: float, already: float, precision: float
) -> float:
    """Between a change that does not turn the answer and one that does, to `precision`."""
    while abs(already - not_yet) > precision * 1.001:
        # Amounts that can be said: multiples of the precision.
        middle = round((already + not_yet) / 2 / precision) * precision
        if middle in (already, not_yet):
            break
        if turned(middle):
            already = middle
        else:
            not_yet = middle
    return already


def _asked(predictor: Predictor, y: np.ndarray, sr: int) -> Prediction | None:
    """The answer to samples; None where they are no audio to it, such as none at all."""
    try:
        return predictor.predict(y, sr=sr)
    except AudioError:
        return None
