"""How models are asked: about speakers with enrolment clips, or about unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from zlib import crc32

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ser.core.speakers.adaptation import Adaptation
from ser.core.speakers.enrolment import Enrolment, Voice, rows_of
from ser.models.base import EmotionModel, Examples, Inputs, reading

#: Numbers of enrolment clips, less than all, with which dev is predicted; and how often such clips
#: are drawn of a speaker.
FEW_CLIPS, DRAWS = (0, 1, 3, 10), 10
ENROLMENT_FILE, ADAPTATION_FILE = "enrolment.safetensors", "adaptation.safetensors"


def voice_of(model: EmotionModel, inputs: Inputs) -> Voice | None:
    """The voice of the one speaker of all inputs; None where the model has no enrolment."""
    return voice_in(model, model.embed(inputs))


def voice_in(model: EmotionModel, embeddings: np.ndarray) -> Voice | None:
    """As `voice_of`, of the inputs' embeddings (n, d)."""
    if model.enrolment is None:
        return None
    voice = model.enrolment.voice(embeddings)
    standardised = model.enrolment.standardised(embeddings, voice)
    return replace(voice, emotions=model.own_emotions(standardised))


def posteriors(model: EmotionModel, inputs: Inputs, *, voice: Voice | None = None) -> np.ndarray:
    """Raw posteriors, (n, n_classes), of inputs of one speaker; voice None: an unknown one."""
    return posteriors_in(model, model.embed(inputs), voice=voice)


def posteriors_in(
    model: EmotionModel, embeddings: np.ndarray, *, voice: Voice | None
) -> np.ndarray:
    """As `posteriors`, of the inputs' embeddings (n, d)."""
    if model.enrolment:
        embeddings = model.enrolment.standardised(embeddings, voice)
    return model.classify(embeddings, voice.emotions if voice else None)


def posteriors_by_speaker(model: EmotionModel, examples: Examples) -> np.ndarray:
    """Raw posteriors, (n, n_classes), each speaker enrolled with all his or her examples.

    A model without enrolment answers as for unknown speakers.
    """
    return _enrolled_with_all(model, model.embed(examples.inputs), examples.speaker)


def posteriors_for_dev(model: EmotionModel, dev: Examples) -> np.ndarray:
    """Raw posteriors, (n_levels, n, n_classes), by the number of enrolment clips.

    Of a model with an enrolment for each of `FEW_CLIPS`, other clips than the one that is
    classified, and last for all of the speaker's; of another model there is one level.
    """
    embeddings = model.embed(dev.inputs)
    few = FEW_CLIPS if model.enrolment else ()
    levels = [_enrolled_with_few(model, embeddings, dev.speaker, clips) for clips in few]
    return np.stack([*levels, _enrolled_with_all(model, embeddings, dev.speaker)])


def _enrolled_with_all(
    model: EmotionModel, embeddings: np.ndarray, speaker: np.ndarray
) -> np.ndarray:
    result = np.empty((len(embeddings), len(model.classes)))
    for rows in rows_of(speaker).values():
        own = embeddings[rows]
        result[rows] = posteriors_in(model, own, voice=voice_in(model, own))
    return result


def _enrolled_with_few(
    model: EmotionModel, embeddings: np.ndarray, speaker: np.ndarray, clips: int
) -> np.ndarray:
    """Raw posteriors, (n, n_classes), each speaker with `clips` clips, drawn several times."""
    result = np.empty((len(embeddings), len(model.classes)))
    for name, rows in rows_of(speaker).items():
        # The same clips for all members of an ensemble, whatever other speakers they have.
        rng = np.random.default_rng([crc32(name.encode()), clips])
        for part in np.array_split(rng.permutation(rows), min(DRAWS, len(rows))):
            known = rng.permutation(np.setdiff1d(rows, part))[:clips]
            voice = voice_in(model, embeddings[known])
            result[part] = posteriors_in(model, embeddings[part], voice=voice)
    return result


def voice_files(
    enrolment: Enrolment | None, adaptation: Adaptation | None = None
) -> dict[str, bytes]:
    """Each as a file of its own; none for None."""
    parts = {ENROLMENT_FILE: enrolment, ADAPTATION_FILE: adaptation}
    return {
        name: save_arrays({key: np.ascontiguousarray(a) for key, a in vars(part).items()})
        for name, part in parts.items()
        if part is not None
    }


def enrolment_from(files: Mapping[str, bytes]) -> Enrolment | None:
    """Inverse of `voice_files`; raises BundleError."""
    with reading(ENROLMENT_FILE):
        content = files.get(ENROLMENT_FILE)
        return None if content is None else Enrolment(**load_arrays(content))


def adaptation_from(files: Mapping[str, bytes]) -> Adaptation | None:
    """Inverse of `voice_files`; raises BundleError."""
    with reading(ADAPTATION_FILE):
        content = files.get(ADAPTATION_FILE)
        if content is None:
            return None
        arrays = load_arrays(content)
        return Adaptation(arrays["temperature"].item(), arrays["axes"], arrays["means"])
