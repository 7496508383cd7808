"""Stage `manifest CORPUS`: the recordings of one corpus become a table, one row an utterance."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core.tables import MANIFEST, check_manifest
from ser.corpora.catalogue import corpus_named, label_files
from ser.errors import AudioError
from ser.io.audio import Probe, probe
from ser.io.store import write_table
from ser.params import Params
from ser.stages.base import MANIFESTS, RAW, in_parallel, raise_first, run_stage


def run(root: Path, params: Params, name: str) -> None:
    corpus = corpus_named(name)
    labels = label_files(root / RAW / name, corpus)
    probes = list(
        in_parallel(_probe, [(root, RAW / name / file) for file in labels], doing=f"read {name}")
    )
    raise_first([p for p in probes if isinstance(p, AudioError)], of=len(labels), what="files")
    rows = [
        {
            "file": (RAW / name / file).as_posix(),
            "start": 0.0,
            "end": probed.seconds,
            "corpus": name,
            **vars(label),
            "duration": probed.seconds,
            "sha256": probed.sha256,
        }
        for (file, label), probed in zip(labels.items(), probes, strict=True)
        if not isinstance(probed, AudioError)
    ]
    table = pd.DataFrame(rows)[list(MANIFEST)]
    check_manifest(table, f"manifest of {name}")
    write_table(table, root / MANIFESTS / f"{name}.parquet")
    minutes = table["duration"].sum() / 60
    print(
        f"{name}: {len(table)} utterances of {table['speaker'].nunique()} speakers, "
        f"{minutes:.0f} min, {table['emotion'].nunique()} emotions."
    )
    if len(table) != corpus.utterances and corpus.utterances:
        print(f"{name} as published has {corpus.utterances} utterances; here are {len(table)}.")


def _probe(root: Path, file: Path) -> Probe | AudioError:
    try:
        return probe(root / file)
    except AudioError as error:
        return type(error)(str(error).replace(f"{root}/", ""))


if __name__ == "__main__":
    run_stage(run)
