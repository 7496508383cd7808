"""Members of an ensemble are fitted side by side: networks in processes of one thread each.

A network this small gains nothing from a second thread, and two of them on two cores take as
long as one.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import cast

import numpy as np
from joblib import cpu_count
from threadpoolctl import threadpool_limits

from ser.errors import ProcessKilled
from ser.interrupts import interrupts_held
from ser.models.base import EmotionModel, Examples, Fitting, OnEpoch
from ser.models.progress import progress
from ser.parallel import fork_server

#: How long training in the background may go on after a network failed or was stopped.
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A member to fit, and how."""

    key: str
    model: EmotionModel
    #: Rows of dev that it is not trained on.
    left_out: np.ndarray
    fitting: Fitting

    def fit(self, train: Examples, dev: Examples, on_epoch: OnEpoch | None = None) -> EmotionModel:
        others = np.setdiff1d(np.arange(len(dev)), self.left_out)
        train, dev = train.and_of(dev.take(others)), dev.take(self.left_out)
        return self.model.fit(train, dev, replace(self.fitting, on_epoch=on_epoch))


def fit_all(
    members: Sequence[EmotionModel],
    train: Examples,
    dev: Examples,
    left_out: Sequence[np.ndarray],
    fitting: Fitting,
) -> list[EmotionModel]:
    """Each model fitted, with a seed of its own.

    left_out : for each model the rows of `dev` that are dev to it; it is trained on the others.
    fitting : its `on_epoch` is called when all networks have finished an epoch, with the means of
        their values; in its `workdir` each member has a folder.
    """
    jobs = []
    for place, (model, rows) in enumerate(zip(members, left_out, strict=True), start=1):
        seed = int(np.random.SeedSequence([fitting.seed, place]).generate_state(1)[0])
        key = f"{place}.{model.name}"
        folder = None if fitting.workdir is None else fitting.workdir / key
        jobs.append(Job(key, model, rows, Fitting(seed, fitting.enrolled, workdir=folder)))
    networks = [job for job in jobs if job.model.epochs]
    others = [job for job in jobs if not job.model.epochs]
    at_once = min(len(networks), cpu_count())
    with progress(sum(job.model.epochs for job in networks)) as advance:
        report = _Means(len(networks), fitting.on_epoch, advance)
        if at_once > 1 and not _has_gpu():
            fitted = _fit_apart(networks, others, train, dev, report, at_once)
        else:
            fitted = {job.key: job.fit(train, dev) for job in others}
            fitted |= {job.key: job.fit(train, dev, report) for job in networks}
    return [fitted[job.key] for job in jobs]


class _Means:
    """Reports an epoch when every member has finished it; `advance` is called for each member's."""

    def __init__(self, members: int, on_epoch: OnEpoch | None, advance: OnEpoch) -> None:
        self.members, self.on_epoch, self.advance = members, on_epoch, advance
        self.epochs: dict[int, list[Mapping[str, float]]] = {}

    def __call__(self, epoch: int, values: Mapping[str, float]) -> None:
        self.advance(epoch, values)
        rows = self.epochs.setdefault(epoch, [])
        rows.append(values)
        if len(rows) == self.members and self.on_epoch:
            common = set(values).intersection(*rows)
            means = {name: float(np.mean([row[name] for row in rows])) for name in common}
            self.on_epoch(epoch, means)


def _fit_apart(
    networks: Sequence[Job],
    others: Sequence[Job],
    train: Examples,
    dev: Examples,
    report: OnEpoch,
    at_once: int,
) -> dict[str, EmotionModel]:
    """All models fitted: networks in processes, `at_once` at a time, the others in a thread.

    Where one fails, the others are stopped.
    """
    waiting = list(networks)
    running: dict[Connection, tuple[Job, BaseProcess]] = {}
    answers: dict[str, tuple[Job, dict[str, bytes], np.ndarray]] = {}
    outcome: Future[dict[str, EmotionModel]] = Future()
    end, ended = Pipe(duplex=False)
    outcome.add_done_callback(lambda _: ended.send(None))

    def fill() -> None:
        started = [(job, *_start(job)) for job in waiting[: at_once - len(running)]]
        del waiting[: len(started)]
        # All processes start before the first gets its data.
        for job, connection, process in started:
            running[connection] = (job, process)
            # A process that is gone already is noticed where its answer is awaited.
            with suppress(BrokenPipeError, ConnectionResetError):
                kinds = job.model.kinds
                connection.send((job, train.only(kinds), dev.only(kinds)))

    def fit_others() -> None:
        try:
            # The cores are the networks'.
            with threadpool_limits(1):
                outcome.set_result({job.key: job.fit(train, dev) for job in others})
        except BaseException as error:
            outcome.set_exception(error)

    background = Thread(target=fit_others, daemon=True)
    try:
        fill()
        background.start()
        while running or not outcome.done():
            for connection in cast(list[Connection], wait([*running, end])):
                if connection is end:
                    end.recv()
                    outcome.result()
                    continue
                job, process = running[connection]
                try:
                    kind, content = connection.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    raise ProcessKilled(
                        f"Training of {job.model.name} ended with status {process.exitcode} and "
                        "no word; was it killed, or out of memory? Start it again: it goes on "
                        "where it stopped."
                    ) from None
                if kind == "epoch":
                    report(*content)
                elif kind == "error":
                    raise content
                else:
                    answers[job.key] = (job, *content)
                    process.join()
                    del running[connection]
            fill()
    finally:
        for _, process in running.values():
            # Lightning ends an epoch after SIGTERM; a checkpoint is whole or not there anyway.
            process.kill()
        # torch aborts a process that ends while a thread is inside it; but a user who stopped
        # the training waits for seconds only.
        if background.is_alive():
            background.join(PATIENCE_SECONDS)
    fitted = outcome.result()
    # Only now: new networks draw from the generator that others have drawn from.
    for key, (job, files, posteriors) in answers.items():
        fitted[key] = type(job.model).from_files(files)
        fitted[key].dev_posteriors = posteriors
    return fitted


def _start(job: Job) -> tuple[Connection, BaseProcess]:
    # Lightning takes seconds to import: a server imports it once and forks.
    context = fork_server("ser.models.ensemble.fork_server")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True, name=job.key)
    with interrupts_held():
        process.start()
    # Else the end of the process would not be the end of the pipe.
    theirs.close()
    return ours, process


def _work(connection: Connection) -> None:
    """Fit one member; a parent that was killed is noticed at the next epoch, by a broken pipe."""

    def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
        connection.send(("epoch", (epoch, dict(values))))

    try:
        job, train, dev = connection.recv()
        fitted = job.fit(train, dev, on_epoch)
        connection.send(("fitted", (fitted.to_files(), fitted.dev_posteriors)))
    except (BrokenPipeError, EOFError):
        return
    except Exception as error:
        # A traceback does not travel.
        error.add_note(traceback.format_exc())
        connection.send(("error", error))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
