"""Which utterances are changed where not all are."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

import pandas as pd

from ser.core.utterance.tables import utterance_keys


def even_sample(table: pd.DataFrame, count: int | None, *, seed: int) -> pd.DataFrame:
    """At most `count` rows of a manifest, even over emotions and speakers, in its order.

    count : None: all. Which ones depends on seed and recordings, not on the order of the rows.
    """
    if count is None or count >= len(table):
        return table
    draws = [crc32(f"{seed} {key}".encode()) for key in utterance_keys(table)]
    rows = sorted(zip(draws, table["emotion"], table["speaker"], range(len(table)), strict=True))
    waiting: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for draw, emotion, speaker, place in reversed(rows):
        waiting.setdefault((emotion, speaker), []).append((draw, place))
    taken: Counter[tuple[str, str]] = Counter()
    chosen: list[int] = []
    while len(chosen) < count:
        # Of the emotion, then the speaker, that has the fewest so far.
        emotion, speaker = min(
            waiting,
            key=lambda cell: (
                *(taken["emotion", cell[0]], taken["speaker", cell[1]], taken[cell]),
                waiting[cell][-1],
            ),
        )
        cell = emotion, speaker
        chosen.append(waiting[cell].pop()[1])
        if not waiting[cell]:
            del waiting[cell]
        taken.update([("emotion", emotion), ("speaker", speaker), cell])
    return table.iloc[sorted(chosen)]
