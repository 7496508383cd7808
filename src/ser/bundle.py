"""A directory that is a model: weights, feature parameters, classes, calibration and receipts.

`bundle.json` holds everything but the weights; the weights are safetensors or skops files
beside it. A pickle is never written and never read. The same training gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ser.core.drift.reference import Reference
from ser.core.speakers.enrolment import Voice, rows_of
from ser.core.uncertainty.calibration import COLDEST, HOTTEST, Calibration, Calibrations
from ser.core.uncertainty.novelty import Novelty
from ser.core.utterance.emotions import EMOTIONS
from ser.errors import BundleError
from ser.files import atomic_path
from ser.models.base import EmotionModel, Examples, Inputs
from ser.models.build import model_from_files
from ser.models.encoders.reference import EncoderReference
from ser.models.voices import posteriors, posteriors_by_speaker
from ser.params import AbstentionParams, FeatureParams

if TYPE_CHECKING:
    from ser.models.encoders.encoder import SpeechEncoder

T = TypeVar("T")
FORMAT = 2
CARD_FILE = "bundle.json"
NOVELTY_FILE = "novelty.safetensors"
REFERENCE_FILE = "reference.safetensors"


class _Part(BaseModel):
    """A part of `bundle.json`: finite numbers, and nothing beyond what is declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _CalibrationPart(_Part):
    # The range of `fit_temperature`, with room for its tolerance.
    temperature: float = Field(ge=COLDEST / 2, le=HOTTEST * 2)
    coverage: float | None = Field(gt=0, lt=1)
    threshold: float = Field(ge=0, le=1)


class _CalibrationsPart(_Part):
    clips: tuple[NonNegativeInt, ...] = Field(min_length=1)
    each: tuple[_CalibrationPart, ...]

    @model_validator(mode="after")
    def _one_for_each_number_of_clips(self) -> Self:
        if len(self.clips) != len(self.each) or list(self.clips) != sorted(set(self.clips)):
            raise ValueError("clips must ascend, with one calibration each")
        return self

    def value(self) -> Calibrations:
        return Calibrations(self.clips, tuple(Calibration(**dict(own)) for own in self.each))


class Head(_Part):
    """All of `bundle.json`."""

    format: int
    model: str
    classes: tuple[str, ...] = Field(min_length=1)
    features: FeatureParams
    calibrations: _CalibrationsPart
    abstention: AbstentionParams
    encoder: EncoderReference | None
    card: dict[str, Any] = {}

    @field_validator("features", mode="before")
    @classmethod
    def _as_trained(cls, features: dict[str, Any]) -> dict[str, Any]:
        """What the features of a former release lack was off."""
        return {"trim_noise_db": None, "noise_floor_db": None, **features}

    @field_validator("classes")
    @classmethod
    def _canonical(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if classes != tuple(emotion for emotion in EMOTIONS if emotion in classes):
            raise ValueError("classes must be canonical emotions, each once, in their order")
        return classes


@dataclass(frozen=True)
class Bundle:
    """A fitted model with all that inference needs.

    calibrations : of the model's raw posteriors, fitted on speakers it was not trained on.
    abstention : when no emotion is predicted. novelty : of functionals, against those trained on;
        None where there were too few speakers.
    reference : figures of the training utterances, which later recordings are compared with; None
        in bundles of former releases.
    card : receipts, no numbers that inference uses: corpora, protocol, hashes, speakers that were
        trained on, scores on dev.
    """

    model_name: str
    model: EmotionModel
    features: FeatureParams
    calibrations: Calibrations = field(default_factory=Calibrations)
    abstention: AbstentionParams = field(default_factory=AbstentionParams)
    novelty: Novelty | None = None
    reference: Reference | None = None
    encoder: EncoderReference | None = None
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.classes

    @property
    def takes_layers(self) -> bool:
        """Whether the model takes the layers of an encoder, which is no part of the bundle."""
        return self.encoder is not None and "layers" in self.model.kinds

    @property
    def takes_enrolment(self) -> bool:
        """Whether predictions depend on enrolment clips of the speaker."""
        return self.model.enrolment is not None

    def posteriors(self, inputs: Inputs, *, voice: Voice | None = None) -> np.ndarray:
        """Calibrated posteriors, (n, n_classes), of inputs of one speaker, enrolled or not."""
        raw = posteriors(self.model, inputs, voice=voice)
        return _finite(self.calibration_of(voice).posteriors(raw))

    def posteriors_by_speaker(self, examples: Examples) -> np.ndarray:
        """Calibrated posteriors, (n, n_classes), each speaker enrolled by all own examples."""
        result = posteriors_by_speaker(self.model, examples)
        for rows in rows_of(examples.speaker).values():
            result[rows] = self.calibrations.at(len(rows)).posteriors(result[rows])
        return _finite(result)

    def sets_by_speaker(self, posteriors: np.ndarray, *, speaker: np.ndarray) -> np.ndarray:
        """Emotions in each prediction set, bool (n, n_classes), of `posteriors_by_speaker`."""
        result = np.empty(posteriors.shape, dtype=bool)
        for rows in rows_of(speaker).values():
            result[rows] = self.calibrations.at(len(rows)).sets(posteriors[rows])
        return result

    def calibration_of(self, voice: Voice | None) -> Calibration:
        """The calibration for a speaker enrolled by `voice`, or for an unknown one."""
        return self.calibrations.at(voice.clips if voice else 0)


def save_bundle(bundle: Bundle, directory: Path) -> None:
    """Write the bundle; `directory` is replaced whole or not at all."""
    head = {
        "format": FORMAT,
        "model": bundle.model_name,
        "classes": list(bundle.classes),
        "features": bundle.features.model_dump(),
        "calibrations": asdict(bundle.calibrations),
        "abstention": bundle.abstention.model_dump(),
        "encoder": asdict(bundle.encoder) if bundle.encoder else None,
        "card": bundle.card,
    }
    files = bundle.model.to_files()
    if bundle.novelty is not None:
        files[NOVELTY_FILE] = save_arrays(bundle.novelty.to_arrays())
    if bundle.reference is not None:
        files[REFERENCE_FILE] = save_arrays(bundle.reference.to_arrays())
    with atomic_path(directory) as temporary:
        temporary.mkdir()
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / CARD_FILE).write_text(
            json.dumps(head, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def load_bundle(directory: Path) -> Bundle:
    """Read a bundle; raises BundleError where it is not one, is damaged or not trusted."""
    head = read_head(directory)
    files = {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.name != CARD_FILE and path.is_file()
    }
    novelty = _part(files, NOVELTY_FILE, Novelty.from_arrays)
    reference = _part(files, REFERENCE_FILE, Reference.from_arrays)
    try:
        model = model_from_files(head.model, files)
    except (KeyError, TypeError, ValidationError) as error:
        raise BundleError(
            f"{directory}: the weights are not those of a model of this release "
            f"({str(error).splitlines()[0]}). Train again, or use the release that wrote them."
        ) from error
    if model.classes != head.classes:
        raise BundleError(
            f"{directory}: weights are for {', '.join(model.classes)} but {CARD_FILE} names "
            f"{', '.join(head.classes)}. Take the bundle from its registry again."
        )
    return Bundle(
        head.model,
        model,
        head.features,
        calibrations=head.calibrations.value(),
        abstention=head.abstention,
        novelty=novelty,
        reference=reference,
        encoder=head.encoder,
        card=head.card,
    )


def load_reference(directory: Path) -> Reference | None:
    """The reference of a bundle alone; None where a former release wrote it."""
    path = directory / REFERENCE_FILE
    files = {path.name: path.read_bytes()} if path.is_file() else {}
    return _part(files, REFERENCE_FILE, Reference.from_arrays)


def _part(
    files: dict[str, bytes], name: str, read: Callable[[Mapping[str, np.ndarray]], T]
) -> T | None:
    """What is read of the arrays of a file, which is taken out of `files`; None without it."""
    if name not in files:
        return None
    try:
        return read(load_arrays(files.pop(name)))
    except SafetensorError as error:
        raise BundleError(
            f"{name} cannot be read ({error}). Take the bundle from its registry again."
        ) from error


def load_encoder_of(bundle: Bundle) -> SpeechEncoder | None:
    """The encoder that the bundle names, from this machine; None where its model takes none.

    Raises EncoderError where it is not here, or is another one than the model was trained on.
    """
    if not bundle.takes_layers:
        return None
    from ser.models.encoders.loading import load_referenced

    assert bundle.encoder is not None
    return load_referenced(bundle.encoder)


def _finite(posteriors: np.ndarray) -> np.ndarray:
    if not np.isfinite(posteriors).all():
        raise BundleError(
            "The model's posteriors are not finite: its weights are damaged. Take the bundle from "
            "its registry again."
        )
    return posteriors


def read_head(directory: Path) -> Head:
    """`bundle.json`, checked; raises BundleError."""
    path = directory / CARD_FILE
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(
            f"{directory} is not a model: it has no {CARD_FILE}. Name a folder that `train` wrote."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            f"{path} is not JSON; take the bundle from its registry again."
        ) from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        found = head.get("format") if isinstance(head, dict) else None
        raise BundleError(f"{path} has format {found!r}; this release reads {FORMAT}. Train again.")
    if isinstance(head.get("features"), dict):
        # Older bundles have neither the high-pass filter nor the floor of contrast.
        head["features"] = {"high_pass_hz": None, "contrast_top_db": None, **head["features"]}
    try:
        return Head.model_validate(head)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise BundleError(
            f"{path} does not describe a model of this release: {key} is {problem['input']!r:.80} "
            f"({problem['msg']}). Take the bundle from its registry again, or train again."
        ) from error


def bundle_sha256(directory: Path) -> str:
    """Hash over the names and bytes of the bundle's files."""
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        digest.update(path.name.encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
