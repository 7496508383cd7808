"""The recordings of a manifest: their samples, and a check of their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ser.core.utterance.tables import segments_of
from ser.errors import AudioError, ChangedAudio
from ser.files import hash_files
from ser.io.audio.read import load_segments


def load_utterances(root: Path, table: pd.DataFrame) -> Iterator[tuple[np.ndarray, int]]:
    """Mono float32 samples of each row of a manifest and their rate, verified.

    A recording is decoded once for rows that follow each other. Raises as `load_segments`.
    """
    rows = zip(table["file"], table["sha256"], segments_of(table), strict=True)
    for (file, sha256), own in groupby(rows, key=lambda row: row[:2]):
        yield from load_segments(root / file, [segment for *_, segment in own], sha256=sha256)


def check_recordings(root: Path, table: pd.DataFrame) -> None:
    """Raise ChangedAudio unless each `file` of the table still hashes to its `sha256`.

    Neither DVC nor the file system notices a byte that flips on disk.
    """
    once = table.drop_duplicates("file")
    paths = {file: root / file for file in once["file"]}
    # No bar for what takes less than a second.
    with tqdm(total=len(once), desc="check bytes", unit="file", disable=None, delay=1) as bar:
        found = hash_files(paths, "sha256", progress=bar.update)
    changed = once.loc[once["file"].map(found) != once["sha256"], "file"]
    if changed.empty:
        return
    file = changed.iloc[0]
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    if not (root / file).exists():
        raise AudioError(
            "is in the manifest but not on disk",
            remedy="Restore it, or take the change in with `dvc repro -f manifest`.",
            file=f"{file}{more}",
        )
    raise ChangedAudio(
        "does not hold the bytes that the manifest recorded",
        remedy="Restore it (`ser corpus verify` lists all such files), or take the change in with "
        "`dvc repro -f manifest`.",
        file=f"{file}{more}",
    )
