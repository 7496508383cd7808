"""`ser lineage`: what a version was made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ser.core.scores.metrics import interval_text
from ser.output import one_line
from ser.project import project_root

#: Hashes are shown by their beginning, as Git does; `--json` has them whole.
SHOWN = 12


def lineage(
    version: Annotated[
        str,
        typer.Argument(help="A number, an alias such as challenger, or a lineage.json's path."),
    ] = "champion",
    as_json: Annotated[bool, typer.Option("--json", help="The whole record, on stdout.")] = False,
) -> None:
    """What a version was made of: code, data, parameters, libraries, machine, runs, verdict.

    The whole record is lineage.json beside the version's bundle; `ser reproduce` starts from it.
    """
    from ser.io.tracking.registry.records import find_record

    record, _ = find_record(project_root(), version)
    if as_json:
        print(json.dumps(record, indent=2))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, text in rows(record):
        table.add_row(title, one_line(text))
    # Words in brackets are no markup here.
    Console(markup=False, highlight=False).print(table)


def rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Titles and texts, the most asked for first."""
    test, verdict, run = record["scores"]["test"], record["verdict"], record["flow_run"]
    protocol, git = record["protocol"], record["git"]
    yield "Version", f"{record['version'] or 'not registered'} · {record['model']}"
    yield "Recorded", record["recorded_at"]
    score = f"UAR {test['uar']:.3f} {interval_text(test['uar_ci95'])}".rstrip()
    yield "Test", f"{score}, chance {test['chance']:.3f}"
    yield (
        "Protocol",
        f"{'+'.join(protocol['corpora'])} · {protocol['name']} fold {protocol['fold']}",
    )
    if verdict:
        yield "Verdict", f"{'promoted' if verdict['promote'] else 'kept out'}. {verdict['reason']}"
    if record["reason"]:
        yield "Reason", record["reason"]
    for name, value in record["overrides"].items():
        yield "Set for the run", f"{name} {value}"
    if git:
        dirty = f" + difference {git['diff_sha256'][:SHOWN]}" if git["dirty"] else ""
        yield "Code", f"{git['commit'][:SHOWN]}{dirty}"
    else:
        yield "Code", "not recorded: made outside Git"
    yield "dvc.lock", record["dvc_lock_sha256"][:SHOWN]
    for name, md5 in {**record["corpora"], **record["features"]}.items():
        yield name, f"DVC {md5}"
    yield "Manifest", f"DVC {record['manifest']}"
    yield "Split", record["split_sha256"][:SHOWN]
    yield "Bundle", record["bundle_sha256"][:SHOWN]
    yield "Seed", str(record["seed"])
    if record["spread"]:
        spread = record["spread"]
        yield "Spread", f"test UAR {min(spread):.3f} to {max(spread):.3f} over {len(spread)} seeds"
    yield "Flow run", f"{run['name'] or 'none'} {run['url'] or ''}".rstrip()
    yield "MLflow run", record["mlflow_run"]
    machine = record["machine"]
    yield "Machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    yield "BLAS", machine["blas"]
    libraries = {"python": machine["python"], **record["libraries"]}
    yield "Libraries", ", ".join(f"{name} {number}" for name, number in libraries.items())
