"""How the score grows with the number of clips by which a speaker is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.enrolment import rows_of
from ser.errors import StageError
from ser.models.voices import posteriors_in, voice_in
from ser.stages.learning import load_examples

#: Enrolment clips; 0 is an unknown speaker.
CLIPS = (0, 1, 3, 10)
#: How often clips are drawn for each number of them.
DRAWS = 5


def enrolment_curve(home: Path, bundle: Bundle, test: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """One row per utterance, number of clips and draw: emotion, predicted, speaker.

    A clip that a speaker was known by is not scored in that draw.
    """
    model = bundle.model
    if not bundle.knows_voices:
        raise StageError(f"{bundle.model_name} knows no voices; train with model.enrolled.")
    examples = load_examples(home, model.kinds, test)
    embeddings = model.embed(examples.inputs)
    parts = []
    for place, (speaker, rows) in enumerate(rows_of(examples.speaker).items()):
        rng = np.random.default_rng([seed, place])
        for clips in (n for n in CLIPS if n < len(rows)):
            for draw in range(DRAWS if clips else 1):
                known = rng.permutation(rows)[:clips]
                others = np.setdiff1d(rows, known)
                voice = voice_in(model, embeddings[known])
                raw = posteriors_in(model, embeddings[others], voice=voice)
                parts.append(
                    pd.DataFrame(
                        {
                            "speaker": speaker,
                            "clips": clips,
                            "draw": draw,
                            "emotion": examples.emotion[others],
                            "predicted": np.asarray(bundle.classes)[raw.argmax(axis=1)],
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)
