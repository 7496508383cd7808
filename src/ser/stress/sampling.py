"""Which utterances are changed where not all are."""

from __future__ import annotations

from zlib import crc32

import pandas as pd

from ser.core.utterance.emotions import classes_of
from ser.core.utterance.tables import utterance_keys


def even_sample(table: pd.DataFrame, count: int | None, *, seed: int) -> pd.DataFrame:
    """At most `count` rows of a manifest, even over speakers and emotions, in its order.

    count : None: all. Which ones depends on seed and recordings, not on the order of the rows.
    """
    if count is None or count >= len(table):
        return table
    rows = table.reset_index(drop=True)
    draw = [crc32(f"{seed} {key}".encode()) for key in utterance_keys(rows)]
    rows = rows[["speaker", "emotion"]].assign(draw=draw, place=range(len(rows)))
    rows = rows.sort_values(["draw", "place"])
    rows["turn"] = rows.groupby(["speaker", "emotion"]).cumcount()
    speakers = sorted(rows["speaker"].unique())
    emotions = list(classes_of(rows["emotion"])) if (rows["emotion"] != "").all() else [""]
    # A diagonal of the table of speakers and emotions has each speaker once, and other emotions.
    diagonal = (rows["speaker"].map(speakers.index) + rows["emotion"].map(emotions.index)) % max(
        len(emotions), 1
    )
    chosen = rows.assign(diagonal=diagonal).sort_values(["turn", "diagonal", "draw"]).head(count)
    return table.iloc[sorted(chosen["place"])]
