"""Recordings that the gate alone judges on: corpora in data/raw that no stage reads.

Choosing again and again on one test split wears it out; scores of these are shown nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ser.core.gate.comparison import trained_speakers
from ser.core.utterance.emotions import label_rule, select
from ser.core.utterance.fitness import LeftOut
from ser.core.utterance.tables import check_manifest, manifest_table
from ser.corpora.catalogue import corpus_named, label_files
from ser.errors import LeakageError, ParamsError
from ser.io.intake.checksums import SUMS, read_sums
from ser.io.intake.exclusion import check_bad
from ser.output import count_of
from ser.params import Params
from ser.project import RAW
from ser.stages.manifest import needs_of, read_rows, readable

#: Their value in the column `split`.
SPLIT = "gate"


def load(
    root: Path, params: Params, manifest: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """The utterances of `gate.corpora`, each recording read and checked, under `data.labels`.

    manifest : of `data.corpora`. classes : emotions that the challenger distinguishes; of others
        there is no utterance in the table.
    Raises LeakageError where a speaker or a recording is in `data.corpora`, too.
    """
    tables = [_manifest(root, params, name) for name in params.gate.corpora]
    table = pd.concat(tables, ignore_index=True)
    names = "+".join(params.gate.corpora)
    check_manifest(table, f"gate.corpora ({names})")
    check_apart(table, manifest)
    rule = label_rule(params.data.labels.keep, params.data.labels.merge)
    emotion = select(table["emotion"], rule)
    table = table.assign(emotion=emotion, split=SPLIT)[emotion.isin(classes)]
    if table.empty:
        raise ParamsError(
            f"gate.corpora ({names}) has no utterance of {', '.join(classes)}, which data.labels "
            "keeps. Name another corpus there, or none."
        )
    return table.reset_index(drop=True)


def check_apart(table: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Raise LeakageError where a speaker or a recording of `table` is in `manifest`, too.

    Both with speaker, audio_sha256 and fingerprint. Copies are found under any name.
    """
    shared = set(table["speaker"]) & set(manifest["speaker"])
    if found := sorted(shared | trained_speakers(table, manifest)):
        raise LeakageError(
            f"gate.corpora holds back recordings that data.corpora has, too: of "
            f"{count_of(len(found), 'speaker')}, first {found[0]}. Remove them from one of both, "
            "such as by data.exclude."
        )


def _manifest(root: Path, params: Params, name: str) -> pd.DataFrame:
    folder = root / RAW / name
    corpus = corpus_named(name, root / RAW)
    labels = label_files(folder, corpus)
    bad: list[LeftOut] = []
    rows = read_rows(
        root,
        RAW / name,
        labels,
        corpus=name,
        people=corpus.people or name,
        needs=needs_of(params.features),
        sums=read_sums(folder) if (folder / SUMS).exists() else {},
    )
    table = manifest_table(readable(rows, bad))
    check_bad(name, bad, of=len(labels), data=params.data)
    return table
