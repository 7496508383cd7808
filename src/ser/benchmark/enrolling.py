"""How the score grows with a speaker's enrolment clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.speakers.enrolment import rows_of
from ser.core.uncertainty.calibration import held
from ser.core.utterance.tables import predictions_table
from ser.io.storage.examples import load_examples
from ser.models.voices import posteriors_in, voice_in
from ser.stages.learning import indices_of

#: Enrolment clips of any emotion; 0 is an unknown speaker.
CLIPS = (0, 1, 3, 10)
#: Enrolment clips as people have them: of calm speech.
CALM_CLIPS, CALM = 10, ("calm", "neutral")
#: How often clips are drawn for each number of them.
DRAWS = 5


def enrolment_curve(home: Path, bundle: Bundle, test: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Predictions, one per utterance, number of clips and draw, with the columns known_by (any
    emotion, or calm), clips, draw, and `covered`: whether the set holds the true emotion.

    An enrolment clip is not scored in its draw. A speaker with fewer clips than a number has no
    rows for it.
    """
    model = bundle.model
    examples = load_examples(home, model.kinds, test)
    embeddings = model.embed(examples.inputs)
    parts = []
    for place, rows in enumerate(rows_of(examples.speaker).values()):
        rng = np.random.default_rng([seed, place])
        for known_by, clips, draw, known in _draws(rows, examples.emotion[rows], rng):
            others = np.setdiff1d(rows, known)
            voice = voice_in(model, embeddings[known])
            calibration = bundle.calibrations.at(clips)
            posteriors = calibration.posteriors(
                posteriors_in(model, embeddings[others], voice=voice)
            )
            table = predictions_table(test.iloc[others], posteriors, bundle.classes)
            target = indices_of(examples.emotion[others], bundle.classes)
            covered = held(calibration.sets(posteriors), target)
            parts.append(table.assign(known_by=known_by, clips=clips, draw=draw, covered=covered))
    return pd.concat(parts, ignore_index=True)


def _draws(
    rows: np.ndarray, emotion: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[str, int, int, np.ndarray]]:
    """(kind of clips, number of them, draw, their rows) of one speaker."""
    calm = rows[np.isin(emotion, CALM)]
    kinds = [("any", clips, rows) for clips in CLIPS if clips < len(rows)]
    if CALM_CLIPS <= len(calm) < len(rows):
        kinds.append(("calm", CALM_CLIPS, calm))
    for known_by, clips, pool in kinds:
        for draw in range(DRAWS if clips else 1):
            yield known_by, clips, draw, rng.permutation(pool)[:clips]
