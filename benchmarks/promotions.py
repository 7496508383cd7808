"""Many promotions at once: one champion, the best that passes, one row of the journal an attempt.

Versions with planted scores in a real SQLite store; every process goes through the function that
the flow uses (`promotion.attempt`), or promotes and rolls back by hand. Some are killed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import page
from ser.bundle import bundle_sha256
from ser.core.gate.verdict import Verdict
from ser.errors import RegistryError
from ser.io.tracking import store
from ser.io.tracking.registry import agreement, journal, mending, promotion, versions
from ser.io.tracking.registry.versions import MODEL, Version
from ser.io.web.quiet import set_quiet

#: Loaded once, before processes are forked; none of them opens a store.
PRELOADED = [
    "ser.core.gate.verdict",
    "ser.io.tracking.registry.promotion",
    "alembic.script",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking._model_registry.client",
]
#: Seconds within which all processes of a round must end.
PATIENCE = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=50, help="processes (default: 50)")
    parser.add_argument("--rounds", type=int, default=20, help="of either kind (default: 20)")
    parser.add_argument("--kills", type=int, default=15, help="a mixed round (default: 15)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--unlocked", action="store_true", help="without the lock: the benchmark must end non-zero"
    )
    options = parser.parse_args()
    set_quiet()
    rng = random.Random(options.seed)
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="ser-promotions-") as folder:
        scores = plant(Path(folder) / "planted", options.at_once, rng)
        for kills in (0, options.kills):
            for number in range(options.rounds):
                root = copy_of(Path(folder) / "planted", Path(folder) / f"{kills}-{number}")
                acts = mixed(options.at_once, rng) if kills else ["gate"] * options.at_once
                rounds.append(
                    play(root, scores, acts, kills=kills, rng=rng, unlocked=options.unlocked)
                )
                print(rounds[-1].line(), flush=True)
        slowest, failed = load(copy_of(Path(folder) / "planted", Path(folder) / "load"), options)
    body = [
        f"{options.at_once} processes at once, {options.rounds} rounds by the gate alone, then as "
        f"many with promotions and roll-backs by hand among them, {options.kills} processes "
        "killed by SIGKILL: at random, or as soon as their row is in the journal. Lowest and "
        "highest of the rounds:",
        page.table(Round.HEADER, [_ranges(rounds, kind) for kind in ("gate", "mixed")]),
        "*Judged again*: verdicts given on a champion that had changed before they were acted "
        "upon. *Withdrawn*: rows whose process was killed before the alias moved. With "
        "`--unlocked`, which takes the lock away, the benchmark ends non-zero.",
        f"Writing at once without any lock of ours: {options.at_once} processes, each a run with "
        f"{RUN_METRICS} metrics and a search. {failed} failed; the slowest single call took "
        f"{slowest:.2f} s. MLflow lets SQLite wait for 20 s.",
    ]
    faults = sum(len(r.faults) for r in rounds) + failed
    if not options.unlocked:
        page.write("promotions", title="Promotions at once", body="\n\n".join(body))
    raise SystemExit(f"{faults} faults" if faults else 0)


def _ranges(rounds: Sequence[Round], kind: str) -> list[str]:
    columns = zip(*(r.cells()[1:] for r in rounds if r.kind == kind), strict=True)
    bounds = [(page.cell(min(column)), page.cell(max(column))) for column in columns]
    return [kind, *(low if low == high else f"{low}–{high}" for low, high in bounds)]


@dataclass
class Round:
    """What a round did, and what is wrong with it."""

    HEADER = (
        "round",
        "seconds",
        "champions",
        "rows",
        "judged again",
        "killed",
        "withdrawn",
        "longest wait, s",
        "faults",
    )
    kind: str
    seconds: float
    champions: int = 0
    rows: int = 0
    judged_again: int = 0
    killed: int = 0
    withdrawn: int = 0
    longest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def cells(self) -> list[object]:
        counts = (self.champions, self.rows, self.judged_again, self.killed, self.withdrawn)
        return [self.kind, self.seconds, *counts, self.longest, len(self.faults)]

    def line(self) -> str:
        figures = zip(self.HEADER, self.cells(), strict=True)
        counts = ", ".join(f"{name} {page.cell(value)}" for name, value in figures)
        return "\n  ".join([counts, *self.faults])


def plant(root: Path, count: int, rng: random.Random) -> dict[int, float]:
    """Register `count` versions without a verdict; returns their scores, all different."""
    scores = {n: score / 1000 for n, score in enumerate(rng.sample(range(200, 900), count), 1)}
    store.prepare_store(root)
    client = store.connect(root)
    client.create_registered_model(MODEL)
    for number, score in scores.items():
        logged = root / "mlruns" / "artifacts" / str(number)
        bundle = logged / "artifacts" / "bundle"
        bundle.mkdir(parents=True)
        (bundle / "bundle.json").write_text(json.dumps({"uar": score}))
        tags = {"bundle_sha256": bundle_sha256(bundle), "uar": f"{score:.4f}"}
        client.create_model_version(MODEL, logged.as_uri(), tags=tags)
    client.set_registered_model_alias(MODEL, versions.CHALLENGER, str(count))
    return scores


def copy_of(planted: Path, root: Path) -> Path:
    """The store alone; the bundles stay where they are."""
    (root / "mlruns").mkdir(parents=True)
    shutil.copy(planted / "mlruns" / "mlflow.db", root / "mlruns")
    return root


def mixed(count: int, rng: random.Random) -> list[str]:
    return rng.choices(["gate", "promote", "roll-back"], weights=[7, 2, 1], k=count)


def play(
    root: Path,
    scores: dict[int, float],
    acts: Sequence[str],
    *,
    kills: int,
    rng: random.Random,
    unlocked: bool = False,
) -> Round:
    """One round: process n does `acts[n]` with version n + 1, all at once.

    kills : of the processes, by SIGKILL at random moments.
    """
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    barrier = context.Barrier(len(acts) + 1)
    processes = [
        context.Process(target=_act, args=(root, act, number, scores, barrier, unlocked))
        for number, act in enumerate(acts, 1)
    ]
    for process in processes:
        process.start()
    barrier.wait(PATIENCE)
    began = time.monotonic()
    by_pid = {process.pid: process for process in processes}
    for number, victim in enumerate(rng.sample(processes, kills)):
        if number % 2:
            time.sleep(rng.uniform(0, 0.2))
        else:
            # Between its row and its alias, if the signal is fast.
            victim = by_pid[_next_writer(root)]
        if victim.exitcode is None:
            victim.kill()
    for process in processes:
        process.join(PATIENCE)
    seconds = time.monotonic() - began
    killed = {p.pid for p in processes if p.exitcode == -signal.SIGKILL}
    found = _checked(root, scores, killed=killed, attempts={p.pid for p in processes})
    found.seconds = seconds
    found.kind = "mixed" if kills else "gate"
    stuck = [p for p in processes if p.exitcode is None]
    for process in stuck:
        process.kill()
    found.faults += [f"process {p.pid} did not end" for p in stuck]
    return found


def _next_writer(root: Path) -> int:
    """The process that writes the journal's next row, as soon as it is there."""
    before = len(journal.rows(root))
    while len(rows := journal.rows(root)) == before:
        time.sleep(0.0005)
    return int(rows[-1]["pid"])


def _act(
    root: Path, act: str, number: int, scores: dict[int, float], barrier: Any, unlocked: bool
) -> None:
    """What one process does, and a file with how it went."""
    set_quiet()
    if unlocked:
        for module in (mending, promotion):
            module.locked = lambda _: nullcontext()
    judged = []

    def judge(champion: Version | None) -> Verdict:
        judged.append(champion)
        best = scores[champion.version] if champion else 0.0
        # The scores of real ones take longer.
        time.sleep(random.uniform(0, 0.02))
        return Verdict(scores[number] > best, "gate", delta_uar=scores[number] - best)

    barrier.wait(PATIENCE)
    began, rows, error = time.monotonic(), 1, None
    try:
        if act == "roll-back":
            promotion.roll_back(root, reason=act)
        else:
            version = versions.get_version(root, number)
            if act == "gate":
                promotion.attempt(root, version, judge)
            elif promotion.promote(root, version, reason=act) is None:
                rows = 0
    except RegistryError as caught:
        # Before the second promotion there is nothing to roll back to.
        refused = act == "roll-back" and (
            "predecessor" in str(caught) or "No champion" in str(caught)
        )
        rows, error = 0, None if refused else str(caught)
    except Exception as caught:
        error = repr(caught)
    outcome = {
        "rows": rows,
        "error": error,
        "judged": len(judged),
        "seconds": time.monotonic() - began,
    }
    unfinished = root / f"{os.getpid()}.unfinished"
    unfinished.write_text(json.dumps(outcome))
    unfinished.rename(root / f"{os.getpid()}.json")


def _checked(
    root: Path, scores: dict[int, float], *, killed: set[int], attempts: set[int]
) -> Round:
    found = Round("", 0.0, killed=len(killed))
    outcomes = {int(p.stem): json.loads(p.read_text()) for p in root.glob("*.json")}
    found.judged_again = sum(max(0, o["judged"] - 1) for o in outcomes.values())
    found.longest = max((o["seconds"] for o in outcomes.values()), default=0.0)
    found.faults += [f"error: {o['error']}" for o in outcomes.values() if o["error"]]
    found.faults += [f"{pid} left no outcome" for pid in attempts - killed - set(outcomes)]
    try:
        messages = mending.agree(root)
        if messages and not killed:
            found.faults += [f"disagreed: {message}" for message in messages]
        found.faults += [f"still disagrees: {message}" for message in mending.agree(root)]
        store.prepare_store(root)
        rows = journal.rows(root)
        now = [v.version for v in versions.all_versions(root) if versions.CHAMPION in v.aliases]
    except RegistryError as error:
        found.faults.append(f"unreadable: {error}")
        return found
    acted = Counter(r["pid"] for r in rows if r["event"] in ("promoted", "kept", "rolled_back"))
    for pid, outcome in outcomes.items():
        if acted[pid] != outcome["rows"] and not outcome["error"]:
            found.faults.append(f"{acted[pid]} rows of an attempt, expected {outcome['rows']}")
    found.faults += [f"{acted[pid]} rows of a killed attempt" for pid in killed if acted[pid] > 1]
    found.rows, found.champions = sum(acted.values()), len(now)
    found.withdrawn = sum(row["event"] == "withdrawn" for row in rows)
    if len(now) != 1:
        found.faults.append(f"champions: {now}")
    found.faults += _worse(rows, scores, now)
    if not killed and now != [max(scores, key=scores.__getitem__)]:
        found.faults.append(f"the champion is {now}, and not the best")
    return found


def _worse(rows: Sequence[journal.Row], scores: dict[int, float], now: list[int]) -> Iterator[str]:
    """Rows that name another champion than the one before them made, or go against the gate."""
    champion = None
    for row in agreement.hold(rows):
        if row["previous"] != champion:
            yield f"a row names champion {row['previous']}, but {champion} served"
        if row["reason"] == "gate":
            better = scores[row["version"]] > scores.get(row["previous"], 0.0)
            if better != (row["event"] == "promoted"):
                yield f"{row['event']} {row['version']} against champion {row['previous']}"
        if row["event"] in agreement.CHANGES:
            champion = row["version"]
    if now and now != [champion]:
        yield f"the last row made {champion} champion, but {now} has the alias"


#: Of each run while many write at once.
RUN_METRICS = 20


def load(root: Path, options: argparse.Namespace) -> tuple[float, int]:
    """Runs that are logged at once, without a lock of ours: (slowest call in seconds, failures)."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    experiment = store.prepare_store(root)
    barrier = context.Barrier(options.at_once)
    processes = [
        context.Process(target=_log_run, args=(root, experiment, barrier))
        for _ in range(options.at_once)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    slowest = [float(path.read_text()) for path in root.glob("*.slowest")]
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        (written,) = database.execute("SELECT count(*) FROM metrics").fetchone()
    failed = options.at_once - len(slowest)
    if written != RUN_METRICS * options.at_once:
        failed += 1
    return max(slowest, default=0.0), failed


def _log_run(root: Path, experiment: str, barrier: Any) -> None:
    set_quiet()
    client = store.connect(root)
    barrier.wait(PATIENCE)
    slowest = 0.0

    def timed(call: Any, *args: Any) -> Any:
        nonlocal slowest
        began = time.monotonic()
        answer = call(*args)
        slowest = max(slowest, time.monotonic() - began)
        return answer

    run_id = timed(client.create_run, experiment).info.run_id
    for step in range(RUN_METRICS):
        timed(client.log_metric, run_id, "loss", 1 / (step + 1), None, step)
    timed(client.search_runs, [experiment])
    timed(client.set_terminated, run_id)
    (root / f"{os.getpid()}.slowest").write_text(str(slowest))


if __name__ == "__main__":
    main()
