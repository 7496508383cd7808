"""Points of a flow, and who is killed there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.kills.attempts import LOOK, Attempt
from benchmarks.postgresql import Servers
from flows.processes import note
from flows.processes.marks import marked
from flows.servers.services import MARK as OF_PLATFORM
from ser.io.tracking.registry.journal import journal_path
from ser.project import BUNDLE, CHECKPOINTS, TRAIN_RECEIPT


@dataclass(frozen=True)
class Point:
    """Where a flow is struck, and who: `delay` seconds after a marker of its log, or as soon as a
    file has changed."""

    target: str
    after: str = ""
    delay: float = 0.0
    watched: str = ""

    @property
    def place(self) -> str:
        return self.watched or f"{self.after} + {self.delay:.1f} s"


def spread(
    timeline: Sequence[tuple[str, float]], targets: Sequence[str], since: str = "start"
) -> list[Point]:
    """One point for each target, evenly over the time from a marker to the end.

    A point is so long after the last marker before it: a slower flow is struck at the same place.
    """
    begin = next(at for key, at in timeline if key == since)
    end = timeline[-1][1]
    points = []
    for number, target in enumerate(targets):
        moment = begin + (number + 0.5) * (end - begin) / len(targets)
        key, at = max((m for m in timeline if m[1] <= moment), key=lambda m: m[1])
        points.append(Point(target, key, moment - at))
    return points


#: The size and time of a file or folder: a change of them is the moment to kill.
WATCHED: dict[str, Callable[[Path], object]] = {
    "a row in the journal": lambda root: _size(journal_path(root)),
    "a new logged model's folder": lambda root: _entries(root / "mlruns/artifacts/models"),
    "SQLite's journal": lambda root: _wrote(root / "mlruns/mlflow.db-journal"),
    "a new bundle": lambda root: _wrote(root / BUNDLE / "bundle.json"),
    "a new receipt": lambda root: _wrote(root / TRAIN_RECEIPT),
    "dvc.lock": lambda root: _wrote(root / "dvc.lock"),
    "a checkpoint": lambda root: _entries(root / CHECKPOINTS),
}


def strike(attempt: Attempt, point: Point, servers: Servers | None = None) -> int:
    """Wait for the point, and kill; how many processes were hit, 0 where the flow ended before."""
    root = attempt.place.root
    look = WATCHED.get(point.watched)
    before = look(root) if look else None
    while True:
        if look:
            here = look(root) not in (before, None)
        else:
            here = point.after == "start" or point.after in attempt.markers()
        if here:
            break
        if attempt.has_ended():
            return 0
        time.sleep(LOOK / 10 if look else LOOK)
    time.sleep(point.delay)
    if attempt.ended():
        return 0
    victims = list(_victims(attempt, point.target, servers))
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    return len(victims)


def _victims(attempt: Attempt, target: str, servers: Servers | None) -> Iterable[psutil.Process]:
    if servers and target in SERVERS:
        return servers.processes(SERVERS[target])
    return TARGETS[target](attempt)


def _flow(attempt: Attempt) -> Iterator[psutil.Process]:
    if process := attempt.flow():
        yield process


def _tree(attempt: Attempt) -> Iterator[psutil.Process]:
    """Everything at once, as where the machine goes down or a container is ended."""
    yield from attempt.processes()


def _stage(attempt: Attempt) -> Iterator[psutil.Process]:
    """The program of a stage or of the canary; else what the flow has started last."""
    found = sorted(_below(attempt.flow()), key=psutil.Process.create_time)
    for words in ("-m ser.stages", "flows.gate.canary", "-m dvc"):
        hits = [p for p in found if words in _words(p) and "guard.py" not in _words(p)]
        if hits:
            yield hits[-1]
            return


def _temporary_server(attempt: Attempt) -> Iterator[psutil.Process]:
    yield from (p for p in attempt.processes() if "prefect.server.api.server" in _words(p))


def _part(name: str) -> Callable[[Attempt], Iterator[psutil.Process]]:
    """All processes of one of the parts of `make up`."""

    def find(attempt: Attempt) -> Iterator[psutil.Process]:
        yield from marked(OF_PLATFORM, f"{note.read(attempt.place.root).mark}.{name}")

    return find


def _worker(attempt: Attempt) -> Iterator[psutil.Process]:
    """The worker's process alone."""
    yield from (p for p in _part("worker")(attempt) if "prefect worker start" in _words(p))


def _supervisor(attempt: Attempt) -> Iterator[psutil.Process]:
    yield psutil.Process(note.read(attempt.place.root).pid)


TARGETS: dict[str, Callable[[Attempt], Iterator[psutil.Process]]] = {
    "flow": _flow,
    "all of the flow": _tree,
    "stage": _stage,
    "its Prefect server": _temporary_server,
    "worker": _worker,
    "worker and all of its": _part("worker"),
    "MLflow's server": _part("mlflow"),
    "Prefect's server": _part("prefect"),
    "supervisor": _supervisor,
}
#: Servers by their names in `Servers`.
SERVERS = {"MLflow's server": "mlflow", "Prefect's server": "prefect"}
#: Targets that are no part of the flow, which may go on.
BESIDE = ("stage", "its Prefect server", "MLflow's server", "Prefect's server")


def _below(process: psutil.Process | None) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True) if process else []
    return []


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _size(path: Path) -> object:
    return path.stat().st_size if path.exists() else None


def _wrote(path: Path) -> object:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _entries(folder: Path) -> object:
    return frozenset(p.relative_to(folder) for p in folder.rglob("*")) or None
