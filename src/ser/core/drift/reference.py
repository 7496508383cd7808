"""The reference: figures of the utterances that a model was trained on, by speaker. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from ser.core.drift.figures import NAMES, sound_of
from ser.errors import BundleError
from ser.params import FeatureParams

#: Utterances of a speaker that are kept: enough for a distribution, and a small file.
MOST_OF_SPEAKER = 200
#: Speakers that are kept.
MOST_SPEAKERS = 200


@dataclass(frozen=True)
class Reference:
    """values : (n, k), a column for each figure of `FIGURES`, NaN where it is not known.
    speaker : (n,) whose utterance each row is; numbers, no names."""

    values: pd.DataFrame
    speaker: np.ndarray

    @classmethod
    def of(cls, values: pd.DataFrame, *, speaker: np.ndarray, seed: int) -> Self:
        """Of figures, (n, k), and names of speakers, (n,); at most `MOST_OF_SPEAKER` of each of
        `MOST_SPEAKERS`, drawn."""
        rng = np.random.default_rng(seed)
        names, number = np.unique(speaker, return_inverse=True)
        kept = rng.permutation(names.size)[:MOST_SPEAKERS]
        rows = [rng.permutation(np.flatnonzero(number == one))[:MOST_OF_SPEAKER] for one in kept]
        order = np.sort(np.concatenate(rows)) if rows else np.empty(0, dtype=int)
        # As it will be read again.
        known = values.reindex(columns=list(NAMES)).astype("float32").astype("float64")
        return cls(known.iloc[order].reset_index(drop=True), number[order].astype(np.int32))

    def without(self, speakers: np.ndarray) -> Self:
        """The reference without these speakers."""
        kept = ~np.isin(self.speaker, speakers)
        return type(self)(self.values[kept].reset_index(drop=True), self.speaker[kept])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, for safetensors."""
        columns = {name: self.values[name].to_numpy(np.float32) for name in NAMES}
        return {"speaker": self.speaker, **columns}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Inverse of `to_arrays`; raises BundleError where arrays are not as expected."""
        speaker = arrays.get("speaker", np.empty(0))
        columns = {name: column for name, column in arrays.items() if name != "speaker"}
        if speaker.ndim != 1 or any(column.shape != speaker.shape for column in columns.values()):
            raise BundleError(
                "The reference has columns of different lengths. Train the model again."
            )
        values = pd.DataFrame(
            {name: np.float64(columns[name]) for name in NAMES if name in columns}
        )
        return cls(values.reindex(columns=list(NAMES)), speaker)


def figures_of(functionals: np.ndarray, params: FeatureParams, *, index: pd.Index) -> pd.DataFrame:
    """What `sound_of` reads off functionals (n, n_functionals), a row each; no columns with other
    functionals than ours."""
    found = [sound_of(row, params) for row in functionals]
    rows = [{} if one is None else vars(one) for one in found]
    return pd.DataFrame(rows, index=index, dtype="float64")
