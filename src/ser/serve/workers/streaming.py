"""One live stream within a worker: audio that waits, and what becomes of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ser.core.speakers.enrolment import Voice
from ser.monitoring.traffic import Served
from ser.params.serving import StreamParams
from ser.predictor import Predictor
from ser.serve.workers.rows import portable_answer, portable_row
from ser.streaming.events import Event, Measurement, UtteranceEnd, UtteranceStart
from ser.streaming.stream import Stream

NAMES = {
    UtteranceStart: "utterance.start",
    Measurement: "measurement.result",
    UtteranceEnd: "utterance.end",
}


class Live:
    """A `Stream` with its queue.

    header : of the message `open`: options, `start` (samples of the session before this stream).
    """

    def __init__(
        self, predictor: Predictor, served: Served, header: dict[str, Any], voice: Voice | None
    ) -> None:
        self.served = served
        options = StreamParams.model_validate(header["options"])
        self.stream = Stream(predictor, options, voice, start=header.get("start", 0))
        self.hop = round(options.hop_seconds * options.sr)
        self.waiting: list[bytes | bytearray] = []
        self.closing = self.releasing = self.has_turn = False

    def take(self, op: str, payload: bytearray) -> bool:
        """Note a message; whether the stream needs a turn that it has not got yet."""
        had_turn, self.has_turn = self.has_turn, True
        if op == "audio":
            self.waiting.append(payload)
        elif op == "close":
            self.closing = True
        elif op == "release":
            self.releasing = True
        return not had_turn

    def go_on(self) -> dict[str, Any]:
        """Work on all audio that waits; `ended` says that the stream is over here, and why."""
        self.has_turn = False
        samples = np.frombuffer(b"".join(self.waiting), "<i2")
        self.waiting.clear()
        # Where it lags, partial results of older hops are left out; the final is not.
        events = self.stream.feed(samples, newest_only=samples.size >= 2 * self.hop)
        answer: dict[str, Any] = {"taken": samples.size}
        if self.closing:
            events += self.stream.close()
            answer["ended"] = "closed"
        elif self.releasing and self.stream.is_idle:
            answer["ended"] = "released"
        answer["events"] = list(map(self._as_json, events))
        return answer

    def _as_json(self, event: Event) -> dict[str, Any]:
        found = {"type": NAMES[type(event)], **asdict(event)}
        if isinstance(event, Measurement):
            found["prediction"] = portable_answer(event.prediction)
            if event.summary is not None:
                found["row"] = portable_row(event.prediction, event.summary, self.served, "stream")
        return found
