"""`ser status`: what serves, what it was made of, what ran, what runs, what is next."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from textwrap import shorten
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.processes.environment import begin, failed
from flows.servers.services import Facts, services
from ser.errors import SerError
from ser.files import file_hash
from ser.io.intake import dvc
from ser.io.tracking import lineage
from ser.io.tracking.address import sqlite_file
from ser.io.tracking.registry import agreement, change, mending, versions
from ser.io.tracking.registry.versions import CHALLENGER, CHAMPION, Version
from ser.output import one_line
from ser.params import load_params
from ser.params.overrides import dotted
from ser.project import DRIFT_PAGE, RAW
from ser.watch.look_file import read_look

#: Characters of a hash or a revision that are shown; `--json` has all.
SHORT = 12
#: And of why a tick failed.
MESSAGE = 160
DOWN = "down; `ser up` starts it"


def main() -> int:
    """Show what serves, what it was made of, the last ticks, the next one, and what runs."""
    parser = argparse.ArgumentParser(prog="ser status", description=main.__doc__)
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
    registry, running = _registry(root), services(root)
    warnings = [*registry.pop("warnings"), *running.pop("warnings")]
    return {
        "project": str(root),
        "warnings": warnings,
        **registry,
        "data": _data(root),
        "drift": _drift(root, registry[CHAMPION]),
        **running,
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
        held = agreement.hold(change.history(root))
        since = {r["version"]: r["at"] for r in held if r["event"] in agreement.CHANGES}
        for alias in (CHAMPION, CHALLENGER):
            found = next((v for v in known if alias in v.aliases), None)
            if found is not None:
                facts[alias] = _version(found) | {"since": since.get(found.version)}
        if wrong := mending.disagreement(root):
            facts["warnings"] += wrong.splitlines()
    except SerError as error:
        facts["warnings"].append(str(error))
    return facts


def _drift(root: Path, champion: Facts | None) -> Facts | None:
    """The last look at what this champion answered; None where there was none yet."""
    found = read_look(root)
    if champion is None or found.get("version") != champion["version"]:
        return None
    return {name: found.get(name) for name in ("at", "drifted", "summary", "told", "late_labels")}


def _version(version: Version) -> Facts:
    tags = version.tags
    return {
        "version": version.version,
        **{name: tags.get(name) for name in ("model", "corpora", "protocol")},
        **{name: float(tags[name]) if name in tags else None for name in ("uar", "chance")},
        "verdict": version.verdict,
        "run_id": version.run_id,
        "dvc_lock_sha256": tags.get("dvc.lock.sha256"),
    }


def _data(root: Path) -> Facts:
    """Revision, hash of dvc.lock, of each corpus, and the parameters that it does not have yet."""
    lock = root / "dvc.lock"
    revision = lineage.git_revision(root)
    locked: dict[str, Any] = {}
    for stage in dvc.locked_stages(root).values():
        locked |= stage.get("params", {}).get(dvc.PARAMS, {})
    return {
        "git_revision": revision.get("mlflow.source.git.commit"),
        "git_dirty": revision.get("git.dirty") == "true",
        "dvc_lock_sha256": file_hash(lock) if lock.exists() else None,
        "corpora": {
            corpus: dvc.tracked_md5(root, RAW / corpus)
            for corpus in load_params(root / dvc.PARAMS).data.corpora
        },
        "parameters_changed": changed_parameters(locked, dvc.read_yaml(root / dvc.PARAMS) or {}),
    }


def changed_parameters(locked: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Dotted names of what differs, of the parameters and sections that dvc.lock has.

    >>> changed_parameters({"seed": 1, "data.labels": {"merge": {}}},
    ...                    {"seed": 1, "data": {"labels": {"merge": {"calm": "neutral"}}}})
    ['data.labels.merge.calm']
    """
    every = dict(dotted(current))
    before = dict(dotted(locked))
    now = {n: v for n, v in every.items() if any(f"{n}.".startswith(f"{key}.") for key in locked)}
    names = [n for n in {**before, **now} if before.get(n, {}) != now.get(n, {})]
    # An empty mapping that was filled is said by what is in it.
    return [n for n in names if not any(other.startswith(f"{n}.") for other in names)]


def _print(facts: Facts) -> None:
    # Words in brackets are no markup here.
    console = Console(markup=False, highlight=False)
    console.print(_table(_model_rows(facts)))
    console.print()
    if facts["ticks"]:
        console.print(_ticks_table(facts["ticks"]))
        console.print()
    console.print(_table([*_next_rows(facts), *_service_rows(facts)]))


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", min_width=len("Challenger"))
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _model_rows(facts: Facts) -> Iterator[tuple[str, str]]:
    """What serves, and from what."""
    for warning in facts["warnings"]:
        yield "Warning", warning
    yield "Champion", _version_text(facts[CHAMPION]) or "none; `make run` trains and judges"
    if facts[CHALLENGER] != facts[CHAMPION]:
        yield "Challenger", _version_text(facts[CHALLENGER]) or "none"
    data, champion = facts["data"], facts[CHAMPION]
    for corpus, md5 in data["corpora"].items():
        yield "Corpus", f"{corpus} {md5[:SHORT] if md5 else 'not made yet'}"
    lock = data["dvc_lock_sha256"]
    text = f"dvc.lock {lock[:SHORT]}" if lock else "no dvc.lock yet"
    if champion and champion["dvc_lock_sha256"] and lock:
        same = champion["dvc_lock_sha256"] == lock
        text += ", the champion's" if same else f", not that of version {champion['version']}"
    if revision := data["git_revision"]:
        dirty = ", with changes that are not committed" if data["git_dirty"] else ""
        text += f"; git {revision[:SHORT]}{dirty}"
    yield "Data", text
    if drift := facts["drift"]:
        yield "Drift", f"{drift['summary']} {_time(drift['at'])}; {DRIFT_PAGE}"
    elif champion:
        yield "Drift", "not looked at yet; `ser drift` does"
    changed = data["parameters_changed"]
    text = f"changed since the last run: {', '.join(changed)}" if changed else "as in dvc.lock"
    yield "Parameters", text


def _version_text(version: Facts | None) -> str:
    if version is None:
        return ""
    uar, chance = version["uar"], version["chance"]
    score = f", UAR {uar:.3f} (chance {chance:.3f})" if uar and chance else ""
    model, corpora, protocol = (version[name] for name in ("model", "corpora", "protocol"))
    made = f"{model} on {corpora}, {protocol}{score}" if model else "registered by hand"
    since = f" {_time(version['since'])}" if version["since"] else ""
    return f"version {version['version']}: {made}; {version['verdict'] or 'not judged yet'}{since}"


def _ticks_table(ticks: list[Facts]) -> Table:
    """Flow runs by their names, which begin with their time and end with what they did."""
    table = Table(box=None, pad_edge=False)
    rows = []
    for tick in ticks:
        name = tick["name"]
        # One that never began has Prefect's name.
        named = name if name[:4].isdigit() else f"{_time(tick['at'])} · {name}"
        failed = tick["outcome"] in ("Failed", "Crashed", "Cancelled")
        message = shorten(tick["message"] or "", MESSAGE, placeholder=" …")
        why = f": {message}" if failed and message else ""
        seconds = f"{tick['seconds']:.0f} s"
        rows.append((tick["outcome"], tick["by"], seconds, one_line(f"{named}{why}")))
    for column, title in enumerate(("ticks", "by", "took")):
        table.add_column(title, min_width=max(len(row[column]) for row in rows))
    table.add_column("flow run", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _next_rows(facts: Facts) -> Iterator[tuple[str, str]]:
    if facts["ticks"] is None:
        yield "Ticks", "known to Prefect alone"
        return
    if not facts["ticks"]:
        yield "Ticks", "none yet"
    paused = [d["name"] for d in facts["deployments"] or () if d["paused"]]
    words = [words for d in facts["deployments"] or () for words in d["schedules"]]
    if paused:
        yield "Next tick", f"none: {', '.join(paused)} is paused; resume it in Prefect"
    elif facts["next_tick"]:
        yield "Next tick", f"{_time(facts['next_tick'])} ({', '.join(words)})"
    else:
        yield "Next tick", "none is scheduled; `ser up` registers prefect.yaml"


def _service_rows(facts: Facts) -> Iterator[tuple[str, str]]:
    mlflow, prefect, worker = facts["mlflow"], facts["prefect"], facts["worker"]
    yield "MLflow", f"{mlflow['address']}, well" if mlflow["answers"] else DOWN
    yield "", mlflow["store"]
    page = (prefect["address"] or "").removesuffix("/api")
    yield "Prefect", f"{page}, well" if prefect["answers"] else DOWN
    if serve := facts["serve"]:
        serves = f", version {serve['version']}" if serve["version"] else ""
        yield "Serving", f"{serve['address']}, {serve['status']}{serves}"
    if worker:
        yield "Worker", f"{worker['name']}, {'well' if worker['online'] else 'away'}"
    elif prefect["answers"]:
        yield "Worker", "none that `ser up` started"
    else:
        yield "Worker", DOWN


def _time(text: str) -> str:
    """A time of a server or the journal, in this machine's time zone."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    sys.exit(main())
