"""From folds and stored features to a bundle, for stage `train` and for benchmarks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.speakers.enrolment import rows_of
from ser.core.uncertainty.calibration import Calibrations, calibrate, held
from ser.core.utterance.emotions import classes_of
from ser.core.utterance.tables import posterior_columns, predictions_table
from ser.errors import StageError, TableError
from ser.files import read_json
from ser.io.storage.examples import load_examples, reference_of
from ser.io.storage.shards import check_shards, read_index
from ser.io.tracking.address import shown_uri
from ser.io.tracking.runs import Run, resume_run, run_exists
from ser.models.base import Fitting, Kind, OnEpoch
from ser.models.build import build_model
from ser.models.voices import FEW_CLIPS
from ser.params import FeatureParams, Params
from ser.project import AUGMENTED, EMBEDDINGS, FEATURES, TRAIN_RECEIPT
from ser.stages.learning.reference import novelty_and_reference


@dataclass(frozen=True)
class Learned:
    """bundle : without a card; dev : predictions for dev, by models not trained on its speakers;
    seconds : time of training and calibration."""

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
    """Train on the split `train`; tune and calibrate on `dev`; `test` is not read.

    The model is tuned and calibrated on predictions for dev speakers made before it was trained
    on them, too.
    """
    classes = classes_of(folds.loc[folds["split"] == "train", "emotion"])
    if len(classes) < 2:
        raise TableError(
            f"The training speakers utter {', '.join(classes) or 'no emotion'} alone; there is "
            "nothing to classify. Keep two emotions or more in data.labels."
        )
    model = build_model(
        params.model,
        params.train,
        classes=classes,
        encoder=params.encoder,
        machine=params.machine,
    )
    encoder = reference_of(root, params) if params.model.takes_encoder else None
    dev_rows = folds[folds["split"] == "dev"]
    # Functionals whatever the model takes: novelty is measured on them.
    kinds: frozenset[Kind] = model.kinds | {"functionals"}
    train_rows = folds[folds["split"] == "train"]
    # One corpus needs no balance: then nothing is drawn or weighed otherwise.
    balanced = params.train.balance_corpora and train_rows["corpus"].nunique() > 1
    options: dict[str, Any] = {
        "versions": params.augment.versions,
        "shares": params.augment.shares,
        "balanced": balanced,
    }
    train = load_examples(root, kinds, train_rows, **options)
    dev = load_examples(root, kinds, dev_rows, **options)
    target = indices_of(dev.emotion, classes)
    known = dev.take(np.flatnonzero(target >= 0))
    started = time.monotonic()
    model.fit(train, known, Fitting(params.seed, params.model.enrolled, on_epoch, workdir))
    # Utterances of an emotion without training utterances get uniform posteriors.
    raw = np.full((len(model.dev_posteriors), len(dev), len(classes)), 1 / len(classes))
    raw[:, target >= 0] = model.dev_posteriors
    calibrations = _calibrated(raw, target, dev.speaker, coverage=params.calibrate.coverage)
    seconds = time.monotonic() - started
    features = FeatureParams(**read_index(root / FEATURES)[0].params)
    posteriors = np.empty(raw.shape[1:])
    for rows in rows_of(dev.speaker).values():
        # As `Bundle.posteriors_by_speaker` for a speaker who is enrolled with these clips.
        posteriors[rows] = calibrations.at(len(rows)).posteriors(raw[-1][rows])
    confidence = np.full(len(train), np.nan)
    # An enrolled speaker's answers are surer than those that most people get.
    own = np.full(len(dev), np.nan) if params.model.enrolled else posteriors.max(axis=1)
    novelty, reference = novelty_and_reference(
        train.and_of(known),
        pd.concat([train_rows, dev_rows[target >= 0]]),
        np.concatenate([confidence, own[target >= 0]]),
        features=features,
        params=params,
    )
    bundle = Bundle(
        params.model.name,
        model,
        features,
        calibrations,
        abstention=params.abstention,
        novelty=novelty,
        reference=reference,
        encoder=encoder,
    )
    return Learned(bundle, predictions_table(dev_rows, posteriors, classes), seconds)


def _calibrated(
    raw: np.ndarray, target: np.ndarray, speaker: np.ndarray, *, coverage: float
) -> Calibrations:
    """Of raw posteriors for dev, (n_levels, n, n_classes): a level is a number of enrolment clips.

    The last level is all clips of the speaker.
    """
    most = int(np.median([len(rows) for rows in rows_of(speaker).values()] or [0]))
    few = [] if len(raw) == 1 else list(FEW_CLIPS)
    levels = [(n, own) for n, own in zip(few, raw, strict=False) if n < most]
    levels.append((most if few else 0, raw[-1]))
    return Calibrations(
        tuple(clips for clips, _ in levels),
        tuple(calibrate(own, target, speaker=speaker, coverage=coverage) for _, own in levels),
    )


def check_stored(root: Path, params: Params) -> list[Path]:
    """Check the shards that a model is trained on against their indices; their folders."""
    folders = [FEATURES, AUGMENTED, *([EMBEDDINGS] if params.model.takes_encoder else [])]
    for folder in folders:
        check_shards(root / folder)
    return folders


def answers(root: Path, bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """The bundle's predictions for `rows`; their speakers are enrolled where the model takes it."""
    examples = load_examples(root, bundle.model.kinds, rows)
    return predictions_table(rows, bundle.posteriors_by_speaker(examples), bundle.classes)


def with_sets(predictions: pd.DataFrame, bundle: Bundle) -> pd.DataFrame:
    """Predictions with `candidates`, the size of each prediction set, and `covered`, whether it
    holds the true emotion."""
    sets = bundle.sets_by_speaker(
        predictions[posterior_columns(predictions)].to_numpy(),
        speaker=predictions["speaker"].to_numpy(str),
    )
    target = indices_of(predictions["emotion"].to_numpy(str), bundle.classes)
    return predictions.assign(candidates=sets.sum(axis=1), covered=held(sets, target))


def tracked_run(root: Path) -> Run:
    """The run that trained the project's bundle; raises StageError where MLflow has lost it."""
    run_id = read_json(root / TRAIN_RECEIPT)["run_id"]
    if not run_exists(root, run_id):
        raise StageError(
            f"MLflow at {shown_uri(root)} does not have run {run_id}, which trained this "
            "model. Train again: `dvc repro -f -s train`, then `dvc repro`."
        )
    return resume_run(root, run_id)


def indices_of(emotion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Indices of emotions (n,) in `classes`; -1 where it is not among them."""
    return pd.Index(list(classes)).get_indexer(pd.Index(emotion))


def chosen_params(params: Params) -> dict[str, Any]:
    """What a run depends on: all parameters but those of models not chosen, and of how machines
    work and serve."""
    values = params.model_dump(mode="json", exclude={"machine", "serve", "timeline"})
    kept = {"name", "enrolled", *params.model.used}
    if not params.model.takes_encoder:
        del values["encoder"]
    values["model"] = {k: v for k, v in values["model"].items() if k in kept}
    if "synthetic" not in params.data.corpora:
        del values["synthetic"]
    return values
