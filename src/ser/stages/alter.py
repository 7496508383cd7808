"""Stage `alter`: altered versions of recordings become features, for models to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.augmentation.waveforms import altered, versions_of
from ser.core.features.extract import Features, above_rumble
from ser.core.utterance.tables import utterance_keys
from ser.errors import AudioError
from ser.files import code_sha256
from ser.io.storage import shards
from ser.io.storage.filling import Storage, fill
from ser.io.storage.manifests import by_key, load_manifest, parts
from ser.io.storage.recordings import check_recordings
from ser.io.storage.shards import Recipe
from ser.params import FeatureParams, Params
from ser.project import ALTERED
from ser.stages import featurize
from ser.stages.base import raise_first, run_stage

CODE = (*featurize.CODE, "core/augmentation/waveforms.py")


def run(root: Path, params: Params) -> None:
    chosen, folder = params.alter, root / ALTERED
    if chosen.versions == 0:
        shards.clear(folder)
        print("alter.versions is 0: models learn from the recordings alone.")
        return
    manifest = by_key(load_manifest(root, params.data.corpora))
    # The same bytes are another voice under another speaker's name.
    manifest = manifest[~manifest.assign(key=manifest.index).duplicated(["key", "speaker"])]
    rows = pd.concat([versions_of(manifest, v) for v in range(1, chosen.versions + 1)])

    def compute(new: list[str]) -> Iterator[Features | AudioError]:
        check_recordings(root, rows.drop(new).drop_duplicates("sha256"))
        wanted = rows.loc[new]
        changes = [
            partial(
                _version,
                features=params.features,
                speaker=speaker,
                recording=key,
                version=version,
                params=chosen,
            )
            for speaker, key, version in zip(
                wanted["speaker"], utterance_keys(wanted), wanted["version"], strict=True
            )
        ]
        return featurize.features_of(root, wanted, params.features, changes=changes, doing="alter")

    filled = fill(
        folder,
        Recipe(
            {
                "features": params.features.model_dump(mode="json"),
                "alter": chosen.model_dump(mode="json", exclude={"versions"}),
            },
            code_sha256(*CODE),
        ),
        [
            versions_of(part, v).index.tolist()
            for part in parts(manifest)
            for v in range(1, chosen.versions + 1)
        ],
        compute=compute,
        storage=Storage(shards.write_shard, shards.read_features),
    )
    raise_first(filled.failures, of=len(rows), what="altered files")
    print(
        f"{chosen.versions} altered versions of {len(manifest)} recordings in "
        f"{len(filled.shards)} shard(s): {filled.computed} computed, "
        f"{len(rows) - filled.computed} known already."
    )


def _version(y: np.ndarray, *, features: FeatureParams, **how: Any) -> np.ndarray:
    """y (n_samples,) `altered`, and no shorter than one window where y was none."""
    # A microphone's noise passes the filter, too.
    result = above_rumble(altered(y, **how), params=features)
    return np.pad(result, (0, max(0, min(features.n_fft, y.size) - result.size)))


if __name__ == "__main__":
    run_stage(run)
