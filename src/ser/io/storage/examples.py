"""Stored features of a manifest's rows, as models take them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.augmentation.waveforms import versions_of
from ser.core.features.extract import audible, prepared
from ser.core.utterance.tables import utterance_keys
from ser.errors import TableError
from ser.io.storage import embeddings, shards
from ser.io.storage.embeddings import read_embeddings
from ser.io.storage.recordings import load_utterances
from ser.io.storage.shards import STAGE, read_functionals, read_index, read_sequences
from ser.models.base import Examples, Inputs, Kind
from ser.models.encoders.reference import EncoderReference
from ser.params import FeatureParams, Params
from ser.project import AUGMENTED, EMBEDDINGS, FEATURES


def load_examples(
    root: Path, kinds: frozenset[Kind], rows: pd.DataFrame, *, versions: int = 0
) -> Examples:
    """The stored features of those kinds, in the order of `rows`, and of augmented versions."""
    return Examples(
        inputs=load_inputs(root, kinds, rows),
        emotion=rows["emotion"].to_numpy(str),
        speaker=rows["speaker"].to_numpy(str),
        augmented=tuple(
            _read(root / AUGMENTED, kinds, versions_of(rows, version))
            for version in range(1, versions + 1)
        ),
    )


def load_inputs(root: Path, kinds: frozenset[Kind], rows: pd.DataFrame) -> Inputs:
    """Stored features of `rows`, in their order; raises TableError where one lacks them."""
    recordings = rows.set_axis(pd.Index(utterance_keys(rows)))
    layers = waveform = None
    if "layers" in kinds:
        embeddings = read_embeddings(root / EMBEDDINGS)
        _check_complete(recordings, pd.Index(list(embeddings)), stage="embed")
        layers = [embeddings[key] for key in recordings.index]
    if "waveform" in kinds:
        sr = int(read_index(root / EMBEDDINGS, stage="embed")[0].params["sr"])
        features = FeatureParams(**read_index(root / FEATURES)[0].params)
        waveform = waveforms(root, rows, features, sr=sr)
    return replace(_read(root / FEATURES, kinds, recordings), layers=layers, waveform=waveform)


def _read(folder: Path, kinds: frozenset[Kind], rows: pd.DataFrame) -> Inputs:
    """Functionals and log-mels from `folder`, of what is stored under the index of `rows`."""
    table = sequences = None
    if "functionals" in kinds:
        stored = read_functionals(folder)
        _check_complete(rows, stored.index)
        table = stored.loc[rows.index].reset_index(drop=True)
    if "log_mel" in kinds:
        log_mels = read_sequences(folder)
        _check_complete(rows, pd.Index(list(log_mels)))
        sequences = [log_mels[name] for name in rows.index]
    return Inputs(table, sequences)


def reference_of(root: Path, params: Params) -> EncoderReference:
    """The encoder whose embeddings are stored; raises TableError where there are none."""
    recipe, _ = shards.read_index(root / EMBEDDINGS, stage=embeddings.STAGE)
    assert params.encoder.name is not None
    return EncoderReference(
        params.encoder.name,
        params.encoder.revision,
        str(recipe.params["encoder_sha256"]),
        int(recipe.params["sr"]),
    )


def waveforms(
    root: Path, rows: pd.DataFrame, features: FeatureParams, *, sr: int
) -> list[np.ndarray]:
    """The utterances of a manifest's rows as an encoder at `sr` Hz takes them."""
    at_rate = features.at(sr)
    return [
        prepared(audible(y, sr=sr_in, params=at_rate), params=at_rate)
        for y, sr_in in load_utterances(root, rows)
    ]


def _check_complete(rows: pd.DataFrame, known: pd.Index, *, stage: str = STAGE) -> None:
    missing = rows.loc[~rows.index.isin(known), "file"]
    if not missing.empty:
        raise TableError(
            f"What `{stage}` stored lacks {missing.iloc[0]} ({len(missing)} of {len(rows)} "
            f"utterances); run `dvc repro -f {stage}`."
        )
