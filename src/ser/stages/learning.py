"""From folds and stored features to a bundle: the one road of stage `train` and of benchmarks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.calibration import calibrate
from ser.core.emotions import classes_of
from ser.core.novelty import Novelty
from ser.core.tables import predictions_table
from ser.errors import TableError
from ser.io.embeddings import read_embeddings
from ser.io.shards import read_functionals, read_index, read_sequences
from ser.models.base import Examples, Inputs, Kind, OnEpoch
from ser.models.build import build_model
from ser.params import FeatureParams, Params
from ser.stages.base import EMBEDDINGS, FEATURES
from ser.stages.embed import reference_of, waveforms


@dataclass(frozen=True)
class Learned:
    """bundle : without a card; dev : predictions for dev, by what had not heard its speakers;
    seconds : what learning took."""

    bundle: Bundle
    dev: pd.DataFrame
    seconds: float


def learn(
    root: Path,
    folds: pd.DataFrame,
    params: Params,
    *,
    on_epoch: OnEpoch | None = None,
    workdir: Path | None = None,
) -> Learned:
    """Learn from the split `train`; choose and calibrate on `dev`; `test` is not looked at.

    What is chosen and calibrated is so by answers for dev from before a model learnt from it, too.
    """
    classes = classes_of(folds.loc[folds["split"] == "train", "emotion"])
    model = build_model(params.model, params.train, classes=classes, encoder=params.encoder)
    encoder = reference_of(root, params) if params.model.hears_by_encoder else None
    dev_rows = folds[folds["split"] == "dev"]
    # Whatever the model takes: what is novel is told by functionals.
    kinds: frozenset[Kind] = model.kinds | {"functionals"}
    train = load_examples(root, kinds, folds[folds["split"] == "train"])
    dev = load_examples(root, kinds, dev_rows)
    target = indices_of(dev.emotion, classes)
    known = dev.take(np.flatnonzero(target >= 0))
    started = time.monotonic()
    model.fit(
        train,
        known,
        seed=params.seed,
        enrolled=params.model.enrolled,
        on_epoch=on_epoch,
        workdir=workdir,
    )
    # Of an emotion that nobody taught, the model has nothing to say.
    raw = np.full((len(dev), len(classes)), 1 / len(classes))
    raw[target >= 0] = model.dev_posteriors
    calibration = calibrate(
        raw,
        target,
        speaker=dev.speaker,
        coverage=params.calibrate.coverage,
    )
    seconds = time.monotonic() - started
    features = FeatureParams(**read_index(root / FEATURES)[0].params)
    bundle = Bundle(
        params.model.name,
        model,
        features,
        calibration,
        abstention=params.abstention,
        novelty=_novelty(train.and_of(known)),
        encoder=encoder,
    )
    return Learned(
        bundle, predictions_table(dev_rows, calibration.posteriors(raw), classes), seconds
    )


def _novelty(heard: Examples) -> Novelty | None:
    if len(set(heard.speaker)) < 2 or heard.inputs.functionals is None:
        return None
    return Novelty.of(heard.inputs.functionals.to_numpy(), speaker=heard.speaker)


def answers(root: Path, bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """The bundle's predictions for `rows`; it knows their speakers if it knows speakers at all."""
    examples = load_examples(root, bundle.model.kinds, rows)
    return predictions_table(rows, bundle.posteriors_by_speaker(examples), bundle.classes)


def load_examples(root: Path, kinds: frozenset[Kind], rows: pd.DataFrame) -> Examples:
    """The stored features of those kinds, in the order of `rows`."""
    return Examples(
        inputs=load_inputs(root, kinds, rows),
        emotion=rows["emotion"].to_numpy(str),
        speaker=rows["speaker"].to_numpy(str),
    )


def load_inputs(root: Path, kinds: frozenset[Kind], rows: pd.DataFrame) -> Inputs:
    """Stored features of `rows`, in their order; raises TableError where one lacks them."""
    recordings = rows["sha256"]
    table = sequences = layers = heard = None
    if "functionals" in kinds:
        stored = read_functionals(root / FEATURES)
        _check_complete(rows, stored.index, stage="featurize")
        table = stored.loc[recordings].reset_index(drop=True)
    if "log_mel" in kinds:
        log_mels = read_sequences(root / FEATURES)
        _check_complete(rows, pd.Index(list(log_mels)), stage="featurize")
        sequences = [log_mels[sha256] for sha256 in recordings]
    if "layers" in kinds:
        embeddings = read_embeddings(root / EMBEDDINGS)
        _check_complete(rows, pd.Index(list(embeddings)), stage="embed")
        layers = [embeddings[sha256] for sha256 in recordings]
    if "waveform" in kinds:
        sr = int(read_index(root / EMBEDDINGS, stage="embed")[0].params["sr"])
        features = FeatureParams(**read_index(root / FEATURES)[0].params)
        files = list(zip(rows["file"], recordings, strict=True))
        heard = waveforms(root, files, features, sr=sr)
    return Inputs(table, sequences, layers, heard)


def indices_of(emotion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Indices of emotions (n,) in `classes`; -1 where it is not among them."""
    return pd.Index(list(classes)).get_indexer(pd.Index(emotion))


def chosen_params(params: Params) -> dict[str, Any]:
    """All parameters but those of the models that were not chosen: what a run depends on."""
    values = params.model_dump(mode="json")
    kept = {"name", "enrolled", *params.model.used}
    if not params.model.hears_by_encoder:
        del values["encoder"]
    values["model"] = {k: v for k, v in values["model"].items() if k in kept}
    if "synthetic" not in params.data.corpora:
        del values["synthetic"]
    return values


def _check_complete(rows: pd.DataFrame, known: pd.Index, *, stage: str) -> None:
    missing = rows.loc[~rows["sha256"].isin(known), "file"]
    if not missing.empty:
        raise TableError(
            f"What `{stage}` stored lacks {missing.iloc[0]} ({len(missing)} of {len(rows)} "
            f"utterances); run `dvc repro -f {stage}`."
        )
