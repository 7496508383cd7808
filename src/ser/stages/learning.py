"""From folds and stored features to a bundle: the one road of stage `train` and of benchmarks."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.emotions import classes_of
from ser.core.speakers.enrolment import rows_of
from ser.core.tables import predictions_table, utterance_keys
from ser.core.uncertainty.calibration import Calibrations, calibrate
from ser.core.uncertainty.novelty import Novelty
from ser.errors import TableError
from ser.io.storage.embeddings import read_embeddings
from ser.io.storage.shards import read_functionals, read_index, read_sequences
from ser.models.base import Examples, Inputs, Kind, OnEpoch
from ser.models.build import build_model
from ser.models.voices import FEW_CLIPS
from ser.params import FeatureParams, Params
from ser.project import ALTERED, EMBEDDINGS, FEATURES
from ser.stages.alter import versions_of
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
    if len(classes) < 2:
        raise TableError(
            f"The training speakers utter {', '.join(classes) or 'no emotion'} alone; there is "
            "nothing to tell apart. Keep two emotions or more in data.labels."
        )
    model = build_model(
        params.model,
        params.train,
        classes=classes,
        encoder=params.encoder,
        machine=params.machine,
    )
    encoder = reference_of(root, params) if params.model.hears_by_encoder else None
    dev_rows = folds[folds["split"] == "dev"]
    # Whatever the model takes: what is novel is told by functionals.
    kinds: frozenset[Kind] = model.kinds | {"functionals"}
    versions = params.alter.versions
    train = load_examples(root, kinds, folds[folds["split"] == "train"], versions=versions)
    dev = load_examples(root, kinds, dev_rows, versions=versions)
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
    raw = np.full((len(model.dev_posteriors), len(dev), len(classes)), 1 / len(classes))
    raw[:, target >= 0] = model.dev_posteriors
    calibrations = _calibrated(raw, target, dev.speaker, coverage=params.calibrate.coverage)
    seconds = time.monotonic() - started
    features = FeatureParams(**read_index(root / FEATURES)[0].params)
    bundle = Bundle(
        params.model.name,
        model,
        features,
        calibrations,
        abstention=params.abstention,
        novelty=_novelty(train.and_of(known)),
        encoder=encoder,
    )
    posteriors = np.empty(raw.shape[1:])
    for rows in rows_of(dev.speaker).values():
        # As `Bundle.posteriors_by_speaker` serves a speaker who is known by these clips.
        posteriors[rows] = calibrations.at(len(rows)).posteriors(raw[-1][rows])
    return Learned(bundle, predictions_table(dev_rows, posteriors, classes), seconds)


def _calibrated(
    raw: np.ndarray, target: np.ndarray, speaker: np.ndarray, *, coverage: float
) -> Calibrations:
    """From raw posteriors for dev by how much is known of speakers, (n_levels, n, n_classes)."""
    # Of all clips of a speaker there are about so many.
    most = int(np.median([len(rows) for rows in rows_of(speaker).values()] or [0]))
    few = [] if len(raw) == 1 else list(FEW_CLIPS)
    levels = [(n, own) for n, own in zip(few, raw, strict=False) if n < most]
    levels.append((most if few else 0, raw[-1]))
    return Calibrations(
        tuple(clips for clips, _ in levels),
        tuple(calibrate(own, target, speaker=speaker, coverage=coverage) for _, own in levels),
    )


def _novelty(recorded: Examples) -> Novelty | None:
    """Of all that was learnt from: noise that a model has heard is not strange to it."""
    functionals = recorded.with_altered().inputs.functionals
    if len(set(recorded.speaker)) < 2 or functionals is None:
        return None
    speaker = np.tile(recorded.speaker, 1 + len(recorded.altered))
    return Novelty.of(functionals.to_numpy(), speaker=speaker)


def answers(root: Path, bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """The bundle's predictions for `rows`; it knows their speakers if it knows speakers at all."""
    examples = load_examples(root, bundle.model.kinds, rows)
    return predictions_table(rows, bundle.posteriors_by_speaker(examples), bundle.classes)


def load_examples(
    root: Path, kinds: frozenset[Kind], rows: pd.DataFrame, *, versions: int = 0
) -> Examples:
    """The stored features of those kinds, in the order of `rows`, and of altered versions."""
    return Examples(
        inputs=load_inputs(root, kinds, rows),
        emotion=rows["emotion"].to_numpy(str),
        speaker=rows["speaker"].to_numpy(str),
        altered=tuple(
            _read(root / ALTERED, kinds, versions_of(rows, version), stage="alter")
            for version in range(1, versions + 1)
        ),
    )


def load_inputs(root: Path, kinds: frozenset[Kind], rows: pd.DataFrame) -> Inputs:
    """Stored features of `rows`, in their order; raises TableError where one lacks them."""
    recordings = rows.set_axis(pd.Index(utterance_keys(rows)))
    layers = heard = None
    if "layers" in kinds:
        embeddings = read_embeddings(root / EMBEDDINGS)
        _check_complete(recordings, pd.Index(list(embeddings)), stage="embed")
        layers = [embeddings[key] for key in recordings.index]
    if "waveform" in kinds:
        sr = int(read_index(root / EMBEDDINGS, stage="embed")[0].params["sr"])
        features = FeatureParams(**read_index(root / FEATURES)[0].params)
        heard = waveforms(root, rows, features, sr=sr)
    return replace(_read(root / FEATURES, kinds, recordings), layers=layers, waveform=heard)


def _read(
    folder: Path, kinds: frozenset[Kind], rows: pd.DataFrame, *, stage: str = "featurize"
) -> Inputs:
    """Functionals and log-mels from `folder`, of what is stored under the index of `rows`."""
    table = sequences = None
    if "functionals" in kinds:
        stored = read_functionals(folder, stage=stage)
        _check_complete(rows, stored.index, stage=stage)
        table = stored.loc[rows.index].reset_index(drop=True)
    if "log_mel" in kinds:
        log_mels = read_sequences(folder, stage=stage)
        _check_complete(rows, pd.Index(list(log_mels)), stage=stage)
        sequences = [log_mels[name] for name in rows.index]
    return Inputs(table, sequences)


def indices_of(emotion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Indices of emotions (n,) in `classes`; -1 where it is not among them."""
    return pd.Index(list(classes)).get_indexer(pd.Index(emotion))


def chosen_params(params: Params) -> dict[str, Any]:
    """What a run depends on: all parameters but the machine's and those of models not chosen."""
    values = params.model_dump(mode="json", exclude={"machine"})
    kept = {"name", "enrolled", *params.model.used}
    if not params.model.hears_by_encoder:
        del values["encoder"]
    values["model"] = {k: v for k, v in values["model"].items() if k in kept}
    if "synthetic" not in params.data.corpora:
        del values["synthetic"]
    return values


def _check_complete(rows: pd.DataFrame, known: pd.Index, *, stage: str) -> None:
    missing = rows.loc[~rows.index.isin(known), "file"]
    if not missing.empty:
        raise TableError(
            f"What `{stage}` stored lacks {missing.iloc[0]} ({len(missing)} of {len(rows)} "
            f"utterances); run `dvc repro -f {stage}`."
        )
