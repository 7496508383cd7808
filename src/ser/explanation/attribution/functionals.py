"""What each group of functionals adds to an answer: Shapley values by groups (SHAP).

Lundberg and Lee (2017), "A unified approach to interpreting model predictions". A player is a group
of functionals; one that does not play has the values of training-like utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ser.explanation.attribution.groups import groups_of
from ser.explanation.attribution.parts import Part, Question, log_odds
from ser.models.base import Inputs

#: A value (n,) of each row of (n, …).
Asked = Callable[[np.ndarray], np.ndarray]
#: Coalitions that are asked; values of additive models, such as discriminants, are exact.
COALITIONS = 256
#: Functionals of a group that are asked about one by one.
FARTHEST = 12
#: Rows that a model is asked at once.
ROWS = 512


@dataclass(frozen=True)
class Group:
    """A group's share in the log-odds.

    strongest : of the `FARTHEST` functionals from their training means, the one whose return alone
    changes the log-odds most; deviation : how far it lies from there, in training deviations.
    """

    name: str
    value: float
    strongest: str
    deviation: float


@dataclass(frozen=True)
class Attributed:
    """groups : the largest share first; usual : log-odds of training-like utterances.

    `usual` and the groups add up to the utterance's log-odds.
    """

    usual: float
    groups: tuple[Group, ...]

    @property
    def odds(self) -> float:
        return self.usual + sum(group.value for group in self.groups)


def together(found: Sequence[Attributed]) -> Attributed | None:
    """The shares in the sum of several members' log-odds; None without any.

    A group's strongest functional is that of the member in which the group weighs most.
    """
    if not found:
        return None
    groups: dict[str, list[Group]] = {}
    for group in (group for own in found for group in own.groups):
        groups.setdefault(group.name, []).append(group)
    shares = [
        replace(max(own, key=lambda one: abs(one.value)), value=sum(one.value for one in own))
        for own in groups.values()
    ]
    return Attributed(sum(own.usual for own in found), _by_size(shares))


def _by_size(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: -abs(group.value)))


def attribute(
    part: Part,
    functionals: pd.Series,
    question: Question,
    *,
    background: np.ndarray,
    scale: np.ndarray,
    seed: int = 0,
) -> Attributed:
    """Shares of the groups of functionals in the part's log-odds.

    background : (n, d) functionals of training-like utterances, in the order of `functionals`;
    scale : (d,) training deviations. The other functionals, those of `functionals` that the part
    does not take, have no share.
    """
    names = tuple(map(str, functionals.index))
    x, groups = functionals.to_numpy(np.float64), groups_of(names)

    def asked(rows: np.ndarray) -> np.ndarray:
        """Log-odds (n,) of rows (n, d)."""
        pieces = np.array_split(rows, max(1, -(-len(rows) // ROWS)))
        frames = (pd.DataFrame(piece, columns=functionals.index) for piece in pieces)
        return np.concatenate([log_odds(part, Inputs(frame), question) for frame in frames])

    def game(coalitions: np.ndarray) -> np.ndarray:
        """Mean log-odds (n,) where the groups of coalitions (n, n_groups) play."""
        plays = np.zeros((len(coalitions), x.size), dtype=bool)
        for column, at in zip(coalitions.T, groups.values(), strict=True):
            plays[:, at] = column[:, None] > 0.5
        rows = np.where(plays[:, None], x, background).reshape(-1, x.size)
        return asked(rows).reshape(len(coalitions), -1).mean(axis=1)

    values, usual = _shapley(game, len(groups), seed)
    mean = background.mean(axis=0)
    deviation = (x - mean) / scale
    far = [
        at[np.argsort(-np.abs(deviation[at]), kind="stable")[:FARTHEST]] for at in groups.values()
    ]
    alone = iter(_moved_alone(asked, x, mean, np.concatenate(far)))
    shares = []
    for name, at, value in zip(groups, far, values, strict=True):
        first = at[np.abs([next(alone) for _ in at]).argmax()]
        shares.append(Group(name, float(value), names[first], float(deviation[first])))
    return Attributed(usual, _by_size(shares))


def _shapley(game: Asked, n: int, seed: int) -> tuple[np.ndarray, float]:
    """Shapley values (n,) of a game of n players, and its value without any."""
    from ser.extras import need

    shap = need("insight", "shap")
    nobody, everybody = np.zeros((1, n)), np.ones((1, n))
    if n == 1:
        usual = float(game(nobody)[0])
        return np.array([game(everybody)[0] - usual]), usual
    # It draws coalitions from NumPy's global generator.
    before = np.random.get_state()
    try:
        np.random.seed(seed)
        explainer = shap.KernelExplainer(game, nobody)
        values = explainer.shap_values(
            everybody, nsamples=COALITIONS, l1_reg=f"num_features({n})", silent=True
        )
    finally:
        np.random.set_state(before)
    return np.asarray(values)[0], float(explainer.expected_value)


def _moved_alone(asked: Asked, x: np.ndarray, mean: np.ndarray, at: np.ndarray) -> np.ndarray:
    """By how much the log-odds fall where one of the functionals `at` (n,) returns: (n,)."""
    rows = np.tile(x, (at.size, 1))
    rows[np.arange(at.size), at] = mean[at]
    whole: np.ndarray = asked(x[None]) - asked(rows)
    return whole
