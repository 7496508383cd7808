"""One channel of live audio through a predictor: samples in, events out."""

from __future__ import annotations

import numpy as np

from ser.core.speakers.enrolment import Voice
from ser.core.streaming.utterances import Began, Due, Ended, Step, UtteranceTracker
from ser.errors import AudioError
from ser.params.serving import StreamParams
from ser.predictor import Predictor
from ser.streaming.events import Event, UtteranceEnd, UtteranceStart
from ser.streaming.measuring import Measured
from ser.vad.detect import check_samples
from ser.vad.streaming import FRAME, StreamingDetector

#: As libsndfile scales 16 bits.
INT16_SCALE = np.float32(1 / 2**15)


class Stream:
    """Cuts live speech into utterances and measures each while it is spoken, and whole.

    Any chunks of the same samples give the same events. Nothing here waits, reads a clock or
    keeps more than the utterance that is open.

    voice : the speaker's, from `Predictor.enrol`. start : position of the first sample that is fed,
    where another stream of the session went before. Raises ParamsError as `choose_detector` does.
    """

    def __init__(
        self,
        predictor: Predictor,
        options: StreamParams,
        voice: Voice | None = None,
        start: int = 0,
    ) -> None:
        self.predictor, self.options, self.voice = predictor, options, voice
        detector = predictor.bundle.abstention.detector
        self._detector = StreamingDetector(detector=detector)
        self._tracker = UtteranceTracker(options, frame=FRAME, start=start)
        self._measured: Measured | None = None
        #: The last samples, and the position behind them.
        self._last, self._position = np.zeros(0, dtype=np.float32), start

    @property
    def is_idle(self) -> bool:
        """Whether no utterance is open."""
        return self._measured is None

    @property
    def position(self) -> int:
        """The position behind the last sample that was fed."""
        return self._position

    def feed(self, samples: np.ndarray, newest_only: bool = False) -> list[Event]:
        """Events of the next samples, float32 or int16 (n_samples,), in order.

        newest_only : of the interval results that are due, compute the last alone and count the
        others as dropped; no final is dropped. Raises AudioError, and takes nothing, where samples
        are of another type or shape, or not finite.
        """
        y = _as_float(samples)
        flags = self._detector(y)
        self._last = np.concatenate([self._last, y])
        self._position += y.size
        events = self._events(self._tracker.advance(self._position, flags), newest_only)
        if self._measured:
            self._measured.extend(self._between(self._measured.stop, self._position))
        # A coming utterance takes no more than this: a frame that is not complete, one that is,
        # and what precedes it.
        keep = self._tracker.lookback + 2 * FRAME
        self._last = self._last[-keep:]
        return events

    def close(self) -> list[Event]:
        """The end of the utterance that is open, with its final result; none: no events.

        What is fed afterwards begins another utterance.
        """
        return self._events(self._tracker.close(self._position), newest_only=False)

    def _events(self, steps: list[Step], newest_only: bool) -> list[Event]:
        newest = max((i for i, step in enumerate(steps) if isinstance(step, Due)), default=-1)
        events: list[Event] = []
        for i, step in enumerate(steps):
            if isinstance(step, Began):
                self._measured = Measured(
                    self.predictor, self.options, voice=self.voice, start=step.start
                )
                events.append(UtteranceStart(self._ms(step.start), step.start))
                continue
            measured = self._measured
            assert measured is not None
            if isinstance(step, Due) and newest_only and i != newest:
                measured.drop()
                continue
            measured.extend(self._between(measured.stop, step.stop))
            if isinstance(step, Ended):
                events += [
                    measured.whole(step),
                    UtteranceEnd(self._ms(step.stop), step.start, step.stop, step.reason),
                ]
                self._measured = None
            else:
                events.append(measured.interval(step))
        return events

    def _between(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop) of those that are kept."""
        first = self._position - self._last.size
        return self._last[start - first : stop - first]

    def _ms(self, position: int) -> int:
        return round(1000 * position / self.options.sr)


def _as_float(samples: np.ndarray) -> np.ndarray:
    """Float32 of samples; int16 as a WAV file's are read."""
    if samples.dtype == np.int16:
        y = samples.astype(np.float32) * INT16_SCALE
    elif samples.dtype == np.float32:
        # A copy: the caller may use the array again.
        y = samples.copy()
    else:
        raise AudioError(f"holds samples of type {samples.dtype}", "float32 or int16")
    check_samples(y)
    return y
