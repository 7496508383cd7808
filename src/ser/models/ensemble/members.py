"""Members of an ensemble are fitted side by side: networks in processes of one thread each.

A network this small gains nothing from a second thread, and two of them on two cores take as
long as one.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import cast

import numpy as np
from joblib import cpu_count
from threadpoolctl import threadpool_limits

from ser.errors import ProcessKilled
from ser.interrupts import interrupts_held
from ser.models.base import EmotionModel, Examples, Fitting, Loader, OnEpoch
from ser.models.progress import progress

#: How long training in the background may go on after a network failed or was stopped.
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A member to fit, and how."""

    key: str
    name: str
    model: EmotionModel
    #: Rows of dev that it is not trained on.
    left_out: np.ndarray
    fitting: Fitting

    def fit(self, train: Examples, dev: Examples, on_epoch: OnEpoch | None = None) -> EmotionModel:
        others = np.setdiff1d(np.arange(len(dev)), self.left_out)
        train, dev = train.and_of(dev.take(others)), dev.take(self.left_out)
        return self.model.fit(train, dev, replace(self.fitting, on_epoch=on_epoch))


def fit_all(
    members: Sequence[tuple[str, EmotionModel]],
    train: Examples,
    dev: Examples,
    left_out: Sequence[np.ndarray],
    fitting: Fitting,
    *,
    load: Loader,
) -> list[EmotionModel]:
    """Each (name, model) fitted, with a seed of its own.

    left_out : for each model the rows of `dev` that are dev to it; it is trained on the others.
    fitting : its `on_epoch` is called when all networks have finished an epoch, with the means of
        their values; in its `workdir` each member has a folder.
    """
    jobs = []
    for place, ((name, model), rows) in enumerate(zip(members, left_out, strict=True), start=1):
        own_seed = int(np.random.SeedSequence([fitting.seed, place]).generate_state(1)[0])
        key = f"{place}.{name}"
        folder = None if fitting.workdir is None else fitting.workdir / key
        own = Fitting(own_seed, enrolled=fitting.enrolled, workdir=folder)
        jobs.append(Job(key, name, model, rows, own))
    networks = [job for job in jobs if job.model.epochs]
    at_once = min(len(networks), cpu_count())

    def fit_others() -> dict[str, EmotionModel]:
        others = [job for job in jobs if not job.model.epochs]
        return {job.key: job.fit(train, dev) for job in others}

    with progress(sum(job.model.epochs for job in networks) or None) as advance:
        report = _Means(len(networks), fitting.on_epoch, advance)
        if at_once > 1 and not _has_gpu():
            fitted = _fit_apart(
                networks, train, dev, report, at_once, meanwhile=fit_others, load=load
            )
        else:
            fitted = fit_others()
            for job in networks:
                fitted[job.key] = job.fit(train, dev, report)
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
            told_by_all = set(values).intersection(*rows)
            self.on_epoch(
                epoch, {name: float(np.mean([row[name] for row in rows])) for name in told_by_all}
            )


def _fit_apart(
    jobs: Sequence[Job],
    train: Examples,
    dev: Examples,
    report: OnEpoch,
    at_once: int,
    *,
    meanwhile: Callable[[], dict[str, EmotionModel]],
    load: Loader,
) -> dict[str, EmotionModel]:
    """The models fitted, `at_once` at a time; where one fails, the others are stopped.

    meanwhile : what this process does beside them; its models come along.
    """
    waiting = list(jobs)
    running: dict[Connection, tuple[Job, BaseProcess]] = {}
    others = _InBackground(meanwhile)
    fitted: dict[str, EmotionModel] = {}
    answered: list[tuple[Job, dict[str, bytes], np.ndarray]] = []

    def fill() -> None:
        started = [_start(job) for job in waiting[: at_once - len(running)]]
        for job, (connection, process) in zip(waiting, started, strict=False):
            running[connection] = (job, process)
        # All processes start before the first gets its data.
        for connection, _ in started:
            _tell(connection, waiting.pop(0), train, dev)

    try:
        fill()
        others.start()
        while running or not others.done:
            for connection in cast(list[Connection], wait([*running, others.end])):
                if connection is others.end:
                    fitted |= others.result()
                    continue
                job, process = running[connection]
                try:
                    kind, content = connection.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    raise ProcessKilled(
                        f"Training of {job.name} ended with status {process.exitcode} and no "
                        "word; was it killed, or out of memory? Start it again: it goes on where "
                        "it stopped."
                    ) from None
                if kind == "epoch":
                    report(*content)
                    continue
                if kind == "error":
                    raise content
                answered.append((job, *content))
                process.join()
                del running[connection]
            fill()
    finally:
        for _, process in running.values():
            # Lightning takes a mere SIGTERM for a wish; a checkpoint is whole or not there.
            process.kill()
        # torch aborts a process that ends while a thread is in the midst of it; but whoever
        # stopped the training does not wait for long.
        if others.is_alive():
            others.join(PATIENCE_SECONDS)
    # Only now: new networks draw from the generator that others have drawn from.
    for job, files, posteriors in answered:
        fitted[job.key] = load(job.name, files)
        fitted[job.key].dev_posteriors = posteriors
    return fitted


class _InBackground(Thread):
    """Calls `work` in a thread; `end` can be read from once it has returned or raised."""

    def __init__(self, work: Callable[[], dict[str, EmotionModel]]) -> None:
        super().__init__(daemon=True)
        self.work, self.done = work, False
        self.end, self._told = Pipe(duplex=False)
        self._outcome: Future[dict[str, EmotionModel]] = Future()

    def run(self) -> None:
        try:
            # The cores are the networks'.
            with threadpool_limits(1):
                self._outcome.set_result(self.work())
        except BaseException as error:
            self._outcome.set_exception(error)
        self._told.send(None)

    def result(self) -> dict[str, EmotionModel]:
        """What `work` returned, or raises what it raised."""
        self.end.recv()
        self.done = True
        return self._outcome.result()


def _start(job: Job) -> tuple[Connection, BaseProcess]:
    # Lightning takes seconds to import: a server imports it once and forks. Frameworks of other
    # systems do not bear a fork.
    linux = sys.platform == "linux"
    context = get_context("forkserver") if linux else get_context("spawn")
    context.set_forkserver_preload(["ser.models.ensemble.fork_server"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True, name=job.key)
    with interrupts_held():
        process.start()
    # Else the end of the process would not be the end of the pipe.
    theirs.close()
    return ours, process


def _tell(connection: Connection, job: Job, train: Examples, dev: Examples) -> None:
    # What it does not take need not travel.
    own = (examples.only(job.model.kinds) for examples in (train, dev))
    # A process that is gone already is noticed where its answer is awaited.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send((job, *own))


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
