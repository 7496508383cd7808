"""`ser report`: a run in one page."""

from __future__ import annotations

import re
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ser.project import REPORT, project_root


def report(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION|RUN]",
            help="A version (3, champion, challenger), or a run of MLflow by its id or name; "
            "default: the model of this folder's files.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"The file to write; default: {REPORT}, of a version report-v3.html."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """A run in one page: scores, groups, wrong answers with players, stress suite, lineage.

    One HTML file that loads nothing from elsewhere: it can be sent and archived. It holds
    recordings of the corpus where data/raw has them.
    """
    from ser.files import check_file
    from ser.report.gather import find_run, of_project, of_run
    from ser.report.write import write_page

    root = project_root()
    check_file(out or root / REPORT)
    if run is None:
        found, path = of_project(root), root / REPORT
    else:
        run_id, version = find_run(root, run)
        name = f"v{version.version}" if version else re.sub(r"\W", "-", run_id)[:8]
        found, path = of_run(root, run_id, version), root / REPORT.parent / f"report-{name}.html"
    path = out or path
    write_page(found, path)
    silent = [player.why for player in found.players if not player.uri]
    if silent:
        print(
            f"{len(silent)} of {len(found.players)} wrong answers have no player: {silent[0]}",
            file=sys.stderr,
        )
    shown = path.resolve()
    print(shown.relative_to(Path.cwd()) if shown.is_relative_to(Path.cwd()) else shown)
    if open_it:
        webbrowser.open(shown.as_uri())
