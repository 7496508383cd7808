"""Stored features of a manifest's rows, as models take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.augmentation.waveforms import versions_of
from ser.core.features.extract import audible, prepared
from ser.errors import TableError
from ser.io.storage.embeddings import read_embeddings
from ser.io.storage.manifests import by_key
from ser.io.storage.recordings import load_utterances
from ser.io.storage.shards import read_functionals, read_index, read_sequences, stage_of
from ser.models.base import Examples, Inputs, Kind
from ser.models.encoders.reference import EncoderReference
from ser.params import FeatureParams, Params
from ser.project import AUGMENTED, EMBEDDINGS, FEATURES


def load_examples(
    root: Path,
    kinds: frozenset[Kind],
    rows: pd.DataFrame,
    *,
    versions: int = 0,
    shares: tuple[float, ...] | None = None,
    balanced: bool = False,
) -> Examples:
    """The stored features of those kinds, in the order of `rows`, and of augmented versions.

    shares : how much recordings and each version count in training; balanced : whether each corpus
    counts alike.
    Raises TableError where an utterance has none.
    """
    recordings = by_key(rows)
    inputs = _stored(root / FEATURES, kinds, recordings)
    if "layers" in kinds:
        layers = _chosen(read_embeddings(root / EMBEDDINGS), recordings, root / EMBEDDINGS)
        inputs = replace(inputs, layers=layers)
    if "waveform" in kinds:
        inputs = replace(inputs, waveform=_waveforms(root, rows))
    return Examples(
        inputs,
        emotion=rows["emotion"].to_numpy(str),
        speaker=rows["speaker"].to_numpy(str),
        augmented=tuple(
            _stored(root / AUGMENTED, kinds, versions_of(rows, version))
            for version in range(1, versions + 1)
        ),
        corpus=rows["corpus"].to_numpy(str) if balanced else None,
        shares=shares,
    )


def reference_of(root: Path, params: Params) -> EncoderReference:
    """The encoder whose embeddings are stored; raises TableError where there are none."""
    recipe, _ = read_index(root / EMBEDDINGS)
    assert params.encoder.name is not None
    return EncoderReference(
        params.encoder.name,
        params.encoder.revision,
        str(recipe.params["encoder_sha256"]),
        int(recipe.params["sr"]),
    )


def _stored(folder: Path, kinds: frozenset[Kind], rows: pd.DataFrame) -> Inputs:
    """Functionals and log-mels in `folder`, by the keys that index `rows`."""
    functionals = log_mels = None
    if "functionals" in kinds:
        table = read_functionals(folder)
        _check_complete(rows, table.index, folder)
        functionals = table.loc[rows.index].reset_index(drop=True)
    if "log_mel" in kinds:
        log_mels = _chosen(read_sequences(folder), rows, folder)
    return Inputs(functionals, log_mels)


def _chosen(stored: Mapping[str, np.ndarray], rows: pd.DataFrame, folder: Path) -> list[np.ndarray]:
    _check_complete(rows, pd.Index(list(stored)), folder)
    return [stored[key] for key in rows.index]


def _waveforms(root: Path, rows: pd.DataFrame) -> list[np.ndarray]:
    """The utterances of a manifest's rows as the encoder takes them."""
    sr = int(read_index(root / EMBEDDINGS)[0].params["sr"])
    at_rate = FeatureParams(**read_index(root / FEATURES)[0].params).at(sr)
    return [
        prepared(audible(y, sr=sr_in, params=at_rate), params=at_rate)
        for y, sr_in in load_utterances(root, rows)
    ]


def _check_complete(rows: pd.DataFrame, known: pd.Index, folder: Path) -> None:
    missing = rows.loc[~rows.index.isin(known), "file"]
    if not missing.empty:
        stage = stage_of(folder)
        raise TableError(
            f"What `{stage}` stored lacks {missing.iloc[0]} ({len(missing)} of {len(rows)} "
            f"utterances); run `dvc repro -f {stage}`."
        )
