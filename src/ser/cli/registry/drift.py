"""`ser drift`: whether what is answered now is like what the champion was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ser.project import DRIFT_PAGE, project_root

#: Exit status of `--check` where there is drift.
DRIFTED = 3


def drift(
    log: Annotated[
        Path | None,
        typer.Option(help="Folder of a traffic log; default: serve.traffic.folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The look, on stdout.")] = False,
    check: Annotated[bool, typer.Option(help="Exit with status 3 where there is drift.")] = False,
) -> None:
    """Compare the last answers with the recordings that the champion was trained on.

    Figures of the traffic log alone; new speakers are no drift. `make up` looks by itself, tells
    (`ser notify`) and retrains: params.yaml, section drift. The page is reports/drift.html.
    """
    from ser.errors import SerError
    from ser.params import load_params
    from ser.watch import looking
    from ser.watch.page import TITLES, finding_cells, late_line, slice_line

    if log is not None and not log.is_dir():
        raise SerError(f"{log} is no folder; name one that has a traffic log.")
    root = project_root()
    found = looking.look(root, load_params(root / "params.yaml"), folder=log)
    document = found.to_dict()
    # What lies elsewhere is no look at this project's traffic.
    if log is None:
        looking.write(root, found)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        console = Console(markup=False, highlight=False)
        console.print(f"Version {document['version']}. {document['summary']}")
        for one in document["slices"]:
            console.print()
            console.print(slice_line(one))
            if one["findings"]:
                table = Table(*TITLES, box=None, pad_edge=False)
                for row in finding_cells(one["findings"]):
                    table.add_row(*row)
                console.print(table)
        console.print()
        console.print(f"Late labels: {late_line(document['late_labels'])}.")
        if log is None:
            console.print(str(DRIFT_PAGE))
    if check and document["drifted"]:
        raise typer.Exit(DRIFTED)
