"""A model in two lines: `ser.load("models/bundle").predict("clip.wav")`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path

from ser.bundle import load_bundle, load_encoder_of
from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, ParamsError, RegistryError, TooLongAudio
from ser.io.audio.read import load_mono
from ser.predictor import Prediction, Predictor
from ser.project import project_root


class Model:
    """A bundle that answers recordings; `predictor` takes samples instead."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, file: str | PathLike[str], *, voice: Voice | None = None) -> Prediction:
        """The perceived emotion of a recording; raises AudioError where it cannot be read.

        voice : the speaker's, from `enrol`; without it the speaker is taken for an average one.
        """
        try:
            y, sr = load_mono(Path(file))
        except TooLongAudio as error:
            # The header alone says so: nothing is decoded.
            return Prediction(None, None, abstention=Abstention("too_long", str(error)))
        return self.predictor.predict(y, sr=sr, voice=voice)

    def enrol(
        self,
        files: Iterable[str | PathLike[str]],
        *,
        on_left_out: Callable[[str], object] | None = None,
    ) -> Voice:
        """The voice of a speaker from unlabelled recordings, best in various moods.

        on_left_out : is called with a sentence on each recording that shows no voice, such as one
        without speech. Raises AudioError where none is left or one cannot be read, ParamsError
        where the model was trained without voices.
        """
        if not self.predictor.bundle.knows_voices:
            raise ParamsError(
                "Found clips of a speaker, but this model knows no voices. Leave them (--enrol) "
                "out, or train with model.enrolled: true in params.yaml."
            )
        clips, left_out = [], []
        for file in files:
            y, sr = load_mono(Path(file))
            if refused := self.predictor.refuse(y, sr=sr):
                left_out.append(f"{file}: {refused.detail}")
            else:
                clips.append((y, sr))
        voice = self.predictor.enrol(clips) if clips else None
        if voice is None:
            raise AudioError(f"No recording tells of the voice. {''.join(left_out[:1])}".rstrip())
        if on_left_out:
            for reason in left_out:
                on_left_out(reason)
        return voice


def load(source: str | PathLike[str] | None = None) -> Model:
    """The model of a bundle's folder, or of a registry URI; None: the champion.

    source : such as "models/bundle", "models:/emotion-recognition/3" or
    "models:/emotion-recognition@champion"; the registry is that of the project which the current
    folder is in. Raises BundleError, RegistryError.
    """
    bundle = load_bundle(bundle_folder(source))
    return Model(Predictor(bundle, load_encoder_of(bundle)))


def bundle_folder(source: str | PathLike[str] | None) -> Path:
    """Where the files of `load`'s source lie on this machine."""
    if source is None or str(source).startswith("models:"):
        from ser.io.tracking import registry

        return registry.fetch_bundle(project_root(), None if source is None else str(source))
    if not Path(source).is_dir():
        raise RegistryError(
            f"{source} is neither a folder nor a registry URI such as "
            "models:/emotion-recognition@champion."
        )
    return Path(source)
