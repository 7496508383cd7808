"""Stage `train`: features and folds become a bundle, and a run in MLflow."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import ser
from ser.bundle import Bundle, bundle_sha256, save_bundle
from ser.core.emotions import classes_of
from ser.core.metrics import uar
from ser.core.tables import (
    check_folds,
    predictions_table,
    split_sha256,
)
from ser.errors import TableError
from ser.io import dvc, tracking
from ser.io.integrity import check_cache
from ser.io.recordings import check_recordings
from ser.io.shards import check_shards, read_functionals, read_index, read_sequences
from ser.io.store import read_json, read_table, write_json, write_table
from ser.models.base import EmotionModel, Examples, Inputs
from ser.models.build import build_model
from ser.params import FeatureParams, Params
from ser.stages.base import (
    AUDIT,
    BUNDLE,
    CHECKPOINTS,
    FEATURES,
    FOLDS,
    PLOTS,
    RAW,
    TRAIN_RECEIPT,
    run_stage,
)

#: Counts of the leakage audit that a run carries as tags.
AUDITED = ("shared_speakers", "copies_across_splits", "sentence_overlap")


def run(root: Path, params: Params) -> None:
    folds = read_table(root / FOLDS, check_folds)
    audit = read_json(root / AUDIT)
    check_bytes(root, folds, params.data.corpora)
    classes = classes_of(folds.loc[folds["split"] == "train", "emotion"])
    model = build_model(params.model, params.train, classes=classes)
    train, dev = (load_examples(root, model, folds[folds["split"] == s]) for s in ("train", "dev"))
    split = params.split
    trained_on = f"{'+'.join(params.data.corpora)} · {split.protocol} {split.fold}"
    with tracking.start_run(
        root,
        name=f"{params.model.name} · {trained_on}",
        params=chosen_params(params),
        tags={
            "split_sha256": split_sha256(folds),
            "model": params.model.name,
            **{f"audit.{name}": str(audit[name]) for name in AUDITED},
        },
    ) as tracked:
        tracked.log_dataset(
            name="+".join(params.data.corpora),
            digest=dvc.locked_md5(root, FEATURES) or split_sha256(folds)[:36],
            source=FEATURES.as_posix(),
        )
        curves: list[dict[str, float]] = []

        def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
            curves.append({"epoch": epoch, **values})
            tracked.log_epoch(epoch, values)

        started = time.monotonic()
        model.fit(
            train,
            dev,
            seed=params.seed,
            on_epoch=on_epoch,
            workdir=root / CHECKPOINTS / _code_sha256(),
        )
        seconds = time.monotonic() - started
        dev_rows = folds[folds["split"] == "dev"]
        dev_uar = uar(predictions_table(dev_rows, model.predict_proba(dev.inputs), classes))
        features = FeatureParams(**read_index(root / FEATURES)[0].params)
        bundle = Bundle(
            params.model.name, model, features, card=_card(params, folds, audit, dev_uar)
        )
        save_bundle(bundle, root / BUNDLE)
        tracked.log_metrics({"dev/uar": dev_uar, "train/seconds": seconds})
        write_table(
            pd.DataFrame(curves, columns=None if curves else ["epoch", "dev_uar"]),
            root / PLOTS / "curves.csv",
        )
        write_json(
            {
                "run_id": tracked.run_id,
                "bundle_sha256": bundle_sha256(root / BUNDLE),
                "split_sha256": split_sha256(folds),
                "model": params.model.name,
                "dev": {"uar": dev_uar},
            },
            root / TRAIN_RECEIPT,
        )
    # Only a training that was cut off may be taken up again; a finished one is done anew.
    shutil.rmtree(root / CHECKPOINTS, ignore_errors=True)
    print(f"{params.model.name}: dev UAR {dev_uar:.3f} after {seconds:.0f} s.")


def check_bytes(root: Path, folds: pd.DataFrame, corpora: Sequence[str]) -> None:
    """Refuse to learn where a recording, a feature, or DVC's copy of one has rotted.

    DVC looks at sizes and times alone, so this hashes them all: about a second a gigabyte.
    """
    check_recordings(root, folds)
    check_shards(root / FEATURES)
    check_cache(root, [*(RAW / name for name in corpora), FEATURES])


def load_examples(root: Path, model: EmotionModel, rows: pd.DataFrame) -> Examples:
    """The features that `model` takes, in the order of `rows`."""
    return Examples(
        inputs=load_inputs(root, model.input_kind, rows),
        emotion=rows["emotion"].to_numpy(str),
        speaker=rows["speaker"].to_numpy(str),
    )


def load_inputs(root: Path, kind: str, rows: pd.DataFrame) -> Inputs:
    """Stored features of `rows`, in their order; raises TableError where one lacks them."""
    recordings = rows["sha256"]
    if kind == "functionals":
        table = read_functionals(root / FEATURES)
        _check_complete(rows, table.index)
        return table.loc[recordings].reset_index(drop=True)
    sequences = read_sequences(root / FEATURES)
    _check_complete(rows, pd.Index(list(sequences)))
    return [sequences[sha256] for sha256 in recordings]


def _check_complete(rows: pd.DataFrame, known: pd.Index) -> None:
    missing = rows.loc[~rows["sha256"].isin(known), "file"]
    if not missing.empty:
        raise TableError(
            f"data/features lacks {missing.iloc[0]} ({len(missing)} of {len(rows)} utterances); "
            "run `dvc repro -f featurize`."
        )


def chosen_params(params: Params) -> dict[str, Any]:
    """All parameters but those of the models that were not chosen: what a run depends on."""
    values = params.model_dump(mode="json")
    name = params.model.name
    values["model"] = {k: v for k, v in values["model"].items() if k in ("name", name)}
    if "synthetic" not in params.data.corpora:
        del values["synthetic"]
    return values


def _code_sha256() -> str:
    """Hash of the source that trains: a checkpoint of other code is never taken up."""
    package = Path(ser.__file__).parent
    sources = [*sorted((package / "models").glob("*.py")), package / "core" / "augment.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def _card(
    params: Params, folds: pd.DataFrame, audit: dict[str, Any], dev_uar: float
) -> dict[str, Any]:
    heard = folds[folds["split"] != "test"]
    return {
        "corpora": list(params.data.corpora),
        "protocol": params.split.protocol,
        "fold": params.split.fold,
        "split_sha256": split_sha256(folds),
        "audit": audit,
        "train_speakers": sorted(heard["speaker"].unique()),
        "train_utterances": int((folds["split"] == "train").sum()),
        "dev_uar": dev_uar,
        "parameters": {
            section: values
            for section, values in chosen_params(params).items()
            if section not in ("evaluate", "gate")
        },
    }


if __name__ == "__main__":
    run_stage(run)
