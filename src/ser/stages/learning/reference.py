"""What later recordings are compared with: figures of the utterances that a model is trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.drift.reference import Reference, figures_of
from ser.core.uncertainty.novelty import Novelty, held_out_distances
from ser.models.base import Examples
from ser.params import FeatureParams, Params


def novelty_and_reference(
    recorded: Examples,
    rows: pd.DataFrame,
    confidence: np.ndarray,
    *,
    features: FeatureParams,
    params: Params,
) -> tuple[Novelty | None, Reference]:
    """Of all training utterances; each is measured as one of a speaker who was left out.

    recorded : with functionals; rows : of the folds, in the same order. confidence : (n,), NaN
    where the model was trained on the speaker. Novelty is None below two speakers; noisy versions
    are part of it: such noise is not out of domain.
    """
    functionals = recorded.inputs.functionals
    assert functionals is not None
    values = figures_of(functionals.to_numpy(), features, index=rows.index)
    values = values.assign(duration_seconds=rows["duration"], confidence=confidence)
    novelty = None
    if len(set(recorded.speaker)) > 1:
        every = recorded.with_augmented().inputs.functionals
        assert every is not None
        speaker = np.tile(recorded.speaker, 1 + len(recorded.augmented))
        distance = held_out_distances(every.to_numpy(), speaker=speaker)
        novelty = Novelty.of(every.to_numpy(), speaker=speaker, distance=distance)
        percentile = params.abstention.max_novelty_percentile
        if percentile is not None:
            values["novelty"] = distance[: len(rows)] / novelty.limit(percentile)
    reference = Reference.of(values, speaker=recorded.speaker, seed=params.seed)
    return novelty, reference
