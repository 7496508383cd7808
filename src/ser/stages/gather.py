"""Stage `gather`: the manifests of the chosen corpora become one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core.utterance.fitness import LEFT_OUT
from ser.core.utterance.tables import check_manifest
from ser.io.storage.tables import read_notes, read_table, write_table
from ser.params import Params
from ser.project import MANIFEST, MANIFESTS
from ser.stages.base import run_stage


def run(root: Path, params: Params) -> None:
    corpora = params.data.corpora
    paths = {name: root / MANIFESTS / f"{name}.parquet" for name in corpora}
    tables = [read_table(path, check_manifest) for path in paths.values()]
    left_out = {name: read_notes(path).get(LEFT_OUT, []) for name, path in paths.items()}
    table = pd.concat(tables, ignore_index=True)
    write_table(table, root / MANIFEST, notes={LEFT_OUT: left_out})
    # DVC takes the hash of the folder after this: what was chosen before must not be in it, or
    # dvc.lock would hold a hash that no clone can have.
    for path in sorted((root / MANIFESTS).glob("*.parquet")):
        if path.stem not in corpora:
            path.unlink()
    print(f"{len(table)} utterances of {', '.join(corpora)}.")


if __name__ == "__main__":
    run_stage(run)
