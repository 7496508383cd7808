"""All folds of a design: trained, tested, tracked; a benchmark that was killed is continued."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ser.benchmark.answering import abstentions
from ser.benchmark.designs import Design
from ser.benchmark.enrolling import enrolment_curve
from ser.benchmark.workspace import extract
from ser.bundle import Bundle, load_encoder_of, save_bundle
from ser.core.scores import metrics
from ser.core.utterance.tables import check_predictions, split_sha256
from ser.files import code_sha256, read_json, write_json
from ser.io.storage.recordings import load_utterances
from ser.io.storage.shards import read_index
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking import runs
from ser.io.tracking.pages.metrics import rounded
from ser.io.tracking.pages.parameters import read_params
from ser.io.tracking.patience import be_patient
from ser.io.tracking.store import BENCHMARKS
from ser.params import AFTER_TRAINING, Params
from ser.predictor import Predictor
from ser.stages.learning import answers, check_stored, chosen_params, learn, with_sets

PREDICTIONS, RECEIPT, CURVE = "predictions.parquet", "fold.json", "enrolment.parquet"
ELAPSED = "elapsed.json"
#: The source that a result depends on, beside that of features.
CODE = (
    *("core", "models", "bundle.py", "stages/learning"),
    *("benchmark/answering.py", "benchmark/enrolling.py", "benchmark/folds.py"),
)
#: Recordings whose scoring is timed.
TIMED = 20


@dataclass(frozen=True)
class Fold:
    """predictions : for its test speakers, see `with_sets`; with `abstained`, see `abstentions`.
    curve : see `enrolment_curve`; None for a model without enrolment. receipt : split, seconds,
    parameters, dev UAR, run."""

    predictions: pd.DataFrame
    curve: pd.DataFrame | None
    receipt: dict[str, Any]


class Clock:
    """Seconds that a fold takes, those before it was cut off and begun again included."""

    def __init__(self, record: Path) -> None:
        self.record, self.started = record, time.monotonic()
        self.before = float(read_json(record)["seconds"]) if record.is_file() else 0.0

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def note(self) -> None:
        """Keep the seconds for the case that the fold is cut off now."""
        write_json({"seconds": self.seconds}, self.record)


def title_of(design: Design, params: Params) -> str:
    mode = "speaker-enrolled" if params.model.enrolled else "plain"
    return f"{params.model.name} · {design.corpus} · {design.protocol} · {mode}"


def run_folds(root: Path, home: Path, params: Params, design: Design) -> list[Fold]:
    """Train and test every fold of `design` on the corpora in `home`.

    root : the project, where MLflow keeps the runs. A fold that was finished before, with the
    same data, parameters and code, is read instead.
    """
    be_patient()
    extract(home, params)
    stored = check_stored(home, params)
    key = _key(home, params, design.splits, stored)
    place = home / "runs" / key
    place.mkdir(parents=True, exist_ok=True)
    results: list[Fold] = []
    with (
        _parent_run(root, place, params, design, key) as parent,
        tqdm(design.splits, desc=title_of(design, params), unit="fold", disable=None) as bar,
    ):
        for number, folds in enumerate(bar, start=1):
            folder = place / f"fold-{number}"
            if not (folder / RECEIPT).is_file():
                _run_fold(root, home, folder, folds, params, parent)
            curve = folder / CURVE
            results.append(
                Fold(
                    predictions=read_table(folder / PREDICTIONS, check_predictions),
                    curve=read_table(curve) if curve.is_file() else None,
                    receipt=read_json(folder / RECEIPT),
                )
            )
            pooled = pd.concat([fold.predictions for fold in results], ignore_index=True)
            bar.set_postfix(uar=f"{metrics.uar(pooled):.3f}")
        ece = metrics.expected_calibration_error(pooled)
        answered = float((pooled["abstained"] == "").mean())
        values = {"test/uar": metrics.uar(pooled), "test/ece": ece, "test/answered": answered}
        values |= _over(results)
        parent.log_metrics(rounded(values))
    return results


def _over(results: list[Fold]) -> dict[str, float]:
    """Mean over folds of each score, and the deviation of the UAR."""
    each = pd.DataFrame([fold.receipt["scores"] for fold in results])
    means = {
        f"folds/{str(name).replace('/', '_')}_mean": float(v) for name, v in each.mean().items()
    }
    return {**means, "folds/test_uar_std": float(each["test/uar"].std(ddof=0))}


@contextmanager
def _parent_run(
    root: Path, place: Path, params: Params, design: Design, key: str
) -> Iterator[runs.Run]:
    """The run that holds the folds' runs: the one of last time if that was cut off."""
    record = place / "run.json"
    known = read_json(record)["run_id"] if record.is_file() else None
    with runs.start_run(
        root,
        name=None,
        params=_read_by_all(params, design),
        tags={
            "benchmark": key,
            "corpora": design.corpus,
            "protocol": design.protocol,
            "model": params.model.name,
        },
        experiment=BENCHMARKS,
        run_id=known if known and runs.run_exists(root, known) else None,
    ) as parent:
        write_json({"run_id": parent.run_id}, record)
        yield parent


def _run_fold(
    root: Path, home: Path, folder: Path, folds: pd.DataFrame, params: Params, parent: runs.Run
) -> None:
    number, sha256 = int(folds["fold"].iloc[0]), split_sha256(folds)
    clock = Clock(folder / ELAPSED)
    with runs.start_run(
        root,
        name=f"fold {number} · {parent.name}",
        params={"split": {"fold": number}},
        tags={
            "mlflow.parentRunId": parent.run_id,
            "split_sha256": sha256,
            "model": params.model.name,
        },
        experiment=BENCHMARKS,
    ) as tracked:
        checkpoints = folder / "checkpoints"

        def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
            tracked.log_epoch(epoch, values)
            clock.note()

        learned = learn(home, folds, params, on_epoch=on_epoch, workdir=checkpoints)
        bundle, test = learned.bundle, folds[folds["split"] == "test"]
        predictions = with_sets(answers(home, bundle, test), bundle)
        predictions["abstained"] = abstentions(home, bundle, predictions, test)
        save_bundle(bundle, folder / "bundle")
        if bundle.takes_enrolment:
            write_table(enrolment_curve(home, bundle, test, seed=params.seed), folder / CURVE)
        scores = {
            "test/uar": metrics.uar(predictions),
            "test/ece": metrics.expected_calibration_error(predictions),
            "test/coverage": float(predictions["covered"].mean()),
            "test/answered": float((predictions["abstained"] == "").mean()),
            "dev/uar": metrics.uar(learned.dev),
            "train/seconds": clock.before + learned.seconds,
            "test/inference_ms": _inference_ms(home, bundle, test),
        }
        tracked.log_metrics(rounded(scores))
        write_table(predictions, folder / PREDICTIONS)
        # Last: a fold is finished when it has a receipt.
        write_json(
            {
                "fold": number,
                "run_id": tracked.run_id,
                "split_sha256": sha256,
                "test_speakers": sorted(test["speaker"].unique()),
                "dev_speakers": sorted(folds.loc[folds["split"] == "dev", "speaker"].unique()),
                "parameters": bundle.model.n_parameters,
                "temperature": bundle.calibrations.each[-1].temperature,
                "seconds": clock.seconds,
                "scores": scores,
            },
            folder / RECEIPT,
        )
    shutil.rmtree(checkpoints, ignore_errors=True)


def _inference_ms(home: Path, bundle: Bundle, test: pd.DataFrame) -> float:
    """Median time from decoded samples to posteriors, features included."""
    predictor = Predictor(bundle, load_encoder_of(bundle))
    times = []
    for y, sr in load_utterances(home, test.head(TIMED)):
        started = time.perf_counter()
        predictor.posteriors(y, sr=sr)
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def decisive_params(params: Params) -> dict[str, Any]:
    """The parameters that a benchmark's folds depend on; others may change between its parts."""
    ignored = AFTER_TRAINING | {"synthetic"}
    return {k: v for k, v in chosen_params(params).items() if k not in ignored}


def _read_by_all(params: Params, design: Design) -> dict[str, Any]:
    """The parameters that a benchmark reads, but the fold: all are run."""
    values = read_params(params)
    del values["split"]["fold"]
    for section, own in design.logged.items():
        merged = {**values[section], **own}
        values[section] = {key: value for key, value in merged.items() if value is not None}
    return values


def _key(home: Path, params: Params, splits: Sequence[pd.DataFrame], stored: list[Path]) -> str:
    """Names what the results depend on: splits, features, parameters, and the code that trains."""
    weights = None
    if "byol_s" in params.model.used:
        from ser.models.networks.ntt import weights_sha256

        weights = weights_sha256(params.model.section("byol_s"))
    content = {
        "splits": [split_sha256(folds) for folds in splits],
        # A shard's name and hash stand for its recordings, parameters and code.
        "stored": [read_index(home / folder)[1] for folder in stored],
        "params": decisive_params(params),
        "code": code_sha256(*CODE),
        "weights": weights,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
