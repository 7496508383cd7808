"""The process that predicts: one thread, one model, recordings and live streams by turns."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ser.bundle import load_bundle, load_encoder_of
from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, SerError
from ser.front_end import Extracted
from ser.io.audio.read import decode
from ser.monitoring.traffic import InputSummary, Served, summarise
from ser.predictor import Predictor
from ser.serve.timelines.measuring import Measuring
from ser.serve.voices import voice_from_bytes, voice_to_bytes
from ser.serve.workers.errors import INTERNAL, described
from ser.serve.workers.job import DEPTH, Job
from ser.serve.workers.rows import portable_answer, portable_row
from ser.serve.workers.streaming import Live
from ser.serve.workers.wire import Gone, Header, WorkerWire

#: Below the server's own priority: it refuses, and answers health checks, however busy this is.
NICENESS = 5
#: Most seconds of one recording that libraries are warmed up with.
WARM_SECONDS = 3.0

Message = tuple[Header, bytearray]


def main(sock: socket.socket, job: Job) -> None:
    """Serve a bundle until the server ends; the first message says that it is warm, or why not."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # It ends with the server, which has requests to finish.
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    wire = WorkerWire(sock)
    with suppress(Gone), threadpool_limits(1):
        try:
            bundle = load_bundle(job.bundle)
            predictor = Predictor(bundle, load_encoder_of(bundle))
            warm(predictor)
        except SerError as error:
            wire.send({"failed": str(error)})
            return
        wire.send(
            {
                "architecture": bundle.model_name,
                "classes": bundle.classes,
                "takes_enrolment": bundle.takes_enrolment,
                "card": bundle.card,
            }
        )
        Worker(wire, predictor, job).run()


def warm(predictor: Predictor) -> None:
    """Predict what sounds like a voice, so that no client waits for libraries to get ready."""
    sr = 16_000
    t = np.arange(int(WARM_SECONDS * sr)) / sr
    phase = np.cumsum(2 * np.pi * (150 + 30 * np.sin(2 * np.pi * 3 * t)) / sr)
    y = 0.1 * np.sign(np.sin(phase)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    predictor.posteriors(y.astype(np.float32), sr=sr)
    predictor.predict(y.astype(np.float32), sr=sr)


class Worker:
    """Takes messages as they come and answers in their order: a stream's audio in one go."""

    def __init__(self, wire: WorkerWire, predictor: Predictor, job: Job) -> None:
        self.wire, self.predictor, self.limits = wire, predictor, job.limits
        self.served = Served(job.bundle_sha256, job.version)
        self.requests: deque[Message] = deque()
        self.live: dict[str, Live] = {}
        #: Parts of timelines.
        self.measuring: deque[Measuring] = deque()
        #: Streams with audio that waits, "" for each request that waits, None for each part of a
        #: timeline: it is worked on for a moment, and then waits for its next turn.
        self.turns: deque[str | None] = deque()

    def run(self) -> None:
        """Until the server ends: raises Gone."""
        while True:
            while not self.turns or self.wire.has_message():
                self._take(*self.wire.receive())
            turn = self.turns.popleft()
            if turn is None:
                self._measure()
            elif turn:
                self._go_on(turn)
            elif self.requests:
                self._answer_requests()

    def _take(self, header: Header, payload: bytearray) -> None:
        if header["op"] in ("predict", "enrol"):
            self.requests.append((header, payload))
            self.turns.append("")
            return
        if header["op"] == "measure":
            self.measuring.append(Measuring(self.predictor, header, payload))
            self.turns.append(None)
            return
        key = header["id"]
        if header["op"] == "open":
            try:
                self.live[key] = Live(self.predictor, self.served, header, _voice(header, payload))
            except Exception as error:
                self.wire.send({"id": key, "error": _of_any(error), "ended": "error"})
        elif key in self.live and self.live[key].take(header["op"], payload):
            self.turns.append(key)

    def _go_on(self, key: str) -> None:
        live = self.live.get(key)
        if live is None:
            return
        try:
            answer = live.go_on()
        except Exception as error:
            answer = {"error": _of_any(error), "ended": "error"}
        if answer.get("ended"):
            del self.live[key]
        self.wire.send({"id": key, **answer})

    def _measure(self) -> None:
        own = self.measuring.popleft()
        try:
            answers = own.go_on()
        except Exception as error:
            self.wire.send({"id": own.id, "error": _of_any(error)})
            return
        if answers is not None:
            self.wire.send({"id": own.id, "answers": answers})
            return
        self.measuring.append(own)
        self.turns.append(None)

    def _answer_requests(self) -> None:
        if self.requests[0][0]["op"] == "enrol":
            header, payload = self.requests.popleft()
            self._enrol(header, payload)
            return
        batch: list[Message] = []
        while self.requests and len(batch) < DEPTH and self.requests[0][0]["op"] == "predict":
            # Of one voice alone: predictions are made together.
            if batch and (batch[0][0].get("voice") or self.requests[0][0].get("voice")):
                break
            batch.append(self.requests.popleft())
        for answer in self._predict(batch):
            self.wire.send(answer)

    def _predict(self, batch: list[Message]) -> list[Header]:
        answers: list[Header] = []
        taken: list[Abstention | Extracted] = []
        summaries: list[InputSummary] = []
        for header, payload in batch:
            answer: Header = {"id": header["id"]}
            answers.append(answer)
            try:
                began = time.perf_counter()
                y, sr = self._samples(header, payload)
                decoded = time.perf_counter()
                own = self.predictor.front_end.take(y, sr=sr)
                extracted = time.perf_counter()
                summary = self._summary(y, sr, own)
            except Exception as error:
                answer["error"] = _of_any(error)
                continue
            taken.append(own)
            summaries.append(summary)
            answer["audio"] = {"seconds": round(y.size / sr, 3), "sr": sr}
            answer["ms"] = {
                "decode": _ms(decoded - began),
                "features": _ms(extracted - decoded),
            }
        began = time.perf_counter()
        fit = [answer for answer in answers if "error" not in answer]
        try:
            predictions = self.predictor.answer(taken, voice=_voice(*batch[0]))
        except Exception as error:
            for answer in fit:
                answer["error"] = _of_any(error)
            return answers
        share = _ms((time.perf_counter() - began) / max(1, len(fit)))
        for answer, prediction, summary in zip(fit, predictions, summaries, strict=True):
            answer["answer"] = portable_answer(prediction)
            answer["row"] = portable_row(prediction, summary, self.served, "rest")
            answer["ms"]["model"] = share
        return answers

    def _summary(self, y: np.ndarray, sr: int, taken: Abstention | Extracted) -> InputSummary:
        features = taken.features if isinstance(taken, Extracted) else None
        return summarise(y, sr=sr, features=features, params=self.predictor.front_end.features)

    def _samples(self, header: Header, payload: bytearray) -> tuple[np.ndarray, int]:
        audio = memoryview(payload)[: len(payload) - header.get("voice", 0)]
        if header["kind"] == "file":
            recording = decode(bytes(audio), limits=self.limits)
            return recording.y, recording.sr
        return np.frombuffer(audio, np.float32), header["sr"]

    def _enrol(self, header: Header, payload: bytearray) -> None:
        clips, at, left_out = [], 0, []
        try:
            for number, (sr, size) in enumerate(header["clips"], start=1):
                y = np.frombuffer(memoryview(payload)[at : at + size], np.float32)
                at += size
                refused = self.predictor.refuse(y, sr=sr)
                if refused:
                    left_out.append(f"Clip {number}: {refused.detail}")
                else:
                    clips.append((y, sr))
            voice = self.predictor.enrol(clips) if clips else None
        except Exception as error:
            self.wire.send({"id": header["id"], "error": _of_any(error)})
            return
        answer = {"id": header["id"], "clips": len(clips), "left_out": left_out}
        self.wire.send(answer, voice_to_bytes(voice) if voice else b"")


def _voice(header: Mapping[str, Any], payload: bytearray) -> Voice | None:
    size = header.get("voice", 0)
    return voice_from_bytes(bytes(payload[-size:])) if size else None


def _of_any(error: Exception) -> dict[str, str]:
    """What the server is told of an error; a fault of ours with its place, for the log alone."""
    if isinstance(error, AudioError):
        return described(error)
    if isinstance(error, MemoryError):
        return {"code": "refused_audio", "message": "The recording takes too much memory."}
    trace, place = error.__traceback__, ""
    while trace:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {"code": INTERNAL, "message": f"{type(error).__name__}: {error} ({place})"}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
