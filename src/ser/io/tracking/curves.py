"""Learning curves on their way to MLflow: a server that is away stops no training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

#: Learning curves are `epoch/<name>`. A final score never shares a name with one: MLflow shows a
#: metric's value at its highest step, which would be that of the last epoch.
CURVE = "epoch"
#: Metrics that MLflow takes at once.
BATCH = 1000


class Curve:
    """Points of a run's learning curves, sent by a thread of their own, in order, each once."""

    def __init__(self, client: MlflowClient, run_id: str, *, goes_on: bool) -> None:
        """goes_on : the run may have points, which the training that goes on reports again."""
        self._client, self._run_id, self._goes_on = client, run_id, goes_on
        self._points: SimpleQueue[tuple[int, list[Metric]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._error: Exception | None = None

    def add(self, epoch: int, scores: Mapping[str, float]) -> None:
        """A point on each curve; raises what the sending of earlier ones failed of."""
        from mlflow.entities import Metric

        if self._error is not None:
            raise self._error
        # The time is part of what MLflow tells points apart by: one that is sent again is no other.
        now = int(time.time() * 1000)
        point = [Metric(f"{CURVE}/{k}", float(v), now, epoch) for k, v in scores.items()]
        self._points.put((epoch, point))
        if self._thread is None:
            self._thread = Thread(target=self._send, daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait until all points are recorded; raises what their sending failed of."""
        if self._thread is None:
            return
        self._points.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _send(self) -> None:
        try:
            known: set[int] | None = None if self._goes_on else set()
            more = True
            while more:
                metrics: list[Metric] = []
                more = self._take(metrics, known)
                if known is None and metrics:
                    # A point is recorded whole or not at all.
                    history = self._client.get_metric_history(self._run_id, metrics[0].key)
                    known = {point.step for point in history}
                    metrics = [m for m in metrics if m.step not in known]
                if metrics:
                    self._client.log_batch(self._run_id, metrics=metrics)
        except Exception as error:
            self._error = error

    def _take(self, metrics: list[Metric], known: set[int] | None) -> bool:
        """Add the points that wait, at least one; whether more may come."""
        waiting = self._points.get()
        with suppress(Empty):
            while waiting is not None:
                epoch, point = waiting
                metrics += point if epoch not in (known or ()) else []
                if len(metrics) + len(point) > BATCH:
                    return True
                waiting = self._points.get_nowait()
        return waiting is not None
