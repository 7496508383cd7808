"""`python -m flows.status`: what serves, what it was made of, what ran, what runs, what is next."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.dvc import PARAMS
from flows.processes import note, prefect_api
from flows.processes.environment import begin, failed
from flows.processes.platform import is_online
from flows.processes.server import API_URL, answers, mlflow_ui
from ser.errors import SerError, StageError
from ser.files import file_hash
from ser.io.intake import dvc
from ser.io.tracking import journal, lineage, versions
from ser.io.tracking.address import shown_uri, sqlite_file
from ser.io.tracking.runs import flatten
from ser.io.tracking.store import connect
from ser.io.tracking.versions import CHALLENGER, CHAMPION, Version
from ser.params import load_params
from ser.project import RAW

#: Flow runs that are shown.
TICKS = 5
#: Characters of a hash or a revision that are shown; `--json` has all.
SHORT = 12
DOWN = "down; `ser up` starts it"
Facts = dict[str, Any]


def main() -> int:
    """Show what serves, what it was made of, the last ticks, the next one, and what runs."""
    parser = argparse.ArgumentParser(prog="python -m flows.status", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="a JSON object on stdout")
    as_json = parser.parse_args().json
    root = begin()
    try:
        facts = gather(root)
    except SerError as error:
        return failed(error)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return 0


def gather(root: Path) -> Facts:
    """All facts, as `--json` prints them."""
    registry, services = _registry(root), _services(root)
    warnings = [*registry.pop("warnings"), *services.pop("warnings")]
    return {
        "project": str(root),
        "warnings": warnings,
        **registry,
        "data": _data(root),
        **services,
    }


def _registry(root: Path) -> Facts:
    """Champion and challenger; a registry that cannot be read is a warning."""
    facts: Facts = {CHAMPION: None, CHALLENGER: None, "warnings": []}
    database = sqlite_file(root)
    # Asking would create it.
    if database is not None and not database.exists():
        return facts
    try:
        known = versions.all_versions(root)
        since = {r["version"]: r["at"] for r in journal.rows(root) if r["event"] in journal.CHANGES}
        for alias in (CHAMPION, CHALLENGER):
            found = next((v for v in known if alias in v.aliases), None)
            if found is not None:
                facts[alias] = _version(root, found) | {"since": since.get(found.version)}
    except SerError as error:
        facts["warnings"].append(str(error))
    return facts


def _version(root: Path, version: Version) -> Facts:
    tags = version.tags
    run = connect(root).get_run(version.run_id)
    return {
        "version": version.version,
        **{name: tags.get(name) for name in ("model", "corpora", "protocol")},
        **{name: float(tags[name]) if name in tags else None for name in ("uar", "chance")},
        "verdict": version.verdict,
        "run_id": version.run_id,
        "dvc_lock_sha256": run.data.tags.get("dvc.lock.sha256"),
    }


def _data(root: Path) -> Facts:
    """Revision, hash of dvc.lock, of each corpus, and the parameters that it does not have yet."""
    lock = root / "dvc.lock"
    revision = lineage.git_revision(root)
    locked = dvc.locked_stages(root)
    before: dict[str, str] = {}
    for stage in locked.values():
        before |= flatten(stage.get("params", {}).get(PARAMS, {}))
    now = flatten(dvc.read_yaml(root / PARAMS) or {})
    return {
        "git_revision": revision.get("mlflow.source.git.commit"),
        "git_dirty": revision.get("git.dirty") == "true",
        "dvc_lock_sha256": file_hash(lock) if lock.exists() else None,
        "corpora": {
            corpus: dvc.tracked_md5(root, RAW / corpus)
            for corpus in load_params(root / PARAMS).data.corpora
        },
        "parameters_changed": [name for name in before if before[name] != now.get(name)],
    }


def _services(root: Path) -> Facts:
    """Addresses and health of what runs; the last ticks and the next one, where Prefect answers."""
    running = note.running(root)
    last = running or note.read(root)
    url = os.environ.get(API_URL, "").rstrip("/") or last.prefect_api
    # The address of the last time may be another project's by now.
    prefect = bool(running or os.environ.get(API_URL)) and bool(url) and answers(url)
    mlflow = mlflow_ui(root)
    facts: Facts = {
        "ticks": None,
        "next_tick": None,
        "deployments": None,
        "mlflow": {
            "address": mlflow,
            "answers": bool(running or mlflow != last.mlflow) and answers(mlflow),
            "store": shown_uri(root),
        },
        "prefect": {"address": url or None, "answers": prefect},
        "worker": None,
        "supervisor": running.pid if running else None,
        "warnings": [],
    }
    if running and running.store != shown_uri(root):
        facts["warnings"].append(
            f"Scheduled runs are recorded in {running.store}, those of this shell in "
            f"{shown_uri(root)}."
        )
    if not prefect:
        return facts
    try:
        facts["ticks"] = [_tick(run) for run in prefect_api.last_ticks(url, TICKS)]
        due = prefect_api.next_tick(url)
        facts["next_tick"] = due["expected_start_time"] if due else None
        facts["deployments"] = [
            {
                "name": found["name"],
                "paused": found["paused"],
                "schedules": [_words(s["schedule"]) for s in found["schedules"] if s["active"]],
            }
            for found in prefect_api.deployments(url)
        ]
        if running and running.worker:
            online = is_online(url, running.worker)
            facts["worker"] = {"name": running.worker, "online": online}
    except StageError as error:
        facts["warnings"].append(str(error))
    return facts


def _words(schedule: Facts) -> str:
    if "interval" in schedule:
        return f"every {schedule['interval']:.0f} s"
    return f"{schedule.get('cron') or schedule.get('rrule')} {schedule.get('timezone') or 'UTC'}"


def _tick(run: Facts) -> Facts:
    by = "schedule" if run["auto_scheduled"] else "Prefect" if run["deployment_id"] else "shell"
    return {
        "name": run["name"],
        "at": run["start_time"] or run["expected_start_time"],
        "by": by,
        "outcome": run["state_name"],
        "message": (run["state"] or {}).get("message"),
        "seconds": run["estimated_run_time"],
    }


def _print(facts: Facts) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in _rows(facts):
        table.add_row(*row)
    # Words in brackets are no markup here.
    Console(markup=False, highlight=False).print(table)


def _rows(facts: Facts) -> Iterator[tuple[str, str | Table]]:
    for warning in facts["warnings"]:
        yield "Warning", warning
    yield "Champion", _version_text(facts[CHAMPION]) or "none yet; `make run` trains and judges"
    if facts[CHALLENGER] != facts[CHAMPION]:
        yield "Challenger", _version_text(facts[CHALLENGER]) or "none"
    yield from _data_rows(facts)
    yield "", ""
    yield from _tick_rows(facts)
    yield "", ""
    mlflow, prefect, worker = facts["mlflow"], facts["prefect"], facts["worker"]
    health = f"{mlflow['address']} answers" if mlflow["answers"] else DOWN
    yield "MLflow", f"{health}; store: {mlflow['store']}"
    address = (prefect["address"] or "").removesuffix("/api")
    yield "Prefect", f"{address} answers" if prefect["answers"] else DOWN
    if worker:
        yield "Worker", f"{worker['name']}, {'online' if worker['online'] else 'offline'}"
    elif prefect["answers"]:
        yield "Worker", "none of this machine's; `ser up` or `ser worker` starts one"
    else:
        yield "Worker", DOWN


def _version_text(version: Facts | None) -> str:
    if version is None:
        return ""
    uar, chance = version["uar"], version["chance"]
    score = f", UAR {uar:.3f} (chance {chance:.3f})" if uar is not None else ""
    since = f" {_time(version['since'])}" if version["since"] else ""
    return (
        f"version {version['version']}: {version['model']} on {version['corpora']}, "
        f"{version['protocol']}{score}; {version['verdict'] or 'not judged yet'}{since}"
    )


def _data_rows(facts: Facts) -> Iterator[tuple[str, str]]:
    data, champion = facts["data"], facts[CHAMPION]
    for corpus, md5 in data["corpora"].items():
        yield "Corpus", f"{corpus} {md5[:SHORT] if md5 else 'not made yet'}"
    lock = data["dvc_lock_sha256"]
    text = f"dvc.lock {lock[:SHORT]}" if lock else "no dvc.lock yet"
    if champion and lock:
        same = champion["dvc_lock_sha256"] == lock
        text += ", the champion's" if same else f", not that of version {champion['version']}"
    if revision := data["git_revision"]:
        dirty = ", with changes that are not committed" if data["git_dirty"] else ""
        text += f"; git {revision[:SHORT]}{dirty}"
    yield "Data", text
    changed = data["parameters_changed"]
    text = f"changed since the last run: {', '.join(changed)}" if changed else "as in dvc.lock"
    yield "Parameters", text


def _tick_rows(facts: Facts) -> Iterator[tuple[str, str | Table]]:
    if facts["ticks"] is None:
        yield "Ticks", "known to Prefect, which is down; `ser up` starts it"
        return
    table = Table(box=None, pad_edge=False)
    for title in ("when", "by", "outcome", "took"):
        table.add_column(title, no_wrap=True)
    table.add_column("flow run", overflow="fold")
    for tick in facts["ticks"]:
        seconds = f"{tick['seconds']:.0f} s"
        # What went wrong; a run that ended well has its name for that.
        failed = tick["outcome"] in ("Failed", "Crashed", "Cancelled")
        name = f"{tick['name']}: {tick['message']}" if failed else tick["name"]
        table.add_row(_time(tick["at"]), tick["by"], tick["outcome"], seconds, name)
    yield "Ticks", table if facts["ticks"] else "none yet"
    paused = [d["name"] for d in facts["deployments"] or () if d["paused"]]
    crons = [words for d in facts["deployments"] or () for words in d["schedules"]]
    if paused:
        yield "Next tick", f"none: {', '.join(paused)} is paused; resume it in Prefect"
    elif facts["next_tick"]:
        yield "Next tick", f"{_time(facts['next_tick'])} ({', '.join(crons)})"
    else:
        yield "Next tick", "none is scheduled; `ser up` registers prefect.yaml"


def _time(text: str) -> str:
    """A time of a server or the journal, in this machine's time zone."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    sys.exit(main())
