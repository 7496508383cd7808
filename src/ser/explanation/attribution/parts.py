"""The members of a model, and how much the log-posteriors of each count in its answer.

An ensemble adds up weighted log-posteriors, and calibration divides them by a temperature. So the
log-odds of two emotions are exactly the sum of what each member says: what follows rests on that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser.bundle import Bundle
from ser.core.uncertainty.calibration import LEAST
from ser.errors import BundleError
from ser.models.base import EmotionModel, Inputs, Kind
from ser.models.ensemble.model import Ensemble
from ser.models.voices import posteriors

#: What can be attributed to: features that are named, or lie in time and frequency.
EXPLAINED: frozenset[Kind] = frozenset({"functionals", "log_mel"})


@dataclass(frozen=True)
class Part:
    """A member, or the model itself where it has none.

    name : of the kind of model; weight : by which its log-posteriors are multiplied.
    """

    name: str
    model: EmotionModel
    weight: float

    @property
    def takes_functionals(self) -> bool:
        return "functionals" in self.model.kinds


@dataclass(frozen=True)
class Question:
    """Why `answer` rather than `other`: places in `classes`."""

    answer: int
    other: int
    classes: tuple[str, ...]

    @property
    def emotions(self) -> tuple[str, str]:
        return self.classes[self.answer], self.classes[self.other]


def parts_of(bundle: Bundle) -> list[Part]:
    """The parts of a bundle's model, with their weights for a speaker without enrolment clips.

    Raises BundleError where a part takes anything but functionals or log-mels.
    """
    model, cold = bundle.model, bundle.calibration_of(None).temperature
    if isinstance(model, Ensemble):
        parts = [
            Part(name, member, model.weights[name] / model.names.count(name) / cold)
            for name, member in zip(model.names, model.members, strict=True)
        ]
    else:
        parts = [Part(bundle.model_name, model, 1 / cold)]
    for part in parts:
        if len(part.model.kinds) != 1 or not part.model.kinds <= EXPLAINED:
            raise BundleError(
                f"The model {bundle.model_name} has the part {part.name}, which takes "
                f"{' and '.join(sorted(part.model.kinds))}; `ser explain` explains models on "
                "functionals and log-mels, such as lda, cnn and ensemble."
            )
    return parts


def log_odds(part: Part, inputs: Inputs, question: Question) -> np.ndarray:
    """The part's weighted log-odds (n,) of the answer against the other emotion."""
    logs = np.log(np.maximum(posteriors(part.model, inputs), LEAST))
    odds: np.ndarray = part.weight * (logs[:, question.answer] - logs[:, question.other])
    return odds
