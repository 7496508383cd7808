"""The manifest of the chosen corpora, and which of its rows share a shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from ser.core.utterance.tables import check_manifest, utterance_keys
from ser.errors import TableError
from ser.io.storage.tables import read_table
from ser.project import MANIFEST

#: Recordings in a shard: about this many, at most twice as many.
SHARD = 256


def load_manifest(root: Path, corpora: Sequence[str]) -> pd.DataFrame:
    """The table that `gather` wrote; raises TableError where it is of other corpora."""
    table = read_table(root / MANIFEST, check_manifest)
    found = tuple(table["corpus"].unique())
    if found != tuple(corpora):
        raise TableError(
            f"{MANIFEST} holds {', '.join(found)}; data.corpora names {', '.join(corpora)}. Run "
            "`dvc repro gather`."
        )
    return table


def by_key(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest indexed by `utterance_keys`."""
    return manifest.set_axis(pd.Index(utterance_keys(manifest)))


def parts(manifest: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each shard: speakers stay together, so a new speaker changes one shard.

    manifest : `by_key`. Which shard an utterance is in depends on the manifest alone.
    """
    for _, corpus in manifest.groupby("corpus", sort=True):
        count = 2 ** round(np.log2(max(1, len(corpus) / SHARD)))
        bucket = corpus["speaker"].map(lambda speaker: crc32(speaker.encode())) % count
        for _, rows in corpus.groupby(bucket, sort=True):
            ordered = rows.rename_axis("key").sort_values(["speaker", "key"])
            for start in range(0, len(ordered), 2 * SHARD):
                yield ordered.iloc[start : start + 2 * SHARD]
