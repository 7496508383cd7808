"""Stage `featurize`: recordings and augmented versions of them become functionals and log-mels.

A recording is decoded once for all that is made of it; only what is not stored yet is computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.augmentation.waveforms import augmented, versions_of
from ser.core.features.extract import Features, above_rumble, audible, extract
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import segments_of, utterance_keys
from ser.errors import AudioError
from ser.files import code_sha256
from ser.io.audio.read import load_segments
from ser.io.storage import shards
from ser.io.storage.filling import Store, fill
from ser.io.storage.manifests import by_key, load_manifest, parts
from ser.io.storage.recordings import check_recordings
from ser.io.storage.shards import Recipe
from ser.parallel import in_parallel
from ser.params import FeatureParams, Params
from ser.project import AUGMENTED, FEATURES
from ser.stages.base import raise_first, run_stage

Change = Callable[[np.ndarray], np.ndarray]

#: The source that features depend on: another one is another recipe.
CODE = ("core/features", "core/utterance/segments.py", "core/utterance/waveform.py", "io/audio")
AUGMENTED_BY = (*CODE, "core/augmentation/waveforms.py", "core/distortion")


def run(root: Path, params: Params) -> None:
    manifest = by_key(load_manifest(root, params.data.corpora))
    recorded = manifest[~manifest.index.duplicated()]
    # The same bytes are another voice under another speaker's name.
    voices = manifest[~manifest.assign(key=manifest.index).duplicated(["key", "speaker"])]
    versions = range(1, params.augment.versions + 1)
    rows = pd.concat([recorded.assign(version=0), *(versions_of(voices, v) for v in versions)])
    features = params.features.model_dump(mode="json")
    stores = [
        Store(
            root / FEATURES,
            Recipe(features, code_sha256(*CODE)),
            [[part.index.tolist()] for part in parts(recorded)],
            write=shards.write_shard,
            read=shards.read_shard,
        )
    ]
    if versions:
        augment = params.augment.model_dump(mode="json", exclude={"versions", "weights"})
        stores.append(
            Store(
                root / AUGMENTED,
                Recipe({"features": features, "augment": augment}, code_sha256(*AUGMENTED_BY)),
                [[versions_of(part, v).index.tolist() for v in versions] for part in parts(voices)],
                write=shards.write_shard,
                read=shards.read_shard,
            )
        )
    else:
        shards.clear(root / AUGMENTED)

    def compute(new: list[str]) -> Iterator[Features | AudioError]:
        wanted = rows.loc[new]
        # What is decoded is checked then.
        check_recordings(root, rows[~rows["file"].isin(wanted["file"])])
        named = zip(wanted["version"], wanted["speaker"], utterance_keys(wanted), strict=True)
        changes = [_change(params, *names) for names in named]
        return features_of(root, wanted, params.features, changes=changes, doing="featurize")

    fill(stores, compute=compute)
    # A recording that cannot be read fails once, however many versions it would have had.
    failures = {str(failure): failure for own in stores for failure in own.failures}
    raise_first(list(failures.values()), of=len(recorded), what="files")
    for name, own in zip(("recordings", "augmented versions"), stores, strict=False):
        print(
            f"{own.computed + own.known} {name} in {len(own.shards)} shard(s): {own.computed} "
            f"computed, {own.known} known already."
        )
    if not versions:
        print("augment.versions is 0: models are trained on the recordings alone.")


def features_of(
    root: Path,
    rows: pd.DataFrame,
    params: FeatureParams,
    *,
    changes: Sequence[Change | None] | None = None,
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
    places: dict[Segment, list[int]] = defaultdict(list)
    for place, (segment, _) in enumerate(utterances):
        places[segment].append(place)
    try:
        recorded = load_segments(root / file, list(places), sha256=sha256)
    except AudioError as error:
        return [error.of(file)] * len(utterances)
    found: dict[int, Features | AudioError] = {}
    for (part, sr), (segment, own) in zip(recorded, places.items(), strict=True):
        try:
            y = audible(part, sr=sr, params=params)
        except AudioError as error:
            found |= dict.fromkeys(own, error.of(segment.of(file)))
            continue
        for place in own:
            _, change = utterances[place]
            try:
                found[place] = extract(change(y) if change else y, params=params)
            except AudioError as error:
                found[place] = error.of(segment.of(file))
    return [found[place] for place in range(len(utterances))]


def _change(params: Params, version: int, speaker: str, recording: str) -> Change | None:
    """What samples go through: nothing, or what makes that augmented version of them."""
    if version == 0:
        return None
    return partial(
        _version,
        features=params.features,
        speaker=speaker,
        recording=recording,
        version=version,
        params=params.augment,
    )


def _version(y: np.ndarray, *, features: FeatureParams, **how: Any) -> np.ndarray:
    """y (n_samples,) `augmented`, and no shorter than one window where y was none."""
    # A microphone's noise passes the filter, too.
    result = above_rumble(augmented(y, sr=features.sr, **how), params=features)
    return np.pad(result, (0, max(0, min(features.n_fft, y.size) - result.size)))


if __name__ == "__main__":
    run_stage(run)
