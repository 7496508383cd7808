"""Scores of parts of the test: of whom, and of what, the model recognises less.

Takes a predictions table that has the folds' columns `intensity`, `sentence` and `duration`, too:
see `with_facts`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.scores.intervals import Interval
from ser.core.scores.metrics import interval_of, uar, uar_interval
from ser.core.utterance.emotions import classes_of
from ser.core.utterance.intensity import UNSPECIFIED, grade
from ser.core.utterance.tables import UNKNOWN, is_known

#: Columns that identify an utterance.
KEY = ["file", "start", "end"]
FACTS = ["intensity", "sentence", "duration"]
#: Seconds between the groups of duration.
EDGES = (1.0, 2.0, 3.0, 4.0, 6.0, 10.0)
#: What the test is cut by, in this order, with the field's word for a group.
BY = {
    "sex": "sex",
    "intensity": "intensity",
    "seconds": "duration",
    "corpus": "corpus",
    "speaker": "speaker",
    "sentence": "sentence",
}
#: Fewer say nothing about a group.
LEAST_UTTERANCES, LEAST_SPEAKERS = 20, 3
#: Groups of one column: of more (sentences of free speech), those with most utterances.
MOST_GROUPS = 200


@dataclass(frozen=True)
class Slice:
    """The score of one group of utterances.

    by : a value of BY. emotions : that the group utters; UAR and chance are over them. over : what
    the interval is bootstrapped over, speakers or utterances. too_few : why the score says nothing
    about the group; "" where it does.
    """

    by: str
    group: str
    utterances: int
    speakers: int
    emotions: int
    uar: float
    chance: float
    accuracy: float
    uar_ci95: Interval | None
    over: str
    too_few: str

    def is_below(self, overall: float) -> bool:
        """Whether the group's whole interval lies below the score of all utterances."""
        return not self.too_few and self.uar_ci95 is not None and self.uar_ci95[1] < overall


def with_facts(predictions: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Predictions with what the folds say of each utterance: intensity, sentence, duration."""
    facts = folds[[*KEY, *FACTS]]
    return predictions.merge(facts, on=KEY, how="left", validate="one_to_one")


def slices(predictions: pd.DataFrame, *, resamples: int, seed: int) -> list[Slice]:
    """All groups of the test, by column in the order of BY, each column's in a natural order.

    A column with a single group is left out, and so are utterances of unknown sex, sentence or
    intensity. Intervals are over speakers; within one speaker, over utterances.
    """
    table = predictions.assign(seconds=_seconds(predictions["duration"]))
    found: list[Slice] = []
    for column, by in BY.items():
        parts = dict(_groups(table, column))
        if len(parts) > 1 or column == "speaker":
            options = {"resamples": resamples, "seed": seed}
            found += [_slice(by, group, part, **options) for group, part in parts.items()]
    return found


def _groups(table: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The groups of a column, in order: of intensity by grade, of duration by seconds."""
    known = table[is_known(table[column]) & (table[column] != UNSPECIFIED)]
    parts = {str(name): part for name, part in known.groupby(column, observed=True)}
    kept = sorted(parts, key=lambda name: -len(parts[name]))[:MOST_GROUPS]
    if column == "intensity":
        kept.sort(key=lambda name: (np.nan_to_num(grade(name)), name))
    elif column == "seconds":
        kept.sort(key=lambda name: table.loc[parts[name].index, "duration"].min())
    else:
        kept.sort()
    for name in kept:
        yield name, parts[name]


def _seconds(duration: pd.Series) -> pd.Series:
    """The group of each duration, such as `2 to 3 s`; UNKNOWN where it is not known.

    >>> _seconds(pd.Series([0.5, 2.0, 30.0])).tolist()
    ['under 1 s', '2 to 3 s', '10 s and more']
    """
    names = [
        f"under {EDGES[0]:g} s",
        *(f"{low:g} to {high:g} s" for low, high in itertools.pairwise(EDGES)),
        f"{EDGES[-1]:g} s and more",
    ]
    place = np.searchsorted(EDGES, duration.to_numpy(float), side="right")
    return pd.Series(np.asarray(names)[place], index=duration.index).where(
        duration.notna(), UNKNOWN
    )


def _slice(by: str, group: str, part: pd.DataFrame, *, resamples: int, seed: int) -> Slice:
    speakers, emotions = int(part["speaker"].nunique()), len(classes_of(part["emotion"]))
    # The question of one speaker is how the model does on his or her next utterance.
    over = "utterances" if by == "speaker" else "speakers"
    interval = _over_utterances if by == "speaker" else uar_interval
    return Slice(
        by=by,
        group=group,
        utterances=len(part),
        speakers=speakers,
        emotions=emotions,
        uar=uar(part),
        chance=1 / emotions,
        accuracy=float((part["emotion"] == part["predicted"]).mean()),
        uar_ci95=interval(part, resamples=resamples, seed=seed),
        over=over,
        too_few=_too_few(len(part), speakers, emotions, over),
    )


def _too_few(utterances: int, speakers: int, emotions: int, over: str) -> str:
    if emotions < 2:
        return "one emotion alone"
    if utterances < LEAST_UTTERANCES:
        return f"under {LEAST_UTTERANCES} utterances"
    if over == "speakers" and speakers < LEAST_SPEAKERS:
        return f"under {LEAST_SPEAKERS} speakers"
    return ""


def _over_utterances(part: pd.DataFrame, *, resamples: int, seed: int) -> Interval | None:
    """95 % percentile interval of UAR over resampled utterances; None for a single one.

    As in `metrics.uar_interval`, resamples that lack an emotion do not count unless all do.
    """
    if len(part) < 2:
        return None
    right = (part["emotion"] == part["predicted"]).groupby(part["emotion"], observed=True)
    # Two cells an emotion: its recognised utterances, and the others.
    hits, total = right.sum().to_numpy(float), right.count().to_numpy(float)
    cells = np.concatenate([hits, total - hits]) / len(part)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(part), cells, size=resamples).astype(float)
    recognised, uttered = drawn[:, : len(hits)], drawn[:, : len(hits)] + drawn[:, len(hits) :]
    complete = (uttered > 0).all(axis=1)
    if complete.any():
        recognised, uttered = recognised[complete], uttered[complete]
    recall = recognised / np.where(uttered > 0, uttered, np.nan)
    return interval_of(np.nanmean(recall, axis=1))
