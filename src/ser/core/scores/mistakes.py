"""The wrong answers that say most about a model. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.utterance.tables import posterior_columns

#: Among all lists of a page, so many of one speaker at most: one voice must not fill them.
OF_ONE_SPEAKER = 4


@dataclass(frozen=True)
class Mistake:
    """A wrong answer.

    kind : "confident", the surest of the wrong answers; "worst", those that hold the true emotion
    for least probable. confidence : posterior of the predicted emotion. p_true : of the true one.
    """

    kind: str
    corpus: str
    file: str
    start: float
    end: float
    speaker: str
    emotion: str
    predicted: str
    confidence: float
    p_true: float


def mistakes(predictions: pd.DataFrame, *, each: int) -> list[Mistake]:
    """The `each` most confident wrong answers, then as many other ones with the least probable
    truth; of one speaker at most OF_ONE_SPEAKER of either kind.

    An emotion that the model does not know has the posterior 0.
    """
    wrong = predictions[predictions["emotion"] != predictions["predicted"]]
    if wrong.empty or each == 0:
        return []
    columns = posterior_columns(wrong)
    posteriors = wrong[columns].to_numpy()
    classes = pd.Index([name.removeprefix("p_") for name in columns])
    places = classes.get_indexer(pd.Index(wrong["emotion"]))
    truth = np.where(places >= 0, posteriors[np.arange(len(wrong)), places], 0.0)
    wrong = wrong.assign(confidence=posteriors.max(axis=1), p_true=truth)
    confident = _first(wrong, "confidence", each, ascending=False)
    worst = _first(wrong.drop(confident.index), "p_true", each, ascending=True)
    return [
        Mistake(
            kind,
            str(row["corpus"]),
            str(row["file"]),
            float(row["start"]),
            float(row["end"]),
            str(row["speaker"]),
            str(row["emotion"]),
            str(row["predicted"]),
            float(row["confidence"]),
            float(row["p_true"]),
        )
        for kind, table in (("confident", confident), ("worst", worst))
        for _, row in table.iterrows()
    ]


def _first(wrong: pd.DataFrame, score: str, each: int, *, ascending: bool) -> pd.DataFrame:
    # Equal ones in the order of their files: the same answers give the same list.
    ordered = wrong.sort_values([score, "file", "start"], ascending=[ascending, True, True])
    few = ordered[ordered.groupby("speaker", observed=True).cumcount() < OF_ONE_SPEAKER]
    return few.head(each)
