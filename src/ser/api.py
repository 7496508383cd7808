"""A model in two lines: `ser.load("models/bundle").predict("clip.wav")`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path

from joblib import cpu_count
from threadpoolctl import threadpool_limits

from ser.bundle import load_bundle, load_encoder_of
from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, ParamsError, RegistryError, TooLongAudio
from ser.front_end import Extracted, FrontEnd
from ser.io.audio.read import load_mono
from ser.parallel import in_parallel
from ser.predictor import Prediction, Predictor
from ser.project import project_root

#: From so many recordings on, processes read and extract them; so many are answered meanwhile.
MANY, FIRST = 64, 16
#: Recordings that are extracted and not yet answered are at most two parts; answered in batches.
PART, BATCH = 128, 16


class Model:
    """A bundle that answers recordings; `predictor` takes samples instead."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, file: str | PathLike[str], *, voice: Voice | None = None) -> Prediction:
        """The perceived emotion of a recording; raises AudioError where it cannot be read.

        voice : the speaker's, from `enrol`; without it the speaker is taken for an average one.
        """
        return self.predictor.answer([take(self.predictor.front_end, Path(file))], voice=voice)[0]

    def predict_all(
        self, files: Sequence[str | PathLike[str]], *, voice: Voice | None = None
    ) -> Iterator[Prediction | AudioError]:
        """Predictions of many recordings of one speaker, known or not, in order, as they are made.

        A recording that cannot be read is answered by its error. Of many, the first are answered
        here while processes start that read and extract the others; memory stays bounded.
        """
        paths, front_end = [Path(file) for file in files], self.predictor.front_end
        here = FIRST if len(paths) >= MANY and cpu_count() > 1 else len(paths)
        parts = [paths[i : i + PART] for i in range(here, len(paths), PART)]
        working = _taken_apart(front_end, parts[0]) if parts else iter(())
        for path in paths[:here]:
            yield from self._answers([_taken(front_end, path)], voice)
        # Torch's own threads would only be in the processes' way.
        with threadpool_limits(1 if parts else None):
            for following in [*parts[1:], []]:
                # The next part is extracted while this one is answered.
                ahead = _taken_apart(front_end, following) if following else iter(())
                while batch := list(islice(working, BATCH)):
                    yield from self._answers(batch, voice)
                working = ahead

    def _answers(
        self, taken: Sequence[Abstention | Extracted | AudioError], voice: Voice | None
    ) -> Iterator[Prediction | AudioError]:
        fit = [one for one in taken if not isinstance(one, AudioError)]
        answers = iter(self.predictor.answer(fit, voice=voice))
        return (one if isinstance(one, AudioError) else next(answers) for one in taken)

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


def take(front_end: FrontEnd, file: Path) -> Abstention | Extracted:
    """What the model takes of a recording, or why it is no speech; raises AudioError."""
    try:
        y, sr = load_mono(file)
    except TooLongAudio as error:
        # The header alone says so: nothing is decoded.
        return Abstention("too_long", str(error))
    return front_end.take(y, sr=sr)


def _taken(front_end: FrontEnd, file: Path) -> Abstention | Extracted | AudioError:
    try:
        return take(front_end, file)
    except AudioError as error:
        return error


def _taken_apart(
    front_end: FrontEnd, files: Sequence[Path]
) -> Iterator[Abstention | Extracted | AudioError]:
    return in_parallel(_taken, [(front_end, file) for file in files], doing=None)


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
