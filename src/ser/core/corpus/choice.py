"""Which utterances stand for a corpus in pictures. Pure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.utterance.emotions import EMOTIONS
from ser.core.utterance.intensity import grade
from ser.core.utterance.tables import UNKNOWN, is_known

#: The share of a speaker's emotions that clips of one sentence must show.
SAME_SENTENCE = 0.75


def one_of_each(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """One utterance of each emotion by one speaker, and the title of their picture.

    The speaker and the sentence that have most emotions; any sentences of a speaker where none is
    known, or where those of one sentence leave out many of the emotions.
    The strongest intensity first: it shows an emotion best. Rows are in the emotions' own order.

    table : a manifest's rows, at least one, with known emotions.
    """
    known = table[is_known(table["sentence"])]
    said = known.groupby(["speaker", "sentence"])["emotion"].nunique()
    uttered = table.groupby("speaker")["emotion"].nunique()
    if said.max() >= SAME_SENTENCE * uttered.max():
        speaker, sentence = said.index[int(said.to_numpy().argmax())]
        rows = known[(known["speaker"] == speaker) & (known["sentence"] == sentence)]
        spoken = f"sentence {sentence!r}"
    else:
        speaker = uttered.index[int(uttered.to_numpy().argmax())]
        rows = table[table["speaker"] == speaker]
        spoken = "sentences unknown" if known.empty else "various sentences"
    rows = rows.assign(grade=rows["intensity"].map(grade)).sort_values(
        ["grade", "file", "start"], ascending=[False, True, True], kind="stable"
    )
    rows = rows.drop(columns="grade").drop_duplicates("emotion").set_index("emotion", drop=False)
    rows = rows.loc[[emotion for emotion in EMOTIONS if emotion in rows.index]]
    who = "Speaker unknown" if speaker.endswith(f"/{UNKNOWN}") else f"Speaker {speaker}"
    return rows, f"{who}, {spoken}: one recording of each emotion"


def sample(table: pd.DataFrame, most: int, *, seed: int) -> pd.DataFrame:
    """At most so many rows of a table, drawn at random; they keep their order.

    >>> len(sample(pd.DataFrame({"file": range(9)}), 4, seed=7))
    4
    """
    if len(table) <= most:
        return table
    rows = np.random.default_rng(seed).choice(len(table), most, replace=False)
    return table.iloc[np.sort(rows)]
