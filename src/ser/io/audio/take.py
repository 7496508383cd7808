"""What a model takes of a recording, and the answer. Light to import: other processes do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, TooLongAudio
from ser.front_end import Extracted, FrontEnd
from ser.io.audio.read import load_mono
from ser.monitoring.traffic import InputSummary, summarise
from ser.parallel import in_parallel

if TYPE_CHECKING:
    from ser.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Taken:
    """What one recording gave.

    result : features, why it is not judged, or the error that reading it raised. summary : for the
    traffic log. seconds : that reading and extracting took.
    """

    result: Abstention | Extracted | AudioError
    summary: InputSummary
    seconds: float


@dataclass(frozen=True)
class Answered:
    """prediction : or the error that reading the recording raised. latency_ms : what `Taken` took,
    and an equal share of the model's time."""

    prediction: Prediction | AudioError
    summary: InputSummary
    latency_ms: float


def take(front_end: FrontEnd, file: Path) -> Taken:
    """What a recording gives."""
    return take_samples(front_end, lambda: load_mono(file))


def take_samples(front_end: FrontEnd, load: Callable[[], tuple[np.ndarray, int]]) -> Taken:
    """What mono samples (n_samples,) and their rate give. load : raises AudioError."""
    start = time.perf_counter()
    result: Abstention | Extracted | AudioError
    summary = InputSummary()
    try:
        y, sr = load()
        result = front_end.take(y, sr=sr)
        features = result.features if isinstance(result, Extracted) else None
        summary = summarise(y, sr=sr, features=features, params=front_end.features)
    except TooLongAudio as error:
        result = Abstention("too_long", str(error))
    except AudioError as error:
        result = error
    return Taken(result, summary, time.perf_counter() - start)


def take_apart(front_end: FrontEnd, files: Sequence[Path]) -> Iterator[Taken]:
    """`take` of each file in order, in other processes that start at once."""
    return in_parallel(take, [(front_end, file) for file in files], doing=None)


def answer(
    predictor: Predictor, taken: Sequence[Taken], *, voice: Voice | None = None
) -> list[Answered]:
    """The answers to recordings of one speaker, made together."""
    start = time.perf_counter()
    fit = [one.result for one in taken if not isinstance(one.result, AudioError)]
    predictions = iter(predictor.answer(fit, voice=voice))
    answers = [
        one.result if isinstance(one.result, AudioError) else next(predictions) for one in taken
    ]
    share = (time.perf_counter() - start) / max(len(fit), 1)
    return [
        Answered(prediction, one.summary, 1000 * (one.seconds + share))
        for one, prediction in zip(taken, answers, strict=True)
    ]
