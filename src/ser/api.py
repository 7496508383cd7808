"""A model in two lines: `ser.load("models/bundle").predict("clip.wav")`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import cpu_count

from ser.bundle import bundle_sha256, load_bundle, load_encoder_of
from ser.core.speakers.enrolment import Voice
from ser.core.timeline.values import ModelOf, Timeline
from ser.errors import AudioError, ParamsError, RegistryError
from ser.io.audio.limits import ANY_LENGTH
from ser.io.audio.read import decode_blocks, load_mono, opened
from ser.io.audio.take import Answered, Taken, answer, take, take_apart
from ser.monitoring.traffic import Served
from ser.predictor import Prediction, Predictor
from ser.project import project_root

if TYPE_CHECKING:
    from ser.params.timeline import TimelineParams
    from ser.timeline.making import OnProgress

#: From MANY recordings on, other processes read and extract them. They take seconds to start;
#: meanwhile the FIRST are predicted here.
MANY, FIRST = 100, 31
#: Ends the error that there is no champion. `ser stress` has no option --model, but an argument.
OTHERWISE = ", or name a bundle's folder (--model FOLDER; ser stress FOLDER)"
#: At most two parts are extracted and not yet predicted; predictions are made in batches.
PART, BATCH = 48, 16


@dataclass(frozen=True)
class Found:
    """A bundle's folder on this machine; version : the registry's number, where it is of one."""

    folder: Path
    version: int | None = None


class Model:
    """A bundle that predicts recordings; its `predictor` takes samples instead."""

    def __init__(self, predictor: Predictor, found: Found) -> None:
        self.predictor, self._found = predictor, found

    @cached_property
    def served(self) -> Served:
        """Which model this is, for the traffic log."""
        return Served(bundle_sha256(self._found.folder), self._found.version)

    def predict(self, file: str | PathLike[str], *, voice: Voice | None = None) -> Prediction:
        """The perceived emotion of a recording; raises AudioError where it cannot be read.

        voice : the speaker's, from `enrol`; None: an average speaker's.
        """
        (prediction,) = self.predict_all([file], voice=voice)
        if isinstance(prediction, AudioError):
            raise prediction
        return prediction

    def predict_all(
        self, files: Sequence[str | PathLike[str]], *, voice: Voice | None = None
    ) -> Iterator[Prediction | AudioError]:
        """Predictions for many recordings of one speaker, in order, as they are made.

        A recording that cannot be read gives its error. Of many recordings all but the first are
        read and extracted in other processes; memory stays bounded.
        """
        return (one.prediction for one in self.answer_all(files, voice=voice))

    def answer_all(
        self, files: Sequence[str | PathLike[str]], *, voice: Voice | None = None
    ) -> Iterator[Answered]:
        """`predict_all`, each with the summary of its recording and the time that it took."""
        paths, front_end = [Path(file) for file in files], self.predictor.front_end
        here = FIRST if len(paths) >= MANY and cpu_count() > 1 else len(paths)
        parts = (paths[i : i + PART] for i in range(here, len(paths), PART))
        ahead = (take_apart(front_end, part) for part in parts)
        working: Iterator[Taken] | None = None
        first, size = (take(front_end, path) for path in paths[:here]), 1
        while batch := list(islice(first, size)):
            yield from answer(self.predictor, batch, voice=voice)
            size = min(2 * size, BATCH)
            # After the first prediction, which waits for no process.
            working = working or next(ahead, None)
        while working:
            # The next part is extracted while this one is predicted.
            following = next(ahead, None)
            while batch := list(islice(working, BATCH)):
                yield from answer(self.predictor, batch, voice=voice)
            working = following

    def timeline(
        self,
        file: str | PathLike[str],
        *,
        params: TimelineParams | None = None,
        processes: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Timeline:
        """Perceived emotions over a recording of any length; see `ser.timeline.making`.

        Raises AudioError where it cannot be read.
        """
        from threadpoolctl import threadpool_limits

        from ser.timeline.making import timeline_of

        path, served = Path(file), self.served
        # A second thread would be in the way of the processes that extract.
        with (
            opened(path, limits=ANY_LENGTH) as data,
            threadpool_limits(None if self.predictor.bundle.encoder else 1),
        ):
            return timeline_of(
                self.predictor,
                decode_blocks(data, limits=ANY_LENGTH),
                file=str(file),
                model=ModelOf(
                    self.predictor.bundle.model_name, served.bundle_sha256, served.version
                ),
                params=params,
                processes=processes,
                on_progress=on_progress,
            )

    def enrol(
        self,
        files: Iterable[str | PathLike[str]],
        *,
        on_left_out: Callable[[str], object] | None = None,
    ) -> Voice:
        """The voice of a speaker from unlabelled recordings, best in various moods.

        on_left_out : is called with a sentence on each recording that is left out, such as one
        without speech. Raises AudioError where none is left or one cannot be read, ParamsError
        where the model was trained without enrolment.
        """
        if not self.predictor.bundle.takes_enrolment:
            raise ParamsError(
                "Found clips of a speaker, but this model was trained without enrolment. Leave "
                "them (--enrol) out, or train with model.enrolled: true in params.yaml."
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
            first = left_out[0] if left_out else "None was given."
            raise AudioError("enrols the speaker", remedy=first, file="No recording")
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
    found = find_bundle(source)
    bundle = load_bundle(found.folder)
    return Model(Predictor(bundle, load_encoder_of(bundle)), found)


def find_bundle(source: str | PathLike[str] | None) -> Found:
    """Where the bundle of `load`'s source is on this machine; raises as `load` does."""
    if source is None or str(source).startswith("models:"):
        from ser.io.tracking.registry import bundles, versions

        root = project_root(otherwise=OTHERWISE)
        uri = None if source is None else str(source)
        version = versions.resolve(root, uri, otherwise=OTHERWISE)
        return Found(bundles.fetch_bundle(root, version), version.version)
    if not Path(source).is_dir():
        raise RegistryError(
            f"{source} is neither a folder nor a registry URI such as "
            "models:/emotion-recognition@champion."
        )
    return Found(Path(source))
