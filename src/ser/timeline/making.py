"""A timeline of a recording of any length, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ser.core.timeline.change import change_of
from ser.core.timeline.segments import total_seconds
from ser.core.timeline.turns import Windows, smoothed_windows, turns_of
from ser.core.timeline.values import ChannelTimeline, ModelOf, Timeline, names_of_channels
from ser.core.timeline.windows import Window
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError
from ser.front_end import Extracted, FrontEnd
from ser.parallel import in_parallel
from ser.params.timeline import TimelineParams
from ser.predictor import Prediction, Predictor
from ser.streaming.extraction import extraction_for
from ser.streaming.measuring import unfit
from ser.timeline.listening import Heard, Listener, Work
from ser.timeline.samples import source_of
from ser.vad.streaming import SR

#: Seconds of windows that are extracted together, and windows whose posteriors are made together.
#: A recording of one part is not worth other processes, which take a second to start.
PART_SECONDS, BATCH = 300.0, 32
#: Reasons by which a window has no say in the smoothing: the model cannot judge it.
UNTRUSTED = ("out_of_domain",)

#: Is called with the seconds that are read so far.
OnProgress = Callable[[float], object]


@dataclass(frozen=True)
class Measured:
    """A window with what the model answers to it."""

    speech: int
    window: Window
    prediction: Prediction


def timeline_of(
    predictor: Predictor,
    decoded: Iterable[tuple[np.ndarray, int]],
    *,
    file: str,
    model: ModelOf,
    params: TimelineParams | None = None,
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> Timeline:
    """The timeline of a recording.

    decoded : blocks (n_samples, n_channels) of any sizes, each with the rate. file : its name.
    processes : that extract features of a long recording; 1: this one does; None: one for each
    core. Neither the sizes of blocks nor the number of processes changes the result.
    Raises AudioError as `source_of` does.
    """
    params = params or TimelineParams()
    front_end, classes = predictor.front_end, predictor.bundle.classes
    reading = Reading(decoded, front_end, params, on_progress)
    measured: list[list[Measured]] = [[] for _ in reading.listeners]
    for heard, extracted in _extracted(front_end, reading.parts(), processes):
        for channel, one in _answered(predictor, heard, extracted):
            measured[channel].append(one)
    return put_together(reading, measured, classes=classes, file=file, model=model)


class Reading:
    """Reads a recording through a listener for each channel; `seconds` have come so far."""

    def __init__(
        self,
        decoded: Iterable[tuple[np.ndarray, int]],
        front_end: FrontEnd,
        params: TimelineParams,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.source = source_of(decoded, channels=params.channels)
        self.front_end, self.params = front_end, params
        self.listeners = [
            Listener(number, front_end, params, sr=self.source.sr)
            for number in range(self.source.n_channels)
        ]
        self._on_progress = on_progress
        self._samples = 0

    @property
    def seconds(self) -> float:
        return self._samples / self.source.sr

    def parts(self) -> Iterator[list[Heard]]:
        """Pieces of speech, `PART_SECONDS` together."""
        part: list[Heard] = []
        for heard in self.heard():
            part.append(heard)
            if sum(one.seconds for one in part) >= PART_SECONDS:
                yield part
                part = []
        if part:
            yield part

    def heard(self) -> Iterator[Heard]:
        """Pieces of speech, in the order in which they are complete."""
        for step in self.steps():
            yield from step

    def steps(self) -> Iterator[list[Heard]]:
        """What each block, of about a second, completes; and at last the end."""
        for block in self.source.blocks:
            heard = [
                one
                for listener, y in zip(self.listeners, block.T, strict=True)
                for one in listener.feed(np.ascontiguousarray(y))
            ]
            self._samples += len(block)
            if self._on_progress:
                self._on_progress(self.seconds)
            yield heard
        yield [one for listener in self.listeners for one in listener.close()]


Results = Iterator[list[Extracted | AudioError]]


def _extracted(
    front_end: FrontEnd, parts: Iterator[list[Heard]], processes: int | None
) -> Iterator[tuple[list[Heard], Results]]:
    """Each part with what is extracted of its pieces, in order; the next one is under way then."""
    first = next(parts, None)
    following = next(parts, None)
    if first is None:
        return
    apart = following is not None and processes != 1

    def begin(part: list[Heard]) -> Results:
        work = [(front_end, one.work) for one in part]
        if apart:
            return in_parallel(extract_all, work, doing=None, processes=processes)
        return (extract_all(*own) for own in work)

    part, working = first, begin(first)
    while following:
        coming = begin(following)
        yield part, working
        part, working = following, coming
        following = next(parts, None)
    yield part, working


def extract_all(front_end: FrontEnd, work: Work) -> list[Extracted | AudioError]:
    """Features of each window, or why there are none; frames of several windows are read once."""
    if not work.windows:
        return []
    extraction = extraction_for(front_end, sr=work.sr)
    extraction.extend(np.frombuffer(work.samples, np.float32))
    results: list[Extracted | AudioError] = []
    for start, stop in work.windows:
        try:
            results.append(extraction.extract(start, stop))
        except AudioError as error:
            results.append(error)
    return results


def _answered(
    predictor: Predictor, part: list[Heard], results: Results
) -> Iterator[tuple[int, Measured]]:
    """(channel, answer) of each window of a part."""
    waiting = _windows(part, results)
    while batch := list(islice(waiting, BATCH)):
        fit = [one for _, _, _, one in batch if not isinstance(one, Prediction)]
        predictions = iter(predictor.answer(fit))
        for channel, speech, window, one in batch:
            answer = one if isinstance(one, Prediction) else next(predictions)
            yield channel, Measured(speech, window, answer)


def _windows(
    part: list[Heard], results: Results
) -> Iterator[tuple[int, int, Window, Abstention | Extracted | Prediction]]:
    for heard, extracted in zip(part, results, strict=True):
        coming = iter(extracted)
        for window, refused in zip(heard.piece.windows, heard.refused, strict=True):
            one = refused or next(coming)
            fit = unfit(one) if isinstance(one, AudioError) else one
            yield heard.channel, heard.piece.speech, window, fit


def put_together(
    reading: Reading,
    measured: Sequence[Sequence[Measured]],
    *,
    classes: Sequence[str],
    file: str,
    model: ModelOf,
) -> Timeline:
    """The timeline of a recording that is read to its end.

    measured : of each channel the windows of its pieces, in order, with their answers.
    """
    source, params = reading.source, reading.params
    names = ("mix",) if source.is_mix else names_of_channels(source.n_channels)
    return Timeline(
        file,
        reading.seconds,
        source.sr,
        model,
        tuple(classes),
        params.window_seconds,
        params.hop_seconds,
        tuple(
            _channel(number, name, reading, measured[number], classes)
            for number, name in enumerate(names)
        ),
    )


def _channel(
    number: int, name: str, reading: Reading, measured: Sequence[Measured], classes: Sequence[str]
) -> ChannelTimeline:
    listener, abstention = reading.listeners[number], reading.front_end.abstention
    windows = smoothed_windows(_table(measured, len(classes)), reading.params)
    speech = tuple(listener.speech)
    turns = turns_of(windows, speech, classes=classes, abstention=abstention)
    seconds = float(total_seconds(speech))
    change = change_of(turns, windows, speech_seconds=seconds, classes=classes)
    return ChannelTimeline(number, name, listener.envelope.pairs(), speech, windows, turns, change)


def _table(measured: Sequence[Measured], n_classes: int) -> Windows:
    n = len(measured)
    posteriors = np.full((n, n_classes), np.nan)
    abstentions: list[Abstention | None] = []
    for row, one in zip(posteriors, measured, strict=True):
        refused = one.prediction.abstention
        if one.prediction.posteriors and not (refused and refused.reason in UNTRUSTED):
            row[:] = list(one.prediction.posteriors.values())
        # Whether a posterior is high enough is decided when it is smoothed.
        abstentions.append(None if refused and refused.reason == "unsure" else refused)
    return Windows(
        np.array([one.speech for one in measured], dtype=int),
        np.array([one.window.start for one in measured], dtype=float) / SR,
        np.array([one.window.stop for one in measured], dtype=float) / SR,
        posteriors,
        tuple(abstentions),
    )
