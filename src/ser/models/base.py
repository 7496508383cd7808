"""The one interface of all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
import pandas as pd

#: Called after each epoch with (epoch, {"train_loss": …, "dev_uar": …}).
OnEpoch = Callable[[int, Mapping[str, float]], None]
#: functionals: DataFrame (n, n_functionals); log_mel: n arrays (n_frames, n_mels), dB.
Inputs = pd.DataFrame | Sequence[np.ndarray]


@dataclass(frozen=True)
class Examples:
    """Utterances to learn from, row by row.

    emotion : (n,) canonical labels; speaker : (n,) speaker ids, unique over corpora.
    """

    inputs: Inputs
    emotion: np.ndarray
    speaker: np.ndarray


class EmotionModel(Protocol):
    """Maps features of utterances to posteriors over `classes`."""

    #: Which features `fit` and `predict_proba` take.
    input_kind: ClassVar[Literal["functionals", "log_mel"]]
    classes: tuple[str, ...]

    def fit(
        self,
        train: Examples,
        dev: Examples,
        *,
        seed: int,
        on_epoch: OnEpoch | None = None,
        workdir: Path | None = None,
    ) -> Self:
        """Learn from `train`; choose (when to stop, which epoch) on `dev`.

        workdir : where checkpoints live while training; a killed fit called again with
        the same arguments resumes there and ends with the same weights.
        """
        ...

    def predict_proba(self, inputs: Inputs) -> np.ndarray:
        """Posteriors, float64 (n, n_classes), rows sum to 1."""
        ...

    def to_files(self) -> dict[str, bytes]:
        """The fitted model as named files, never a pickle; equal models give equal bytes."""
        ...

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Inverse of `to_files`; raises BundleError on anything not trusted."""
        ...
