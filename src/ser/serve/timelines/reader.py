"""The process that reads one long recording: it decodes, finds speech, puts the timeline together.

It ends with the timeline. As a decoder, it opens neither file nor connection once it has begun.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import soundfile
import soxr

from ser.bundle import read_head
from ser.core.timeline.values import ModelOf
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, RefusedAudio
from ser.front_end import FrontEnd
from ser.io.audio.read import decode_blocks
from ser.io.audio.sndfile_decoder import UNKNOWN
from ser.io.audio.source import FileBytes, View
from ser.predictor import Prediction
from ser.serve.timelines.job import ReadingJob
from ser.serve.workers.decoder import confine, warm
from ser.serve.workers.errors import described
from ser.serve.workers.wire import Gone, Header, WorkerWire
from ser.timeline.document import document
from ser.timeline.listening import Heard
from ser.timeline.making import Measured, Reading, put_together
from ser.vad.streaming import StreamingDetector

#: Below the processes that predict: whoever waits for one answer goes before.
NICENESS = 10
#: Blocks, of about a second each, that are read at most for one answer.
MOST_BLOCKS = 60
#: What the timeline calls a recording: an upload's name is not kept.
NAME = "recording"


def main(sock: socket.socket, job: ReadingJob) -> None:
    """Answer `next` with the windows of the next speech, and `finish` with the document.

    next → {work, seconds, of, done} and the samples of the work, or null and none; finish, with the
    answers to all of it as JSON → the document as JSON. Either → {error} where the recording is
    unfit.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    head = read_head(job.bundle)
    front_end = FrontEnd(head.features, head.abstention, head.encoder.sr if head.encoder else None)
    data = FileBytes(job.file.descriptor)
    # What these read from disk, they read once.
    StreamingDetector(detector=front_end.abstention.detector)(np.zeros(2**14, np.float32))
    soxr.ResampleStream(48_000, 16_000, 1, dtype="float32").resample_chunk(np.zeros(9, np.float32))
    warm(job.limits)
    confine(job.megabytes)
    wire = WorkerWire(sock)
    wire.send({"ready": True})
    reader = Reader(data, job, front_end, head.model, head.classes)
    with suppress(Gone):
        while True:
            header, payload = wire.receive()
            try:
                if header["op"] == "next":
                    answer, samples = reader.next()
                else:
                    answer, samples = {}, reader.finish(json.loads(payload))
            except AudioError as error:
                answer, samples = {"error": described(error)}, b""
            except MemoryError:
                refused = RefusedAudio(
                    "takes too much memory to decode", "a shorter recording", "Cut it."
                )
                answer, samples = {"error": described(refused)}, b""
            wire.send({"id": header["id"], **answer}, samples)


class Reader:
    """Gives the pieces of speech of a recording, and makes its timeline of the answers to them."""

    def __init__(
        self,
        data: FileBytes,
        job: ReadingJob,
        front_end: FrontEnd,
        model: str,
        classes: tuple[str, ...],
    ) -> None:
        self._data, self._job, self._front_end = data, job, front_end
        self._model, self._classes = model, classes
        self._reading: Reading | None = None
        self._steps: Iterator[list[Heard]] = iter(())
        self._of = stated_seconds(data)
        self._waiting: deque[Heard] = deque()
        #: Pieces that were given out, without their samples.
        self._given: list[Heard] = []

    def next(self) -> tuple[Header, bytes]:
        """The next piece of speech, or how far it has come without one; raises AudioError."""
        if self._reading is None:
            decoded = decode_blocks(self._data, limits=self._job.limits)
            self._reading = Reading(decoded, self._front_end, self._job.params)
            self._steps = self._reading.steps()
        is_done = False
        for _ in range(MOST_BLOCKS):
            if self._waiting:
                break
            step = next(self._steps, None)
            if step is None:
                is_done = True
                break
            self._waiting.extend(step)
        header: Header = {"seconds": self._reading.seconds, "of": self._of, "done": is_done}
        if not self._waiting:
            return {**header, "work": None}, b""
        heard = self._waiting.popleft()
        self._given.append(heard.without_samples())
        work = {"sr": heard.work.sr, "windows": heard.work.windows}
        return {**header, "work": work}, heard.work.samples

    def finish(self, answers: list[list[dict[str, Any]]]) -> bytes:
        """The document as JSON. answers : of the windows of each piece, in the order of `next`."""
        assert self._reading is not None
        measured: list[list[Measured]] = [[] for _ in self._reading.listeners]
        for heard, own in zip(self._given, answers, strict=True):
            coming = map(_prediction, own)
            for window, refused in zip(heard.piece.windows, heard.refused, strict=True):
                found = Prediction(None, None, abstention=refused) if refused else next(coming)
                measured[heard.channel].append(Measured(heard.piece.speech, window, found))
        job = self._job
        made = put_together(
            self._reading,
            measured,
            classes=self._classes,
            file=NAME,
            model=ModelOf(self._model, job.bundle_sha256, job.version),
        )
        return json.dumps(document(made), separators=(",", ":"), allow_nan=False).encode()


def stated_seconds(data: FileBytes) -> float | None:
    """How long a recording lasts by its header; None where that is unknown."""
    try:
        with soundfile.SoundFile(View(data)) as file:
            frames, sr = file.frames, file.samplerate
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError):
        return None
    return float(frames / sr) if 0 < frames < UNKNOWN and sr > 0 else None


def _prediction(answer: dict[str, Any]) -> Prediction:
    found = answer["abstention"]
    abstention = Abstention(found["reason"], found["detail"]) if found else None
    return Prediction(None, None, answer["posteriors"], abstention=abstention)
