"""Stage `train`: features and folds become a bundle, and a run in MLflow."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

import ser
from ser.bundle import bundle_sha256, save_bundle
from ser.core.metrics import uar
from ser.core.tables import (
    check_folds,
    split_sha256,
)
from ser.io import dvc, tracking
from ser.io.integrity import check_cache
from ser.io.recordings import check_recordings
from ser.io.shards import check_shards
from ser.io.store import read_json, read_table, write_json, write_table
from ser.params import Params
from ser.stages.base import (
    ALTERED,
    AUDIT,
    BUNDLE,
    CHECKPOINTS,
    DEV_PREDICTIONS,
    EMBEDDINGS,
    FEATURES,
    FOLDS,
    PLOTS,
    RAW,
    TRAIN_RECEIPT,
    run_stage,
)
from ser.stages.learning import chosen_params, learn

#: Counts of the leakage audit that a run carries as tags.
AUDITED = ("shared_speakers", "copies_across_splits", "sentence_overlap", "sentence_unknown")


def run(root: Path, params: Params) -> None:
    folds = read_table(root / FOLDS, check_folds)
    audit = read_json(root / AUDIT)
    check_bytes(root, folds, params)
    split = params.split
    trained_on = f"{'+'.join(params.data.corpora)} · {split.protocol} {split.fold}"
    with tracking.start_run(
        root,
        name=f"{params.model.name} · {trained_on}",
        params=chosen_params(params),
        tags={
            "split_sha256": split_sha256(folds),
            "model": params.model.name,
            **{f"audit.{name}": tag_text(audit[name]) for name in AUDITED},
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

        learned = learn(
            root,
            folds,
            params,
            on_epoch=on_epoch,
            workdir=root / CHECKPOINTS / _code_sha256(),
        )
        dev_uar = uar(learned.dev)
        bundle = replace(learned.bundle, card=_card(params, folds, audit, dev_uar))
        save_bundle(bundle, root / BUNDLE)
        write_table(learned.dev, root / DEV_PREDICTIONS)
        tracked.log_metrics({"dev/uar": dev_uar, "train/seconds": learned.seconds})
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
    print(f"{params.model.name}: dev UAR {dev_uar:.3f} after {learned.seconds:.0f} s.")


def check_bytes(root: Path, folds: pd.DataFrame, params: Params) -> None:
    """Refuse to learn where a recording, a feature, or DVC's copy of one has rotted.

    DVC looks at sizes and times alone, so this hashes them all: about a second a gigabyte.
    """
    check_recordings(root, folds)
    check_shards(root / FEATURES)
    check_shards(root / ALTERED, stage="alter")
    learnt_from = [*(RAW / name for name in params.data.corpora), FEATURES, ALTERED]
    if params.model.hears_by_encoder:
        check_shards(root / EMBEDDINGS, stage="embed")
        learnt_from.append(EMBEDDINGS)
    check_cache(root, learnt_from)


def tag_text(value: float | None) -> str:
    """A count of the audit, as a run's tag."""
    return "unknown" if value is None else str(value)


def _code_sha256() -> str:
    """Hash of the source that trains: a checkpoint of other code is never taken up."""
    package = Path(ser.__file__).parent
    sources = [*sorted((package / "models").rglob("*.py")), package / "core" / "augment.py"]
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
