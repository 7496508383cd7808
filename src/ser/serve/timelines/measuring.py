"""Windows of one piece of speech within a process that predicts: some at a time, between others."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError
from ser.front_end import Extracted
from ser.predictor import Prediction, Predictor
from ser.serve.workers.wire import Header
from ser.streaming.extraction import extraction_for
from ser.streaming.measuring import unfit

#: Seconds after which another one gets its turn.
SLICE_SECONDS = 0.02


class Measuring:
    """What the model answers to windows [start, stop) of samples.

    header : of the message `measure`: sr, windows. payload : the samples, float32.
    """

    def __init__(self, predictor: Predictor, header: Header, payload: bytearray) -> None:
        self.id = header["id"]
        self._predictor = predictor
        self._windows: deque[tuple[int, int]] = deque(map(tuple, header["windows"]))
        self._samples = np.frombuffer(payload, np.float32)
        self._extraction = extraction_for(predictor.front_end, sr=header["sr"])
        self._taken = 0
        self._answers: list[dict[str, Any]] = []

    def go_on(self) -> list[dict[str, Any]] | None:
        """Work for a moment; all answers, in order, once there are no more windows."""
        until = time.perf_counter() + SLICE_SECONDS
        batch: list[Extracted | Abstention | Prediction] = []
        while self._windows:
            batch.append(self._extracted(*self._windows.popleft()))
            if time.perf_counter() >= until:
                break
        fit = [one for one in batch if not isinstance(one, Prediction)]
        predictions = iter(self._predictor.answer(fit))
        for one in batch:
            found = one if isinstance(one, Prediction) else next(predictions)
            self._answers.append(_portable(found))
        return None if self._windows else self._answers

    def _extracted(self, start: int, stop: int) -> Extracted | Prediction:
        # No more of a long piece than this window needs: frames take time, too.
        if stop > self._taken:
            self._extraction.extend(self._samples[self._taken : stop])
            self._taken = stop
        try:
            return self._extraction.extract(start, stop)
        except AudioError as error:
            return unfit(error)


def _portable(prediction: Prediction) -> dict[str, Any]:
    refused = prediction.abstention
    return {
        "posteriors": prediction.posteriors,
        "abstention": refused and {"reason": refused.reason, "detail": refused.detail},
    }
