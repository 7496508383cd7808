"""`ser verdict`: each rule of the gate, with figure, limit and outcome."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ser.errors import RegistryError
from ser.output import one_line
from ser.project import project_root
from ser.reporting.verdict import TITLES, rule_cells, wear_text


def verdict(
    version: Annotated[
        str, typer.Argument(help="A number or an alias such as champion.")
    ] = "challenger",
    as_json: Annotated[bool, typer.Option("--json", help="The verdict, on stdout.")] = False,
) -> None:
    """Why a version became champion or was kept out: every rule of the gate.

    The rules and their limits stand in params.yaml, section gate; `ser run --dry-run` trains and
    judges, and registers nothing.
    """
    from ser.io.tracking.registry.records import find_record

    record, _ = find_record(project_root(), version)
    found = record["verdict"]
    if not found:
        raise RegistryError(f"Version {record['version']} was not judged; `make run` does that.")
    if as_json:
        print(json.dumps(found, indent=2))
        return
    console = Console(markup=False, highlight=False)
    fate = "promoted" if found["promote"] else "kept out"
    console.print(f"Version {record['version']} was {fate}. {one_line(found['reason'])}")
    if comparisons := found.get("comparisons"):
        console.print(f"Verdicts: {wear_text(comparisons, found.get('held_back', ()))}.")
    if rules := found.get("rules"):
        table = Table(*TITLES, box=None, pad_edge=False)
        for row in rule_cells(rules):
            table.add_row(*row)
        console.print()
        console.print(table)
