"""Stage `featurize`: recordings become functionals and log-mels; only new ones are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from ser.core.features import Features, audible, extract
from ser.errors import AudioError
from ser.io import shards
from ser.io.audio import load_verified
from ser.io.filling import Storage, fill, source_sha256
from ser.io.recordings import check_recordings
from ser.io.shards import Recipe
from ser.params import FeatureParams, Params
from ser.stages.base import FEATURES, in_parallel, raise_first, run_stage
from ser.stages.split import load_manifest

#: Recordings of a shard: about this many, never more than twice as many.
SHARD = 256
#: The source that features depend on: another one is another recipe.
CODE = (
    "core/byol.py",
    "core/derivative.py",
    "core/features.py",
    "core/functionals.py",
    "core/modulation.py",
    "core/movement.py",
    "core/pitch.py",
    "core/smile.py",
    "core/spectrum.py",
    "core/waveform.py",
    "io/audio.py",
    "io/av_decoder.py",
    "io/containers.py",
    "io/limits.py",
    "io/mixing.py",
    "io/mpeg.py",
    "io/riff.py",
    "io/sndfile_decoder.py",
    "io/source.py",
    "io/structure.py",
)


def run(root: Path, params: Params) -> None:
    manifest = load_manifest(root, params.data.corpora).drop_duplicates("sha256")
    rows = manifest.set_index("sha256", drop=False)

    def compute(new: list[str]) -> Iterator[Features | AudioError]:
        check_recordings(root, rows.drop(new))
        return _compute(root, rows.loc[new], params.features)

    filled = fill(
        root / FEATURES,
        Recipe(params.features.model_dump(mode="json"), source_sha256(CODE)),
        [part["sha256"].tolist() for part in parts(manifest)],
        compute=compute,
        storage=Storage(shards.write_shard, shards.read_features),
    )
    raise_first(filled.failures, of=len(manifest), what="files")
    print(
        f"{len(manifest)} recordings in {len(filled.shards)} shard(s): {filled.computed} computed, "
        f"{len(manifest) - filled.computed} known already."
    )


def parts(manifest: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each shard: speakers stay together, so a new speaker changes one shard.

    Which shard a recording is in depends on the manifest alone.
    """
    for _, corpus in manifest.groupby("corpus", sort=True):
        count = max(1, 2 ** round(np.log2(max(1, len(corpus) / SHARD))))
        bucket = corpus["speaker"].map(lambda speaker: crc32(speaker.encode())) % count
        for _, rows in corpus.groupby(bucket, sort=True):
            ordered = rows.sort_values(["speaker", "sha256"])
            for start in range(0, len(ordered), 2 * SHARD):
                yield ordered.iloc[start : start + 2 * SHARD]


def _compute(
    root: Path, rows: pd.DataFrame, params: FeatureParams
) -> Iterator[Features | AudioError]:
    """Features of each row, in order, as they are finished."""
    jobs = [
        (root, file, sha256, params)
        for file, sha256 in zip(rows["file"], rows["sha256"], strict=True)
    ]
    return in_parallel(extract_file, jobs, doing="featurize")


def extract_file(
    root: Path,
    file: str,
    sha256: str,
    params: FeatureParams,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Features | AudioError:
    """Features of a recording, or, naming it, why there are none.

    change : done to its `audible` samples first.
    """
    try:
        recorded, sr = load_verified(root / file, sha256=sha256)
        y = audible(recorded, sr=sr, params=params)
        return extract(change(y) if change else y, params=params)
    except AudioError as error:
        message = str(error).replace(f"{root}/", "")
        return type(error)(message if file in message else f"{file}: {message}")


if __name__ == "__main__":
    run_stage(run)
