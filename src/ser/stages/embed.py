"""Stage `embed`: layers of an encoder of the Hugging Face hub, of new recordings only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ser.core.features.extract import audible, prepared
from ser.core.utterance.tables import segments_of
from ser.errors import AudioError
from ser.io.storage import embeddings, shards
from ser.io.storage.filling import Store, fill
from ser.io.storage.manifests import by_key, load_manifest, parts
from ser.io.storage.recordings import check_recordings
from ser.params import Params
from ser.project import EMBEDDINGS
from ser.stages.base import raise_first, run_stage

#: Of the features' parameters, those that a waveform is prepared by.
PREPARED_BY = (
    *("high_pass_hz", "trim_db", "trim_noise_db", "trim_margin_seconds"),
    *("level_db", "n_fft"),
)


def run(root: Path, params: Params) -> None:
    chosen, folder = params.encoder, root / EMBEDDINGS
    if chosen.name is None:
        shards.clear(folder)
        print("encoder.name is null: no model asks for embeddings.")
        return
    # Imported here so that a pipeline without encoders never waits for torch.
    from ser.models.encoders.loading import load_encoder

    manifest = by_key(load_manifest(root, params.data.corpora))
    rows = manifest[~manifest.index.duplicated()]
    encoder = load_encoder(chosen.name, revision=chosen.revision, download=params.machine.download)

    at_rate = params.features.at(encoder.sr)

    def prepare(y: np.ndarray, sr: int) -> np.ndarray:
        return prepared(audible(y, sr=sr, params=at_rate), params=at_rate)

    def compute(new: list[str]) -> Iterator[np.ndarray | AudioError]:
        check_recordings(root, rows.drop(new))
        wanted = rows.loc[new]
        utterances = zip(wanted["file"], wanted["sha256"], segments_of(wanted), strict=True)
        made = embeddings.encode_recordings(root, utterances, encoder, prepare=prepare)
        return iter(tqdm(made, total=len(new), desc="embed", unit="file", disable=None))

    by = params.features.model_dump(mode="json", include=set(PREPARED_BY))
    store = Store(
        folder,
        embeddings.embedding_recipe(encoder, {"sr": encoder.sr, **by}),
        [[part.index.tolist()] for part in parts(rows)],
        write=embeddings.write_shard,
        read=embeddings.read_shard,
    )
    fill([store], compute=compute)
    raise_first(store.failures, of=len(rows), what="files")
    print(
        f"{len(rows)} recordings embedded by {chosen.name}: {store.computed} computed, "
        f"{store.known} known already."
    )


if __name__ == "__main__":
    run_stage(run)
