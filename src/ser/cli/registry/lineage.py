"""`ser lineage`: what a version was made of."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ser.output import one_line
from ser.project import project_root
from ser.reporting.lineage import rows


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
