"""Stage `train`: features and folds become a bundle, and a run in MLflow."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from ser import project
from ser.bundle import bundle_sha256, save_bundle
from ser.core.scores.metrics import uar
from ser.core.utterance.tables import check_folds, split_sha256
from ser.errors import TableError
from ser.files import code_sha256, file_hash, read_json, write_json
from ser.io.intake.dvc import folder_md5, tracked_md5
from ser.io.intake.verify import check_cache
from ser.io.storage.recordings import check_recordings
from ser.io.storage.shards import INDEX
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking import runs
from ser.io.tracking.address import project_of
from ser.io.tracking.lineage import processor
from ser.io.tracking.pages.parameters import read_params
from ser.io.tracking.registry import versions
from ser.params import AFTER_TRAINING, Params
from ser.project import AUDIT, FEATURES, FOLDS
from ser.stages.base import run_stage
from ser.stages.learning import check_stored, chosen_params, learn

#: Columns of the learning curves that dvc.yaml plots.
CURVES = ("epoch", "train_loss", "dev_loss", "dev_uar")
#: The source that trains: a checkpoint of other code is never taken up.
CODE = ("core/augmentation/log_mels.py", "models")
#: Beside the checkpoints: the run in MLflow of the training that they are of.
RUN = "run.json"
#: Counts of the leakage audit that a run carries as tags.
AUDITED = ("shared_speakers", "copies_across_splits", "sentence_overlap", "sentence_unknown")


def run(root: Path, params: Params) -> None:
    with _alone(root):
        _train(root, params)


def _train(root: Path, params: Params) -> None:
    folds = read_table(root / FOLDS, check_folds)
    audit = read_json(root / AUDIT)
    stored = check_bytes(root, folds, params)
    data = data_md5(root, params)
    champion = versions.champion(root)
    inputs, asked = inputs_sha256(root, params, stored), read_params(params)
    workdir = root / project.CHECKPOINTS / code_sha256(*CODE)[:16]
    training = {"inputs_sha256": inputs, "params": runs.flatten(asked)}
    with runs.start_run(
        root,
        name=None,
        params=asked,
        run_id=_cut_off(root, workdir / RUN, training),
        tags={
            "split_sha256": split_sha256(folds),
            "inputs.sha256": inputs,
            **{f"data.{path.name}": md5 for path, md5 in data.items()},
            "model": params.model.name,
            "corpora": "+".join(params.data.corpora),
            "protocol": f"{params.split.protocol} fold {params.split.fold}",
            "champion": f"version {champion.version}" if champion else "none",
            "machine.threads": params.machine.threads,
            **{f"audit.{name}": tag_text(audit[name]) for name in AUDITED},
            **_left_out_tags(audit["left_out"]),
        },
    ) as tracked:
        write_json({**training, "run_id": tracked.run_id}, workdir / RUN)
        for path, md5 in data.items():
            tracked.log_dataset(name=path.name, digest=md5, source=path.as_posix())
        curves: list[dict[str, float]] = []

        def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
            curves.append({"epoch": epoch, **values})
            tracked.log_epoch(epoch, values)

        learned = learn(root, folds, params, on_epoch=on_epoch, workdir=workdir)
        dev_uar = uar(learned.dev)
        bundle = replace(learned.bundle, card=_card(params, folds, audit, dev_uar))
        save_bundle(bundle, root / project.BUNDLE)
        write_table(learned.dev, root / project.DEV_PREDICTIONS)
        tracked.log_metrics({"dev/uar": dev_uar, "train/seconds": round(learned.seconds, 2)})
        # Without epochs the curve is a point, which DVC draws beside other models' curves.
        table = pd.DataFrame(curves or [{"epoch": 0, "dev_uar": dev_uar}])
        columns = dict.fromkeys([*CURVES, *table.columns])
        write_table(table.reindex(columns=list(columns)), root / project.PLOTS / "curves.csv")
        write_json(
            {
                "run_id": tracked.run_id,
                "bundle_sha256": bundle_sha256(root / project.BUNDLE),
                "split_sha256": split_sha256(folds),
                "model": params.model.name,
                "left_out": audit["left_out"],
                "seconds": round(learned.seconds, 1),
                "processor": processor(),
                "dev": {"uar": dev_uar},
            },
            root / project.TRAIN_RECEIPT,
        )
    # Only a training that was cut off may be taken up again; a finished one is done anew.
    shutil.rmtree(root / project.CHECKPOINTS, ignore_errors=True)
    print(f"{params.model.name}: dev UAR {dev_uar:.3f} after {learned.seconds:.0f} s.")


def _cut_off(root: Path, record: Path, training: Mapping[str, Any]) -> str | None:
    """The run of this very training, where it was cut off: it goes on in MLflow as well."""
    with suppress(TableError):
        found = read_json(record)
        run_id = str(found.pop("run_id", ""))
        if found == training and runs.run_exists(root, run_id):
            return run_id
    return None


def data_md5(root: Path, params: Params) -> dict[Path, str]:
    """DVC's hash of each raw corpus and of the features, by path."""
    raw = [project.RAW / name for name in params.data.corpora]
    # Where DVC has not run, it has locked no corpus.
    corpora = {path: tracked_md5(root, path) or folder_md5(root / path) for path in raw}
    return {**corpora, FEATURES: folder_md5(root / FEATURES)}


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait for another training of this project: two at once take each other's cores and memory.

    `dvc repro` typed by hand, a worktree and a reproduction train beside the flow.
    """
    lock = FileLock(project_of(root) / ".ser" / "train.lock")
    Path(lock.lock_file).parent.mkdir(exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("waits for another training of this project", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_bytes(root: Path, folds: pd.DataFrame, params: Params) -> list[Path]:
    """Refuse to train where a recording, a feature, or DVC's copy of one has changed on disk;
    the folders of features.

    DVC looks at sizes and times alone, so this hashes them all: about a second a gigabyte.
    """
    check_recordings(root, folds)
    stored = check_stored(root, params)
    check_cache(root, [*(project.RAW / name for name in params.data.corpora), *stored])
    return stored


def inputs_sha256(root: Path, params: Params, stored: list[Path]) -> str:
    """Hash of the data and parameters that a training reads, as they are when it starts.

    stored : folders of shards whose bytes were checked against their indices.
    dvc.lock lacks them while the stage runs: DVC writes its entry when it has ended.
    """
    data = [FOLDS, AUDIT, *(folder / INDEX for folder in stored)]
    content = {
        "data": {path.as_posix(): file_hash(root / path) for path in data},
        "params": _trained_by(params),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _trained_by(params: Params) -> dict[str, Any]:
    return {k: v for k, v in chosen_params(params).items() if k not in AFTER_TRAINING}


def tag_text(value: float | None) -> str:
    """A count of the audit, as a run's tag."""
    return "unknown" if value is None else str(value)


def _left_out_tags(left_out: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """How many recordings are in no split, in all and by reason, of the receipt's `left_out`."""
    by_reason = sum(map(Counter, left_out.values()), Counter[str]())
    each = {f"left_out.{reason.replace(' ', '_')}": str(n) for reason, n in by_reason.items()}
    return {"left_out": str(by_reason.total()), **each}


def _card(
    params: Params, folds: pd.DataFrame, audit: dict[str, Any], dev_uar: float
) -> dict[str, Any]:
    trained_on = folds[folds["split"] != "test"]
    return {
        "corpora": list(params.data.corpora),
        "protocol": params.split.protocol,
        "fold": params.split.fold,
        "split_sha256": split_sha256(folds),
        "audit": audit,
        "train_speakers": sorted(trained_on["speaker"].unique()),
        "train_utterances": int((folds["split"] == "train").sum()),
        "dev_uar": dev_uar,
        "parameters": _trained_by(params),
    }


if __name__ == "__main__":
    run_stage(run)
