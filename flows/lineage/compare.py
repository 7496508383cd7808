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
from ser.project import EMBEDDINGS, PREDICTIONS, TRAIN_RECEIPT

#: Share of a descriptor's largest value by which processors may round it differently.
FEATURE_LIMIT = 1e-5
#: Outs that name the MLflow run, which is another one each time.
NAMING_RUNS = {TRAIN_RECEIPT.as_posix()}


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

    missing : utterances or frames that only one side has. stored : "" or how coarsely the values
    are stored; a difference of one such step is not counted. is_exact : no value differs at all.
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
            return f"{self.missing} rows are on one side only"
        if self.is_exact:
            return "the same values"
        beyond = f" beyond a step of {self.stored}" if self.stored else ""
        if self.share == 0:
            return f"no difference{beyond}"
        return f"up to {self.share:.1e} of the largest {self.descriptor}{beyond}"


def compare_features(recorded: Path, made: Path) -> list[Difference]:
    """Differences of two folders of shards: of functionals and of log-mels, or of embeddings."""
    if made.name == EMBEDDINGS.name:
        return [_largest(_stacked(read_embeddings(recorded)), _stacked(read_embeddings(made)))]
    mels = _pooled(read_sequences(recorded)), _pooled(read_sequences(made))
    return [
        _largest(read_functionals(recorded), read_functionals(made)),
        # One step of float16 is 5e-4 of a value: the last bit of a float32 may flip it.
        _largest(*mels, step=np.float16),
    ]


def _pooled(sequences: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Frames of all log-mels, (n_frames, n_mels), indexed by utterance and frame."""
    return pd.concat(
        {
            key: pd.DataFrame(mel.astype(np.float32)).add_prefix("log-mel band ")
            for key, mel in sequences.items()
        }
    )


def _stacked(layers: Mapping[str, np.ndarray]) -> pd.DataFrame:
    rows = np.stack([values.reshape(-1) for values in layers.values()])
    return pd.DataFrame(rows, index=list(layers)).add_prefix("embedding value ")


def _largest(
    recorded: pd.DataFrame, made: pd.DataFrame, *, step: type[np.floating] | None = None
) -> Difference:
    """Of two tables, a column for each descriptor. step : the type that values are stored in."""
    stored = step.__name__ if step else ""
    missing = recorded.index.symmetric_difference(made.index)
    if len(missing) or list(recorded.columns) != list(made.columns):
        return Difference(1.0, "", len(missing) or len(recorded), stored)
    differing = (recorded - made.loc[recorded.index]).abs()
    is_exact = not differing.to_numpy().any()
    if step:
        differing = (differing - np.spacing(recorded.abs().astype(step)).astype(float)).clip(0)
    # A median near zero is measured by what its descriptor comes to, not by itself.
    largest = recorded.abs().max().groupby(_descriptor).transform("max").replace(0.0, 1.0)
    # Where no utterance has a value, there is none to differ.
    shares = (differing.max() / largest).fillna(0.0)
    return Difference(float(shares.max()), str(shares.idxmax()), 0, stored, is_exact)


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
    columns = [c for c in posterior_columns(old) if c in new]
    changed = int((old.loc[shared, "predicted"] != new.loc[shared, "predicted"]).sum())
    largest = float((old.loc[shared, columns] - new.loc[shared, columns]).abs().to_numpy().max())
    return f"{changed} of {len(shared)} answers differ, posteriors by up to {largest:.1e}"
