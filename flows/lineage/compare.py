"""A reproduction against the record: which stages made other files, and how far values differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.features.functionals import F0_STATISTICS
from ser.core.utterance.tables import posterior_columns
from ser.io.storage.embeddings import read_embeddings
from ser.io.storage.shards import read_functionals, read_sequences
from ser.io.storage.tables import read_table
from ser.project import CARD, EMBEDDINGS, PREDICTIONS, TRAIN_RECEIPT

#: Share of a descriptor's largest value by which processors may round it differently.
FEATURE_LIMIT = 1e-5
#: Outs that name the MLflow run, which is another one each time.
NAMING_RUNS = {TRAIN_RECEIPT.as_posix(), CARD.as_posix()}


@dataclass(frozen=True)
class Stage:
    """A stage of the reproduction beside its record.

    differing : outs with another hash. causes : inputs with another hash that no stage makes:
    source, raw data.
    """

    name: str
    differing: tuple[str, ...]
    causes: tuple[str, ...]


def compare_stages(recorded: Mapping[str, Any], made: Mapping[str, Any]) -> list[Stage]:
    """Stages of two dvc.lock, in the order in which the recorded ones depend on each other."""
    outs = {out["path"] for stage in recorded.values() for out in stage.get("outs", [])}
    stages = []
    for name in in_order(recorded):
        before, now = recorded[name], made.get(name, {})
        changed = _changed(before, now, "outs")
        stages.append(
            Stage(
                name,
                tuple(path for path in changed if path not in NAMING_RUNS),
                tuple(path for path in _changed(before, now, "deps") if path not in outs),
            )
        )
    return stages


def in_order(stages: Mapping[str, Any]) -> list[str]:
    """Names of stages, each after those whose outs it reads."""
    made_by = {out["path"]: name for name, s in stages.items() for out in s.get("outs", [])}
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for dep in stages[name].get("deps", []):
            for path, maker in made_by.items():
                if maker != name and f"{path}/".startswith(f"{dep['path']}/"):
                    visit(maker)
        ordered.append(name)

    for name in stages:
        visit(name)
    return ordered


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], kind: str) -> Iterable[str]:
    hashes = {entry["path"]: entry.get("md5") for entry in now.get(kind, [])}
    return [e["path"] for e in before.get(kind, []) if hashes.get(e["path"]) != e.get("md5")]


@dataclass(frozen=True)
class Difference:
    """The largest difference of stored values, as a share of their descriptor's largest value.

    missing : utterances that only one side has, or with another shape. stored : "" or how coarsely
    the values are stored; a difference of one such step is not counted. is_exact : none differs.
    """

    share: float
    descriptor: str
    missing: int = 0
    stored: str = ""
    is_exact: bool = False

    @property
    def is_rounding(self) -> bool:
        return self.share <= FEATURE_LIMIT and not self.missing

    def __str__(self) -> str:
        if self.missing:
            return f"{self.missing} utterances are on one side only, or of another length"
        if self.is_exact:
            return "the same values"
        beyond = f" beyond a step of {self.stored}" if self.stored else ""
        if self.share == 0:
            return f"no difference{beyond}"
        return f"up to {self.share:.1e} of the largest {self.descriptor}{beyond}"


def compare_features(recorded: Path, made: Path) -> list[Difference]:
    """Differences of two folders of shards: of functionals and of log-mels, or of embeddings."""
    if made.name == EMBEDDINGS.name:
        embeddings = read_embeddings(recorded), read_embeddings(made)
        return [_of_arrays(*embeddings, name="value of an embedding's layer")]
    log_mels = read_sequences(recorded), read_sequences(made)
    return [
        _of_tables(read_functionals(recorded), read_functionals(made)),
        _of_arrays(*log_mels, name="power of mel band", decibels=True),
    ]


def _of_tables(recorded: pd.DataFrame, made: pd.DataFrame) -> Difference:
    """Of two tables, a column for each functional, a row for each utterance."""
    missing = recorded.index.symmetric_difference(made.index)
    if len(missing):
        return Difference(1.0, "", len(missing))
    if list(recorded.columns) != list(made.columns):
        return Difference(1.0, "functional, of which others were computed")
    differing = (recorded - made.loc[recorded.index]).abs()
    # A median near zero is measured by what its descriptor comes to, not by itself.
    largest = recorded.abs().max().groupby(_descriptor).transform("max").replace(0.0, 1.0)
    # Where no utterance has a value, there is none to differ.
    shares = (differing.max() / largest).fillna(0.0)
    is_exact = not differing.to_numpy().any()
    return Difference(float(shares.max()), str(shares.idxmax()), is_exact=is_exact)


def _of_arrays(
    recorded: Mapping[str, np.ndarray],
    made: Mapping[str, np.ndarray],
    *,
    name: str,
    decibels: bool = False,
) -> Difference:
    """Of two arrays (…, n) for each utterance; each of the n columns is a descriptor.

    decibels : values are dB, stored as float16: of their differences one step of storage is left
    out, which the last bit of a float32 may flip, and the rest counts as power: a band far below
    the loudest has few digits in dB.
    """
    stored = "float16" if decibels else ""
    other = set(recorded) ^ set(made)
    other |= {key for key in set(recorded) & set(made) if recorded[key].shape != made[key].shape}
    if other:
        return Difference(1.0, "", len(other), stored)
    differing, largest, is_exact = np.zeros(1), np.zeros(1), True
    for key, values in recorded.items():
        columns = values.reshape(-1, values.shape[-1]).astype(np.float64)
        gap = np.abs(columns - made[key].reshape(columns.shape))
        is_exact &= not gap.any()
        size = np.abs(columns)
        if decibels:
            step = np.abs(np.spacing(columns.astype(np.float16))).astype(float)
            size = 10 ** (columns / 10)
            gap = np.clip(gap - step, 0, None) * size * np.log(10) / 10
        differing = np.maximum(differing, gap.max(axis=0, initial=0.0))
        largest = np.maximum(largest, size.max(axis=0, initial=0.0))
    shares = differing / np.where(largest == 0, 1.0, largest)
    where = f"{name} {int(shares.argmax())}"
    return Difference(float(shares.max()), where, 0, stored, is_exact)


def _descriptor(functional: str) -> str:
    """`mfcc_03` of `mfcc_03_p50`; the name itself of what is no statistic over frames."""
    name, _, statistic = functional.rpartition("_")
    return name if statistic in F0_STATISTICS else functional


def compare_answers(recorded: Path, made: Path) -> str:
    """How many answers on the test split changed, and the largest difference of a posterior."""
    key = ["corpus", "file", "start", "end"]
    old = read_table(recorded / PREDICTIONS).set_index(key)
    new = read_table(made / PREDICTIONS).set_index(key)
    shared = old.index.intersection(new.index)
    if shared.empty:
        return "no utterance is tested in both"
    columns = [c for c in posterior_columns(old) if c in new]
    changed = int((old.loc[shared, "predicted"] != new.loc[shared, "predicted"]).sum())
    largest = float((old.loc[shared, columns] - new.loc[shared, columns]).abs().to_numpy().max())
    return f"{changed} of {len(shared)} answers differ, posteriors by up to {largest:.1e}"
