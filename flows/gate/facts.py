"""What the gate's rules read of challenger and champion: files, MLflow, and a stopwatch."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from ser.bundle import load_bundle, load_encoder_of
from ser.core.gate.rules import Facts
from ser.core.utterance.tables import check_folds
from ser.errors import SerError
from ser.files import read_json
from ser.io.storage.recordings import load_utterances
from ser.io.storage.tables import read_table
from ser.io.tracking import runs
from ser.io.tracking.registry.versions import Version
from ser.predictor import Predictor
from ser.project import BUNDLE, FOLDS, STRESS

#: Test recordings that each model answers by the stopwatch.
TIMED = 8
MB = 1e6


def of_files(root: Path, predictions: pd.DataFrame) -> Facts:
    """Those of the model that the stages made last."""
    stress = read_json(root / STRESS) if (root / STRESS).exists() else {}
    return _facts(root, root / BUNDLE, predictions, stress)


def of_version(root: Path, version: Version, bundle: Path, predictions: pd.DataFrame) -> Facts:
    """Those of a registered version, whose bundle lies in `bundle`."""
    try:
        stress = read_json(runs.fetch_artifact(root, version.run_id, STRESS.as_posix()))
    except SerError:
        # Trained before there was such a table, or deleted.
        stress = {}
    return _facts(root, bundle, predictions, stress)


def _facts(root: Path, bundle: Path, predictions: pd.DataFrame, stress: dict[str, Any]) -> Facts:
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    return Facts(predictions, stress, rtf=real_time_factor(root, bundle), megabytes=size / MB)


def real_time_factor(root: Path, bundle_dir: Path) -> float:
    """Seconds of processor for a second of speech, on the first test recordings.

    Of the processor, not of the clock: what else this machine does must decide no verdict.
    """
    bundle = load_bundle(bundle_dir)
    predictor = Predictor(bundle, load_encoder_of(bundle))
    folds = read_table(root / FOLDS, check_folds)
    test = folds[folds["split"] == "test"].head(TIMED)
    recordings = list(islice(load_utterances(root, test), TIMED))
    y, sr = recordings[0]
    # The first answer loads libraries.
    predictor.predict(y, sr=sr)
    start = time.process_time()
    for y, sr in recordings:
        predictor.predict(y, sr=sr)
    return (time.process_time() - start) / sum(y.size / sr for y, sr in recordings)
