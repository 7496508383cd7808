"""`ser versions`, `ser history`: what is registered, and how each model came to serve."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ser.project import project_root

AsJson = Annotated[bool, typer.Option("--json", help="A JSON array on stdout.")]
SCORES = ("uar", "accuracy", "f1_macro", "chance")
#: Columns that fit into 80 characters; `--json` prints all.
SHOWN = ("version", "aliases", "model", "corpora", "protocol", "uar", "chance", "verdict")


def versions(as_json: AsJson = False) -> None:
    """All registered versions, newest first: scores, verdict, and which of them serves.

    The verdicts' reasons follow below; --json has all scores, and each version's run.
    """
    from ser.io.tracking.versions import all_versions

    rows = [
        {
            "version": version.version,
            "aliases": list(version.aliases),
            **{name: version.tags.get(name) for name in ("model", "corpora", "protocol")},
            **{score: _number(version.tags.get(score)) for score in SCORES},
            "verdict": version.verdict,
            "reason": version.verdict_reason,
            "run_id": version.run_id,
        }
        for version in all_versions(project_root())
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("No version is registered yet. `make run` registers the first.")
    else:
        _print(rows, {column: column for column in SHOWN})
        for row in rows:
            if row["reason"]:
                print(f"\n{row['version']}: {row['reason']}")


def history(as_json: AsJson = False) -> None:
    """The journal: every promotion, every champion that was kept, every roll-back; oldest first."""
    from ser.io.tracking import journal

    rows = journal.rows(project_root())
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("The journal is empty: nothing was judged yet. `make run` trains and judges.")
    else:
        columns = {"at": "at", "event": "event", "version": "version", "previous": "before"}
        minutes = [{**row, "at": row["at"][:16].replace("T", " ")} for row in rows]
        _print(minutes, {**columns, "at": "at (UTC)", "reason": "reason"})


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _print(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    """A table with these columns of the rows, under these titles."""
    table = Table(box=None, pad_edge=False)
    for title in columns.values():
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    # Words in brackets are no markup here.
    Console(markup=False, highlight=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)
