"""Stage `featurize`: recordings become functionals (one table) and log-mels (shards)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core.features import Features, extract
from ser.errors import AudioError
from ser.io.audio import load_verified
from ser.io.store import atomic_path, write_json, write_sequences, write_table
from ser.params import FeatureParams, Params
from ser.stages.base import (
    FEATURES,
    FEATURES_RECEIPT,
    FUNCTIONALS,
    in_parallel,
    raise_first,
    run_stage,
)
from ser.stages.split import load_manifest

SHARD = 256


def run(root: Path, params: Params) -> None:
    manifest = load_manifest(root, params.data.corpora)
    jobs = [
        (root, file, sha256, params.features)
        for file, sha256 in zip(manifest["file"], manifest["sha256"], strict=True)
    ]
    functionals, failures = [], []
    with atomic_path(root / FEATURES) as folder:
        shard: list[tuple[str, Features]] = []
        shards = 0
        for (_, file, _, _), result in zip(
            jobs, in_parallel(_extract, jobs, doing="featurize"), strict=True
        ):
            if isinstance(result, AudioError):
                failures.append(result)
                continue
            functionals.append({"file": file, **result.functionals})
            shard.append((file, result))
            if len(shard) == SHARD:
                shards = _flush(shard, folder, shards)
        raise_first(failures, of=len(jobs), what="files")
        if shard:
            shards = _flush(shard, folder, shards)
        write_table(pd.DataFrame(functionals), folder / FUNCTIONALS.name)
        write_json(params.features.model_dump(), folder / FEATURES_RECEIPT.name)
    print(f"{len(jobs)} utterances: {len(functionals[0]) - 1} functionals, {shards} shard(s).")


def _extract(root: Path, file: str, sha256: str, params: FeatureParams) -> Features | AudioError:
    try:
        return extract(load_verified(root / file, sr=params.sr, sha256=sha256), params=params)
    except AudioError as error:
        message = str(error).replace(f"{root}/", "")
        return type(error)(message if file in message else f"{file}: {message}")


def _flush(shard: list[tuple[str, Features]], folder: Path, shards: int) -> int:
    write_sequences(
        ((file, features.log_mel) for file, features in shard),
        folder / f"log_mel-{shards:04d}.arrow",
    )
    shard.clear()
    return shards + 1


if __name__ == "__main__":
    run_stage(run)
