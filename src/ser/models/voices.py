"""How models are asked: of speakers who are known by clips of theirs, or of unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from zlib import crc32

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ser.core.speakers.adaptation import Adaptation
from ser.core.speakers.enrolment import Enrolment, Voice, rows_of
from ser.errors import BundleError
from ser.models.base import EmotionModel, Examples, Inputs

#: By how many clips a speaker may be known, where that is less than all; and how often such clips
#: are drawn of a speaker.
FEW_CLIPS, DRAWS = (0, 1, 3, 10), 10
ENROLMENT_FILE, ADAPTATION_FILE = "enrolment.safetensors", "adaptation.safetensors"


def voice_of(model: EmotionModel, inputs: Inputs) -> Voice | None:
    """The voice that speaks in all these inputs; None where the model knows no voices."""
    return voice_in(model, model.embed(inputs))


def voice_in(model: EmotionModel, embeddings: np.ndarray) -> Voice | None:
    """As `voice_of`, of the inputs' embeddings (n, d)."""
    if model.enrolment is None:
        return None
    voice = model.enrolment.voice(embeddings)
    standardised = model.enrolment.standardised(embeddings, voice)
    return replace(voice, emotions=model.own_emotions(standardised))


def posteriors(model: EmotionModel, inputs: Inputs, *, voice: Voice | None = None) -> np.ndarray:
    """Raw posteriors, (n, n_classes), of inputs of one speaker, known by `voice` or not."""
    return posteriors_in(model, model.embed(inputs), voice=voice)


def posteriors_in(
    model: EmotionModel, embeddings: np.ndarray, *, voice: Voice | None
) -> np.ndarray:
    """As `posteriors`, of the inputs' embeddings (n, d)."""
    if model.enrolment:
        embeddings = model.enrolment.standardised(embeddings, voice)
    return model.classify(embeddings, voice.emotions if voice else None)


def posteriors_by_speaker(model: EmotionModel, examples: Examples) -> np.ndarray:
    """Raw posteriors, (n, n_classes), each speaker known by all his or her examples.

    A model that knows no voices answers as for unknown speakers.
    """
    return _known_by_all(model, model.embed(examples.inputs), examples.speaker)


def posteriors_for_dev(model: EmotionModel, dev: Examples) -> np.ndarray:
    """Raw posteriors, (n_levels, n, n_classes), by how much is known of the speakers.

    Of a model that knows voices for each of `FEW_CLIPS`, other clips than the one that is
    answered, and last for all of the speaker's; of another model there is one level.
    """
    embeddings = model.embed(dev.inputs)
    few = FEW_CLIPS if model.enrolment else ()
    levels = [_known_by_few(model, embeddings, dev.speaker, clips) for clips in few]
    return np.stack([*levels, _known_by_all(model, embeddings, dev.speaker)])


def _known_by_all(model: EmotionModel, embeddings: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    result = np.empty((len(embeddings), len(model.classes)))
    for rows in rows_of(speaker).values():
        own = embeddings[rows]
        result[rows] = posteriors_in(model, own, voice=voice_in(model, own))
    return result


def _known_by_few(
    model: EmotionModel, embeddings: np.ndarray, speaker: np.ndarray, clips: int
) -> np.ndarray:
    """Raw posteriors, (n, n_classes), each speaker known by `clips` clips, drawn several times."""
    result = np.empty((len(embeddings), len(model.classes)))
    for name, rows in rows_of(speaker).items():
        # The same clips for all members of an ensemble, whoever else they answer for.
        rng = np.random.default_rng([crc32(name.encode()), clips])
        for part in np.array_split(rng.permutation(rows), min(DRAWS, len(rows))):
            known = rng.permutation(np.setdiff1d(rows, part))[:clips]
            voice = voice_in(model, embeddings[known])
            result[part] = posteriors_in(model, embeddings[part], voice=voice)
    return result


def enrolment_files(enrolment: Enrolment | None) -> dict[str, bytes]:
    """The enrolment as a file of its own; none where there is none."""
    return {} if enrolment is None else {ENROLMENT_FILE: _saved(enrolment)}


def enrolment_from(files: Mapping[str, bytes]) -> Enrolment | None:
    """Inverse of `enrolment_files`; raises BundleError."""
    arrays = _loaded(files, ENROLMENT_FILE, Enrolment)
    return Enrolment(**arrays) if arrays else None


def adaptation_files(adaptation: Adaptation | None) -> dict[str, bytes]:
    """The adaptation as a file of its own; none where there is none."""
    return {} if adaptation is None else {ADAPTATION_FILE: _saved(adaptation)}


def adaptation_from(files: Mapping[str, bytes]) -> Adaptation | None:
    """Inverse of `adaptation_files`; raises BundleError."""
    arrays = _loaded(files, ADAPTATION_FILE, Adaptation)
    if arrays is None:
        return None
    return Adaptation(arrays["temperature"].item(), arrays["axes"], arrays["means"])


def _saved(fitted: Enrolment | Adaptation) -> bytes:
    return save_arrays({name: np.ascontiguousarray(array) for name, array in vars(fitted).items()})


def _loaded(
    files: Mapping[str, bytes], name: str, kind: type[Enrolment | Adaptation]
) -> dict[str, np.ndarray] | None:
    """The arrays of that file, which are the fields of `kind`; None where there is no file."""
    if name not in files:
        return None
    expected = sorted(kind.__dataclass_fields__)
    try:
        arrays: dict[str, np.ndarray] = load_arrays(files[name])
        if sorted(arrays) != expected:
            raise KeyError(", ".join(arrays) or "nothing")
    except (KeyError, SafetensorError) as error:
        raise BundleError(
            f"{name} cannot be read ({error}); expected {', '.join(expected)}. "
            "Restore the bundle, or train the model again."
        ) from error
    return arrays
