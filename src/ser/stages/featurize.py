"""Stage `featurize`: recordings become functionals and log-mels; only new ones are computed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

import ser
from ser.core.features import Features, extract
from ser.errors import AudioError
from ser.io import shards
from ser.io.audio import load_verified
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
    "io/mpeg.py",
    "io/sndfile_decoder.py",
)


def run(root: Path, params: Params) -> None:
    manifest = load_manifest(root, params.data.corpora).drop_duplicates("sha256")
    recipe = Recipe(params.features.model_dump(mode="json"), code_sha256())
    folder = root / FEATURES
    folder.mkdir(parents=True, exist_ok=True)
    intact = shards.intact_shards(folder, recipe)
    known = shards.recordings_in(folder, intact)
    plan = {recipe.shard_name(part["sha256"].tolist()): part for part in parts(manifest)}
    made = {name: sha256 for name, sha256 in intact.items() if name in plan}
    todo = pd.concat([plan[name] for name in plan if name not in made] or [manifest.iloc[:0]])
    new = todo[~todo["sha256"].isin(known)]
    check_recordings(root, manifest[~manifest["sha256"].isin(new["sha256"])])

    computed = _compute(root, new, params.features)
    failures: list[AudioError] = []
    try:
        for name, part in plan.items():
            if name in made:
                continue
            features = _gather(folder, part["sha256"], known, computed, failures)
            if len(features) == len(part):
                made[name] = shards.write_shard(features, folder / name)
    finally:
        # What was finished before an interruption is not computed again.
        kept = made if len(made) == len(plan) else {**intact, **made}
        shards.write_index(folder, recipe, kept)
    raise_first(failures, of=len(manifest), what="files")
    print(
        f"{len(manifest)} recordings in {len(made)} shard(s): {len(new)} computed, "
        f"{len(manifest) - len(new)} known already."
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


def code_sha256() -> str:
    """Hash of the source that features depend on."""
    package = Path(ser.__file__).parent
    return hashlib.sha256(b"".join((package / name).read_bytes() for name in CODE)).hexdigest()


def _compute(
    root: Path, rows: pd.DataFrame, params: FeatureParams
) -> Iterator[tuple[str, Features | AudioError]]:
    """SHA-256 and features of each row, in order, as they are finished."""
    jobs = [
        (root, file, sha256, params)
        for file, sha256 in zip(rows["file"], rows["sha256"], strict=True)
    ]
    return zip(rows["sha256"], in_parallel(_extract, jobs, doing="featurize"), strict=True)


def _gather(
    folder: Path,
    recordings: pd.Series,
    known: dict[str, tuple[str, int]],
    computed: Iterator[tuple[str, Features | AudioError]],
    failures: list[AudioError],
) -> list[tuple[str, Features]]:
    """Features of a shard's recordings, from older shards or from what is computed next."""
    features: dict[str, Features] = {}
    rows_of: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for sha256 in recordings:
        if sha256 in known:
            shard, row = known[sha256]
            rows_of[shard].append((sha256, row))
    for shard, places in rows_of.items():
        values = shards.read_features(folder / shard, [row for _, row in places])
        features |= zip([sha256 for sha256, _ in places], values, strict=True)
    for _ in range(len(recordings) - len(features)):
        sha256, result = next(computed)
        if isinstance(result, AudioError):
            failures.append(result)
        else:
            features[sha256] = result
    return [(sha256, features[sha256]) for sha256 in recordings if sha256 in features]


def _extract(root: Path, file: str, sha256: str, params: FeatureParams) -> Features | AudioError:
    try:
        return extract(load_verified(root / file, sr=params.sr, sha256=sha256), params=params)
    except AudioError as error:
        message = str(error).replace(f"{root}/", "")
        return type(error)(message if file in message else f"{file}: {message}")


if __name__ == "__main__":
    run_stage(run)
