"""How models are asked: of speakers who are known by clips of theirs, or of unknown ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ser.core.enrolment import Enrolment, Voice
from ser.errors import BundleError
from ser.models.base import EmotionModel, Examples, Inputs

ENROLMENT_FILE = "enrolment.safetensors"


def voice_of(model: EmotionModel, inputs: Inputs) -> Voice | None:
    """The voice that speaks in all these inputs; None where the model knows no voices."""
    return model.enrolment.voice(model.embed(inputs)) if model.enrolment else None


def posteriors(model: EmotionModel, inputs: Inputs, *, voice: Voice | None = None) -> np.ndarray:
    """Raw posteriors, (n, n_classes), of inputs of one speaker, known by `voice` or not."""
    embeddings = model.embed(inputs)
    if model.enrolment:
        embeddings = model.enrolment.standardised(embeddings, voice)
    return model.classify(embeddings)


def posteriors_by_speaker(model: EmotionModel, examples: Examples) -> np.ndarray:
    """Raw posteriors, (n, n_classes), each speaker known by all his or her examples.

    A model that knows no voices answers as for unknown speakers.
    """
    embeddings = model.embed(examples.inputs)
    if model.enrolment:
        embeddings = model.enrolment.by_speaker(embeddings, speaker=examples.speaker)
    return model.classify(embeddings)


def enrolment_files(enrolment: Enrolment | None) -> dict[str, bytes]:
    """The enrolment as a file of its own; none where there is none."""
    if enrolment is None:
        return {}
    arrays = {name: np.ascontiguousarray(array) for name, array in vars(enrolment).items()}
    return {ENROLMENT_FILE: save_arrays(arrays)}


def enrolment_from(files: Mapping[str, bytes]) -> Enrolment | None:
    """Inverse of `enrolment_files`; raises BundleError."""
    if ENROLMENT_FILE not in files:
        return None
    try:
        return Enrolment(**load_arrays(files[ENROLMENT_FILE]))
    except (SafetensorError, TypeError) as error:
        raise BundleError(
            f"{ENROLMENT_FILE} cannot be read ({error}); expected a mean, a scale and a prior. "
            "Restore the bundle, or train the model again."
        ) from error
