"""SIGKILL at points of a retraining, all the way from its start to its end.

Struck are the flow, all of its processes at once, its stages, its servers, and what `make up` runs.
After each kill the registry must be readable and the champion whole; after the next run nothing may
be left over, and the scores must be those of a run that nobody interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import page
from benchmarks.kills import checks
from benchmarks.kills.attempts import Attempt, Scheduled, Typed
from benchmarks.kills.checks import Expected
from benchmarks.kills.place import Place, until
from benchmarks.kills.strikes import BESIDE, SERVERS, Point, spread, strike
from benchmarks.postgresql import Servers, postgresql
from flows.processes import note
from flows.processes.server import API_URL
from flows.servers.services import health
from ser.io.tracking.address import VARIABLE
from ser.io.tracking.registry import versions
from ser.io.web.quiet import set_quiet

#: Seconds in which all processes of a killed flow must be gone, and its state be recorded.
GONE, RECORDED = 60.0, 240.0
#: Seconds that a server is away before it is started again.
AWAY = 3.0
#: Shares of the points: where a change concerns everything, a network's training, a bundle that is
#: only to be registered, and the servers of `make up`.
SHARES = {"everything": 0.16, "a network": 0.2, "effects": 0.46, "make up": 0.18}
#: Writes at whose moment a process is killed.
WRITES = (
    *("a row in the journal", "a new logged model's folder", "SQLite's journal"),
    *("a row in the journal", "a new logged model's folder", "SQLite's journal"),
)


@dataclass
class Row:
    """What became of a point."""

    HEADER = (
        *("change", "killed", "where", "processes", "seconds until none is left"),
        *("serves then", "next run, s", "faults"),
    )
    family: str
    point: Point
    hit: int = 0
    gone: float | None = None
    serves: str = ""
    seconds: float = 0.0
    temporary: int = 0
    faults: list[str] = field(default_factory=list)

    def cells(self) -> list[object]:
        gone = "it went on" if self.gone is None else self.gone
        figures = (self.hit, gone, self.serves, self.seconds, len(self.faults))
        return [self.family, self.point.target, self.point.place, *figures]

    def line(self) -> str:
        return "\n    ".join([" | ".join(page.cell(c) for c in self.cells()), *self.faults])


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.kills", description=__doc__)
    parser.add_argument("--points", type=int, default=50, help="(default: 50)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=float("inf"),
        help="after which no point begins (default: no end)",
    )
    parser.add_argument("--postgresql", action="store_true", help="behind MLflow and Prefect")
    parser.add_argument("--only", choices=SHARES, action="append", help="default: all changes")
    options = parser.parse_args()
    # A plain `kill` must leave no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    set_quiet()
    # A store that is put back under an open connection would be read as it was.
    os.environ["MLFLOW_SQLALCHEMYSTORE_POOLCLASS"] = "NullPool"
    for name in (VARIABLE, API_URL):
        os.environ.pop(name, None)
    rows: list[Row] = []
    began = time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ser-kills-"))
        servers = stack.enter_context(postgresql()) if options.postgresql else None
        if servers:
            os.environ.update(servers.env)
        place = Place(Path(folder) / "project")
        place.make()
        Typed(place).timeline()
        place.keep("base")
        for row in _rows(place, options, servers):
            rows.append(row)
            seconds = time.monotonic() - began
            print(f"{len(rows)} after {seconds:.0f} s: {row.line()}", flush=True)
            if seconds > 60 * options.minutes:
                break
    _report(rows, postgresql=options.postgresql)
    return int(any(row.faults or not row.hit for row in rows))


def _rows(place: Place, options: argparse.Namespace, servers: Servers | None) -> Iterator[Row]:
    for family, share in SHARES.items():
        if options.only and family not in options.only:
            continue
        yield from _family(place, family, max(1, round(share * options.points)), servers)


def _family(place: Place, family: str, count: int, servers: Servers | None) -> Iterator[Row]:
    if family == "make up":
        yield from _under_make_up(place, count, servers)
        return
    if servers:
        yield from _on_servers(place, family, count, servers)
        return
    place.restore("base")
    _change(place, family, 1)
    if family == "effects":
        # As `make repro` leaves it.
        place.run("dvc", "repro")
    place.keep("begin")
    timeline = Typed(place).timeline()
    wanted = checks.expected(place)
    for point in _points(family, count, timeline):
        place.restore("begin")
        yield _hit(place, family, Typed, point, wanted)


def _change(place: Place, family: str, number: int) -> None:
    """Give a flow something to do."""
    if family == "everything":
        place.set(seed=100 + number)
    elif family == "a network":
        place.set(model__name="cnn", train__max_epochs=6, train__learning_rate=number / 1000)
    else:
        # Other answers each time, or the champion would be kept as equal.
        place.set(model__lda__select=5 + number)


def _points(family: str, count: int, timeline: Sequence[tuple[str, float]]) -> list[Point]:
    if family == "effects":
        writes = [
            Point(("flow", "all of the flow")[n % 2], watched=watched)
            for n, watched in enumerate(WRITES[: count // 3])
        ]
        targets = _round(("flow", "all of the flow", "its Prefect server"), count - len(writes))
        return [*spread(timeline, targets, "flow Beginning"), *writes]
    if family == "a network":
        writes = [
            Point("flow", watched="a checkpoint", delay=0.3),
            Point("all of the flow", watched="a checkpoint", delay=0.1),
            Point("stage", watched="a checkpoint"),
            Point("flow", watched="a new bundle"),
            Point("all of the flow", watched="a new receipt"),
        ][: count // 2]
        targets = _round(("all of the flow", "stage", "flow"), count - len(writes))
        return [*writes, *spread(timeline, targets, "embed Finished")]
    return spread(timeline, _round(("flow", "stage", "all of the flow"), count))


def _round(targets: Sequence[str], count: int) -> list[str]:
    return [targets[number % len(targets)] for number in range(count)]


def _on_servers(place: Place, family: str, count: int, servers: Servers) -> Iterator[Row]:
    """Each point has a change of its own: databases of servers are not put back."""
    _change(place, family, 1)
    timeline = Typed(place).timeline()

    def revive(target: str) -> None:
        if name := SERVERS.get(target):
            servers.stop(name)
            time.sleep(AWAY)
            servers.start(name)

    targets = ("flow", "MLflow's server", "all of the flow", "Prefect's server", "stage")
    since = {"everything": "start", "a network": "embed Finished", "effects": "report Finished"}
    for number, point in enumerate(spread(timeline, _round(targets, count), since[family]), 2):
        _change(place, family, number)
        yield _hit(place, family, Typed, point, None, revive, servers)


def _under_make_up(place: Place, count: int, servers: Servers | None) -> Iterator[Row]:
    """Flow runs of the deployment, which a worker runs."""
    if not servers:
        place.restore("base")

    def up(_: str = "") -> None:
        place.run("flows.servers.up", "--no-serve")
        until(lambda: all(health(note.read(place.root)).values()), "servers and worker")

    up()
    try:
        _change(place, "make up", 1)
        timeline = Scheduled(place).timeline()
        targets = ["worker", "flow", "worker and all of its", "stage", "supervisor"]
        if not servers:
            targets[1:1] = ["Prefect's server"]
            targets[4:4] = ["MLflow's server", "Prefect's server"]
        for number, point in enumerate(spread(timeline, _round(targets, count)), 2):
            _change(place, "make up", number)
            yield _hit(place, "make up", Scheduled, point, None, up)
    finally:
        place.run("flows.servers.down")


def _hit(
    place: Place,
    family: str,
    begin: Callable[[Place], Attempt],
    point: Point,
    wanted: Expected | None,
    revive: Callable[[str], None] = lambda target: None,
    servers: Servers | None = None,
) -> Row:
    row = Row(family, point)
    before = versions.champion(place.root)
    assert before is not None
    attempt = begin(place)
    row.hit = strike(attempt, point, servers)
    try:
        if not row.hit:
            row.faults.append(f"the flow ended before: {attempt.wait()}")
            return row
        struck = time.monotonic()
        if point.target in BESIDE:
            revive(point.target)
            attempt.wait()
        until(lambda: not attempt.left(), "the flow's processes", GONE)
        if point.target not in BESIDE:
            row.gone = time.monotonic() - struck
        if isinstance(attempt, Scheduled):
            until(attempt.ended, "the state of a killed flow run", RECORDED)
        row.serves, row.faults = checks.after_kill(place, before)
        if point.target not in BESIDE:
            revive(point.target)
        following = begin(place)
        ended = following.wait()
        row.seconds = time.monotonic() - following.began
        if ended not in ("status 0", "COMPLETED"):
            row.faults.append(f"the next run ended with {ended}: {following.tail()}")
        until(lambda: not following.left(), "the next run's processes", GONE)
        row.faults += checks.after_next(place, before, wanted)
    except TimeoutError as error:
        row.faults.append(str(error))
    row.temporary = checks.clear(place.temporary)
    return row


def _report(rows: Sequence[Row], *, postgresql: bool) -> None:
    faults = [f"- {row.family}, {row.point.place}: {f}" for row in rows for f in row.faults]
    hit = [row for row in rows if row.hit]
    slowest = max((row.gone for row in hit if row.gone is not None), default=0.0)
    body = f"""
{len(hit)} kills by SIGKILL, {len(faults)} faults; the last process of a killed flow was gone after
at most {slowest:.1f} s. {sum(bool(row.temporary) for row in rows)} of the kills left something in
the system's temporary folder.

{page.table(Row.HEADER, [row.cells() for row in rows])}

{chr(10).join(faults)}
"""
    name = "kills.postgresql" if postgresql else "kills"
    page.write(name, title="SIGKILL at points of a retraining", body=body)


if __name__ == "__main__":
    sys.exit(main())
