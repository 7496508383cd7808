"""The MLflow server goes away amid a retraining: nothing is lost, nothing is recorded twice.

A small project of a folder of its own and an MLflow server on SQLite, as docker/compose.yaml starts
it. `ser run` trains a network; at one moment of it the server is killed, or stopped so that it
hangs, and comes back after a while. What MLflow, the project and the registry then hold is compared
with what a retraining without an outage left. Without --case all cases run, one of ten minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import checkout, page
from benchmarks.checkout import PATIENCE, until
from flows.processes.server import answers, free_port
from ser.files import read_json
from ser.io.tracking.address import VARIABLE
from ser.io.web.quiet import QUIET
from ser.project import BUNDLE, METRICS, PLOTS

#: Moments of a flow, by the line of its output that begins them; "amid" once epochs are recorded.
MOMENTS = {
    "train starts": "Task run 'train' - starts",
    "amid training": "",
    "train ends": "",
    "evaluate": "Task run 'evaluate' - starts",
    "registering": "report: ran",
    "judging": "registered version",
}
#: Epochs that MLflow has when the server goes away amid training.
EPOCHS_BEFORE = 5
#: Retrainings that are started until one ends well.
ATTEMPTS = 3


@dataclass(frozen=True)
class Case:
    """how : KILL, the server is started again; STOP, it hangs, and then goes on."""

    moment: str
    how: str
    seconds: int

    def __str__(self) -> str:
        return f"{self.moment}, {self.how}, {self.seconds} s"


CASES = [
    # The longest first: the others are played meanwhile.
    Case("amid training", "KILL", 600),
    Case("amid training", "STOP", 600),
    *(Case(moment, how, 60) for moment in MOMENTS for how in ("KILL", "STOP")),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [str(case) for case in CASES]
    parser.add_argument(
        "--case", choices=names, action="append", metavar="CASE", help="; ".join(names)
    )
    parser.add_argument("--seconds", type=int, help="of each outage (default: those of the case)")
    parser.add_argument("--epochs", type=int, default=60, help="of each training (default: 60)")
    parser.add_argument("--at-once", type=int, default=3, help="cases (default: 3)")
    parser.add_argument("--keep", type=Path, help="a folder for the output of flows")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.case or str(case) in options.case]
    with tempfile.TemporaryDirectory(prefix="ser-outage-") as folder:
        made = make(Path(folder) / "made", options.epochs)
        usual = play(made, Path(folder) / "usual", None)
        print(usual.line(), flush=True)

        def case_of(number: int) -> Outcome:
            case = chosen[number]
            if options.seconds:
                case = Case(case.moment, case.how, options.seconds)
            found = play(made, Path(folder) / str(number), case, usual, options.keep)
            print(found.line(), flush=True)
            return found

        # Most of a case is waiting.
        with ThreadPoolExecutor(options.at_once) as pool:
            outcomes = list(pool.map(case_of, range(len(chosen))))
    faults = [f"{found.name}: {fault}" for found in outcomes for fault in found.faults]
    if not options.case:
        page.write(
            "outage",
            title="The MLflow server is away",
            body=f"""
A network of {options.epochs} epochs on the embedded corpus, MLflow's server on SQLite. At the
moment that is named the server is killed and started again (KILL), or stopped, so that it takes
connections and answers none, and continued (STOP).

{page.table(Outcome.HEADER, [usual.cells(), *(found.cells() for found in outcomes)])}

*Flow runs*: `ser run` until one ended well. *Trainings*: how often the stage was started.
*Epochs twice*: points of a learning curve beyond one an epoch. Faults: a run, an epoch or a version
that is missing or there twice, a run left RUNNING, another curve than `curves.csv`, other scores or
another bundle than without an outage.
""",
        )
    sys.exit("\n".join(faults) if faults else 0)


@dataclass
class Outcome:
    """What a retraining beside an outage left."""

    HEADER = (
        "outage",
        "flow runs",
        "trainings",
        "seconds",
        "MLflow runs",
        "epochs",
        "epochs twice",
        "logged models",
        "versions",
        "faults",
    )
    name: str
    seconds: float = 0.0
    flow_runs: int = 0
    trainings: int = 0
    runs: int = 0
    epochs: int = 0
    twice: int = 0
    models: int = 0
    versions: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    bundle: str = ""
    faults: list[str] = field(default_factory=list)

    def cells(self) -> list[object]:
        counts = (self.runs, self.epochs, self.twice, self.models, self.versions)
        return [self.name, self.flow_runs, self.trainings, self.seconds, *counts, len(self.faults)]

    def line(self) -> str:
        figures = zip(self.HEADER, self.cells(), strict=True)
        counts = ", ".join(f"{name} {page.cell(value)}" for name, value in figures)
        return "\n  ".join([counts, *self.faults])


def make(root: Path, epochs: int) -> Path:
    """A project of which all is made but what MLflow has to do with."""
    checkout.make(root, {"model.name": "cnn", "train.max_epochs": epochs})
    done = checkout.run(root, "dvc", "repro", "explore", "embed")
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return root


class Server:
    """`mlflow server` on SQLite, which sends and takes artifacts itself."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1"),
            *(
                f"--port={self.port}",
                "--workers=1",
                f"--backend-store-uri=sqlite:///{self.database}",
            ),
            f"--artifacts-destination={self.folder / 'artifacts'}",
        ]
        env = {**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: answers(self.url), "the MLflow server")

    def signal(self, number: int) -> None:
        """To the server and all that it started."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.signal(signal.SIGKILL)


def play(
    made: Path,
    folder: Path,
    case: Case | None,
    usual: Outcome | None = None,
    keep: Path | None = None,
) -> Outcome:
    """A retraining of its own project and server, with the outage, until it ends well."""
    root = folder / "project"
    shutil.copytree(made, root, symlinks=True)
    found = Outcome(str(case or "none"))
    log = folder / "flow.log"
    began = time.monotonic()
    with serving(folder / "mlflow") as server:
        while found.flow_runs < ATTEMPTS:
            found.flow_runs += 1
            flow = start(root, server, log)
            if case and found.flow_runs == 1:
                wait_for(case, flow, root, log, server)
                if flow.poll() is not None:
                    found.faults.append("the flow ended before the moment came")
                strike(server, case)
            if flow.wait(PATIENCE) == 0:
                break
        else:
            found.faults.append(f"no flow run of {ATTEMPTS} ended well: {last_error(log)}")
        found.seconds = time.monotonic() - began
        look(found, root, server, log, usual)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, keep / f"{re.sub('[^a-zA-Z0-9]+', '-', found.name)}.log")
    shutil.rmtree(folder)
    return found


def start(root: Path, server: Server, log: Path) -> subprocess.Popen[bytes]:
    """`ser run`, whose output is added to the log."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.retrain"],
            cwd=root,
            env=checkout.environment(root, **{VARIABLE: server.url}),
            stdout=out,
            stderr=out,
        )


def wait_for(
    case: Case, flow: subprocess.Popen[bytes], root: Path, log: Path, server: Server
) -> None:
    until(lambda: flow.poll() is not None or reached(case, root, log, server), str(case))


def reached(case: Case, root: Path, log: Path, server: Server) -> bool:
    if case.moment == "amid training":
        sql = "SELECT count(DISTINCT step) FROM metrics WHERE key = 'epoch/train_loss'"
        found = server.query(sql)
        return bool(found) and int(str(found[0][0])) >= EPOCHS_BEFORE
    if case.moment == "train ends":
        # The bundle is there, its scores are not sent yet.
        return (root / BUNDLE).exists()
    return MOMENTS[case.moment] in log.read_text(errors="replace")


def strike(server: Server, case: Case) -> None:
    """The server is away for as long as the case says."""
    server.signal(signal.SIGKILL if case.how == "KILL" else signal.SIGSTOP)
    time.sleep(case.seconds)
    if case.how == "KILL":
        server.start()
    else:
        server.signal(signal.SIGCONT)


def look(found: Outcome, root: Path, server: Server, log: Path, usual: Outcome | None) -> None:
    """What is there, and what is wrong with it."""
    text = log.read_text(errors="replace")
    found.trainings = len(re.findall(r"'train' - starts, because", text))
    runs = server.query(
        "SELECT run_uuid, status FROM runs r JOIN experiments e USING (experiment_id) "
        "WHERE r.lifecycle_stage = 'active'"
    )
    found.runs = len(runs)
    found.faults += [f"run {run} is {state}" for run, state in runs if state != "FINISHED"]
    if len(runs) != 1:
        found.faults.append(f"{len(runs)} runs of MLflow, expected 1")
    points = server.query("SELECT run_uuid, key, step, value FROM metrics WHERE key LIKE 'epoch/%'")
    recorded = pd.DataFrame(points, columns=["run", "key", "step", "value"])
    found.epochs = int(recorded["step"].nunique())
    found.twice = int(recorded.duplicated(["key", "step"]).sum())
    if found.twice:
        found.faults.append(f"{found.twice} points of a curve twice")
    found.models = len(
        server.query("SELECT model_id FROM logged_models WHERE lifecycle_stage = 'active'")
    )
    found.versions = len(server.query("SELECT version FROM model_versions"))
    if found.models != 1:
        found.faults.append(f"{found.models} logged models, expected 1")
    if found.versions != 1:
        found.faults.append(f"{found.versions} versions, expected 1")
    if not (root / METRICS).exists():
        return
    found.faults += unlike_file(recorded, root / PLOTS / "curves.csv")
    metrics = read_json(root / METRICS)
    found.scores = {split: metrics[split]["uar"] for split in ("dev", "test")}
    found.bundle = read_json(root / "reports" / "train.json")["bundle_sha256"]
    verdicts = server.query("SELECT value FROM model_version_tags WHERE key = 'verdict'")
    if len(verdicts) != 1:
        found.faults.append(f"{len(verdicts)} verdicts, expected 1")
    if usual and (found.scores, found.bundle) != (usual.scores, usual.bundle):
        found.faults.append(
            f"scores {found.scores}, bundle {found.bundle[:12]}, not as without outage"
        )


def unlike_file(recorded: pd.DataFrame, path: Path) -> Iterator[str]:
    """Where MLflow's learning curve is not the one of the file."""
    curves = pd.read_csv(path).set_index("epoch")
    for name in curves.columns[curves.notna().any()]:
        own = recorded[recorded["key"] == f"epoch/{name}"].drop_duplicates("step").set_index("step")
        # Dev is scored in some epochs; a table has six significant digits.
        curve = curves[name].dropna()
        if list(own.index.sort_values()) != list(curve.index):
            yield f"{name} has {len(own)} epochs in MLflow, {len(curve)} in {path.name}"
        elif not np.allclose(own["value"].sort_index(), curve, rtol=1e-5):
            yield f"{name} has other values in MLflow than in {path.name}"


def last_error(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines)[-1] if lines else "no output"


if __name__ == "__main__":
    main()
