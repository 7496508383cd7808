"""The embedded corpus, small, and models of it, without DVC or MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser.bundle import Bundle
from ser.core.utterance.tables import check_folds
from ser.io.storage.tables import read_table
from ser.params import Params, parse_params
from ser.project import FOLDS
from ser.stages import featurize, gather, manifest, split
from ser.stages.learning import learn

VALUES = {
    "synthetic": {"speakers": 6, "sentences": 2},
    "model": {"name": "lda"},
    "augment": {"versions": 0},
    # Three speakers to train on are too few to tell what is strange.
    "abstention": {"max_novelty_percentile": None, "detector": "energy"},
    "stress": {"resamples": 100},
}


@dataclass(frozen=True)
class Corpus:
    """A small corpus in `root`; folds : its table, with splits."""

    root: Path
    params: Params
    folds: pd.DataFrame

    @property
    def test(self) -> pd.DataFrame:
        return self.folds[self.folds["split"] == "test"]

    def learn(self, **features: object) -> Bundle:
        """A model of its features, extracted with other parameters."""
        values = self.params.model_dump(mode="json")
        values["features"] |= features
        params = parse_params(values)
        featurize.run(self.root, params)
        return learn(self.root, self.folds, params).bundle


def prepared(root: Path, params: Params) -> Corpus:
    """The corpus whose recordings lie in `root`, with its folds."""
    manifest.run(root, params, "synthetic")
    gather.run(root, params)
    split.run(root, params)
    return Corpus(root, params, read_table(root / FOLDS, check_folds))
