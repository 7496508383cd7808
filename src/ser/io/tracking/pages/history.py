"""Runs that were logged before, to compare a new one with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.io.tracking.health import lookup
from ser.io.tracking.pages.names import (
    PALETTE,
    Logged,
    changes,
    colour,
    differences,
    plain,
    run_name,
    unique,
)
from ser.io.tracking.registry.versions import MODEL
from ser.io.tracking.store import connect

#: MLflow shows no tag with its own prefix.
COLOUR, BEFORE = "mlflow.runColor", "mlflow.compared_with"
#: Letters of a tag.
LONGEST = 2000


def load_run(root: Path, run_id: str) -> Logged | None:
    """What a run logged; None where the store does not have it."""
    found = lookup(connect(root).get_run, run_id)
    return _logged(found) if found else None


def find_run(root: Path, named: str) -> str | None:
    """The id of the run that has this id, or is the newest of this name; None where none is."""
    client = connect(root)
    if re.fullmatch(r"[0-9a-f]{32}", named):
        return named if lookup(client.get_run, named) else None
    # Names of runs have no quotes.
    experiments = [e.experiment_id for e in client.search_experiments()]
    if not named or "'" in named or not experiments:
        return None
    found = client.search_runs(experiments, f"attributes.run_name = '{named}'", max_results=1)
    return found[0].info.run_id if found else None


def run_before(root: Path, experiment_id: str, model: str, corpora: str) -> Logged | None:
    """The last finished run of the model on these corpora, else of the model, else of any.

    Nested runs do not count: they have no tag `corpora`.
    """
    client = connect(root)
    finished = "attributes.status = 'FINISHED' AND tags.corpora LIKE '%'"
    of_model = f"{finished} AND tags.model = '{model}'"
    for condition in (f"{of_model} AND tags.corpora = '{corpora}'", of_model, finished):
        found = client.search_runs([experiment_id], condition, max_results=1)
        if found:
            return _logged(found[0])
    return None


def compared_with(root: Path, run: Logged) -> dict[str, Logged]:
    """Runs to compare this one with, by what they are to it: the champion's when it was trained,
    and the run before."""
    number = run.tags.get("champion", "").removeprefix("version ")
    found = {}
    if number.isdecimal():
        version = lookup(connect(root).get_model_version, MODEL, number)
        if version and version.run_id and version.run_id != run.run_id:
            found["champion then"] = load_run(root, version.run_id)
    if before := run.tags.get(BEFORE):
        found["the run before"] = load_run(root, before)
    known = {role: other for role, other in found.items() if other is not None}
    same = {other.run_id: role for role, other in reversed(known.items())}
    return {role: other for role, other in known.items() if same[other.run_id] == role}


def named(
    root: Path, experiment_id: str, params: Mapping[str, str], tags: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """A unique name for a run that is about to start, and tags: what differs, and its colour.

    params : flat. tags : those by which states of data and code are told apart, and DVC's
    experiment.
    """
    now = Logged(params, tags)
    before = run_before(root, experiment_id, params["model.name"], tags.get("corpora", ""))
    different = differences(before, now)
    name = run_name(now, different, tags.get("dvc.exp.name", ""))
    client = connect(root)
    alike = client.search_runs(
        [experiment_id], f"attributes.run_name LIKE '{name}%'", max_results=1000
    )
    name = unique(name, {run.info.run_name for run in alike})
    recent = client.search_runs([experiment_id], max_results=len(PALETTE))
    own_colour = {COLOUR: colour(run.data.tags.get(COLOUR, "") for run in recent)}
    if before is None:
        return name, own_colour
    changed = changes(before, now)
    said = [f"{key} {old} → {new}" for key, (old, new) in plain(changed).items()]
    return name, {
        **own_colour,
        "compared_with": before.name,
        BEFORE: before.run_id,
        "differs": ", ".join(said or different)[:LONGEST],
    }


def _logged(run: Any) -> Logged:
    data, info = run.data, run.info
    return Logged(
        dict(data.params),
        dict(data.tags),
        dict(data.metrics),
        info.run_name,
        info.run_id,
        info.experiment_id,
    )
