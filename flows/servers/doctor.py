"""`ser doctor` in a project: its machine, environment, files and stores, and what runs here."""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from flows.processes import lock, note
from flows.processes.environment import begin
from flows.processes.server import API_URL, MLFLOW_PORT, PREFECT_PORT, SERVE_PORT
from flows.servers.services import health, left_over
from ser.doctor.findings import Finding, findings
from ser.doctor.looks import OF_A_PROJECT, show
from ser.doctor.stores import reached
from ser.io.tracking.address import masked
from ser.output import SOME_FAILED

PORTS = {"MLflow": MLFLOW_PORT, "Prefect": PREFECT_PORT, "server": SERVE_PORT}


def main() -> int:
    """Look this project over; changes nothing."""
    parser = argparse.ArgumentParser(prog="ser doctor", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON object on stdout")
    as_json = parser.parse_args().json
    root = begin()
    checks = (*OF_A_PROJECT, ("Prefect", prefect), ("Servers", servers), ("Locks", locks))
    found = findings(checks, root)
    if as_json:
        shown = list(found)
        content = {"project": str(root), "findings": [asdict(one) for one in shown]}
        print(json.dumps(content, indent=2))
    else:
        shown = show(found)
    return SOME_FAILED if any(one.state == "bad" for one in shown) else 0


def prefect(root: Path) -> Iterator[Finding]:
    """The server that PREFECT_API_URL names; without it a flow brings its own."""
    url = os.environ.get(API_URL)
    if url:
        yield reached("Prefect", url, masked(url), API_URL)


def servers(root: Path) -> Iterator[Finding]:
    """What `make up` has started, or who holds its ports."""
    running = note.running(root)
    if running:
        for name, is_well in health(running).items():
            log = "prefect" if name == "worker" else name
            remedy = f"See .ser/logs/{log}.log; `make down`, then `make up`."
            state = "answers" if is_well else "does not answer"
            yield (
                Finding("Servers", "ok", f"{name} {state}")
                if is_well
                else Finding("Servers", "bad", f"{name} {state}", remedy)
            )
        return
    if orphans := left_over(note.read(root).mark):
        found = f"{len(orphans)} processes of a killed `make up` run still: {orphans[:4]}"
        yield Finding("Servers", "warn", found, "make down")
    taken = {name: holder for name, port in PORTS.items() if (holder := _holder(port))}
    for name, holder in taken.items():
        remedy = "End it, or let it be: `make up` takes a port nearby."
        yield Finding("Ports", "warn", f"{PORTS[name]} ({name}) is taken by {holder}", remedy)
    if not taken:
        yield Finding("Ports", "ok", f"{', '.join(map(str, PORTS.values()))} are free")


def locks(root: Path) -> Iterator[Finding]:
    """Who works here now, and what a killed one left."""
    if held := lock.under_way(root):
        yield Finding("Locks", "ok", f"process {held['pid']} retrains since {held['since']}")
    elif (root / ".ser" / "retrain.json").exists():
        yield Finding("Locks", "ok", "a retraining was killed; the next one clears up after it")
    busy = [p for p in _writers(root) if not psutil.pid_exists(p)]
    if busy:
        found = f"DVC's lock names process {busy[0]}, which has ended"
        yield Finding("Locks", "warn", found, "DVC drops it by itself; if not: rm .dvc/tmp/rwlock")
    elif not held:
        yield Finding("Locks", "ok", "nobody works here now")


def _holder(port: int) -> str:
    """Who listens on this machine's port: its process where it may be asked; "" where nobody."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)):
            return ""
    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
    return "another process"


def _writers(root: Path) -> list[int]:
    """Processes that DVC's table of locks names."""
    with suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
        table = json.loads((root / ".dvc" / "tmp" / "rwlock").read_text(encoding="utf-8"))
        return [one["write"]["pid"] for one in table.values() if "write" in one]
    return []


if __name__ == "__main__":
    raise SystemExit(main())
