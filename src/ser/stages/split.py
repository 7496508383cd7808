"""Stage `split`: give every utterance of the chosen corpora a split, speakers kept apart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core.splits import assign
from ser.core.tables import SPLITS, check_manifest, speaker_ids, split_sha256
from ser.io.store import read_table, write_table
from ser.params import Params
from ser.stages.base import FOLDS, MANIFESTS, run_stage


def run(root: Path, params: Params) -> None:
    manifest = load_manifest(root, params.data.corpora)
    folds = assign(
        manifest,
        protocol=params.split.protocol,
        fold=params.split.fold,
        test_fraction=params.split.test_fraction,
        dev_fraction=params.split.dev_fraction,
        seed=params.seed,
    )
    write_table(folds, root / FOLDS)
    for split in SPLITS:
        part = folds[folds["split"] == split]
        print(f"{split}: {len(part)} utterances of {speaker_ids(part).nunique()} speakers.")
    print(f"split {split_sha256(folds)[:12]}.")


def load_manifest(root: Path, corpora: tuple[str, ...]) -> pd.DataFrame:
    """The manifests of the chosen corpora, one below the other."""
    tables = [read_table(root / MANIFESTS / f"{name}.parquet", check_manifest) for name in corpora]
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    run_stage(run)
