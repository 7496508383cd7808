"""Stage `featurize`: recordings become functionals and log-mels; only new ones are computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.features.extract import Features, audible, extract
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import segments_of
from ser.errors import AudioError
from ser.files import code_sha256
from ser.io.audio.read import load_segments
from ser.io.storage import shards
from ser.io.storage.filling import Storage, fill
from ser.io.storage.manifests import by_key, load_manifest, parts
from ser.io.storage.recordings import check_recordings
from ser.io.storage.shards import Recipe
from ser.parallel import in_parallel
from ser.params import FeatureParams, Params
from ser.project import FEATURES
from ser.stages.base import raise_first, run_stage

Change = Callable[[np.ndarray], np.ndarray]

#: The source that features depend on: another one is another recipe.
CODE = ("core/features", "core/utterance/segments.py", "core/utterance/waveform.py", "io/audio")


def run(root: Path, params: Params) -> None:
    manifest = by_key(load_manifest(root, params.data.corpora))
    rows = manifest[~manifest.index.duplicated()]

    def compute(new: list[str]) -> Iterator[Features | AudioError]:
        check_recordings(root, rows.drop(new))
        return features_of(root, rows.loc[new], params.features, doing="featurize")

    filled = fill(
        root / FEATURES,
        Recipe(params.features.model_dump(mode="json"), code_sha256(*CODE)),
        [part.index.tolist() for part in parts(rows)],
        compute=compute,
        storage=Storage(shards.write_shard, shards.read_features),
    )
    raise_first(filled.failures, of=len(rows), what="files")
    print(
        f"{len(rows)} recordings in {len(filled.shards)} shard(s): {filled.computed} computed, "
        f"{len(rows) - filled.computed} known already."
    )


def features_of(
    root: Path,
    rows: pd.DataFrame,
    params: FeatureParams,
    *,
    changes: Sequence[Change] | None = None,
    doing: str,
) -> Iterator[Features | AudioError]:
    """Features of each row of a manifest, in order; or, naming it, why there are none.

    Each recording is decoded once for all of its rows. changes : what each row's samples go
    through first.
    """
    segments = segments_of(rows)
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, recording in enumerate(zip(rows["file"], rows["sha256"], strict=True)):
        places[recording].append(place)
    jobs = [
        (root, file, sha256, [(segments[i], changes[i] if changes else None) for i in own], params)
        for (file, sha256), own in places.items()
    ]
    made = zip(places.values(), in_parallel(_extract_file, jobs, doing=doing), strict=True)
    waiting: dict[int, Features | AudioError] = {}
    for place in range(len(rows)):
        while place not in waiting:
            own, values = next(made)
            waiting |= zip(own, values, strict=True)
        yield waiting.pop(place)


def _extract_file(
    root: Path,
    file: str,
    sha256: str,
    utterances: Sequence[tuple[Segment, Change | None]],
    params: FeatureParams,
) -> list[Features | AudioError]:
    """Features of each segment of a file, of its `audible` samples after the change, if any."""
    segments = [segment for segment, _ in utterances]
    try:
        recorded = load_segments(root / file, segments, sha256=sha256)
    except AudioError as error:
        return [_named(error, root, file)] * len(utterances)
    found: list[Features | AudioError] = []
    for (part, sr), (segment, change) in zip(recorded, utterances, strict=True):
        try:
            y = audible(part, sr=sr, params=params)
            found.append(extract(change(y) if change else y, params=params))
        except AudioError as error:
            found.append(_named(error, root, segment.of(file)))
    return found


def _named(error: AudioError, root: Path, name: str) -> AudioError:
    message = str(error).replace(f"{root}/", "")
    return type(error)(message if name in message else f"{name}: {message}")


if __name__ == "__main__":
    run_stage(run)
