"""`ser versions`, `ser history`: what is registered, and how each model came to serve.

`ser promote`, `ser roll-back`: people choose what serves.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ser.errors import SerError
from ser.output import SOME_FAILED, one_line, printable
from ser.project import project_root

AsJson = Annotated[bool, typer.Option("--json", help="A JSON array on stdout.")]
SCORES = ("uar", "accuracy", "f1_macro", "chance")
TIME, WHO_WIDTH = "at (UTC)", 20
#: Columns that fit into 80 characters; `--json` prints all.
SHOWN = ("version", "aliases", "model", "corpora", "protocol", "uar", "chance", "verdict")


def versions(as_json: AsJson = False) -> None:
    """All registered versions, newest first: scores, verdict, and which of them serves.

    The verdicts' reasons follow below; --json has all scores, and each version's run.
    """
    from ser.io.tracking.registry.versions import all_versions

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
    from ser.io.tracking.registry import journal

    rows = journal.rows(project_root())
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("The journal is empty: nothing was judged yet. `make run` trains and judges.")
    else:
        columns = {"at": TIME, "event": "event", "version": "to", "previous": "from"}
        _print(map(_shown, rows), {**columns, "who": "who", "reason": "reason"})


def promote(
    version: Annotated[int, typer.Argument(help="Number of the registered version.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "promoted by hand",
) -> None:
    """Make a registered version the champion, past the gate."""
    from ser.io.tracking.pages.describe import describe_verdict
    from ser.io.tracking.registry import promotion
    from ser.io.tracking.registry.versions import get_version

    root = project_root()
    _mend_registry(root)
    named = get_version(root, version)
    if promoted := promotion.promote(root, named, reason=one_line(reason)):
        describe_verdict(root, promoted)
        print(f"Version {version} is the champion.")
        _tell(root, "promotion", version, f"Version {version} is promoted by hand: {reason}")
    else:
        print(f"Version {version} is the champion already; nothing changed.")


def roll_back(
    version: Annotated[
        int | None,
        typer.Argument(help="An earlier champion; default: the one before this one."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "rolled back by hand",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Give the champion's place back to its predecessor, or to an earlier champion."""
    from ser.io.tracking.registry import promotion
    from ser.io.tracking.registry.versions import champion

    root = project_root()
    _mend_registry(root)
    before, now = promotion.rolled_back_to(root, version), champion(root)
    if now is not None and not yes:
        question = f"Version {now.version} serves. Roll back to version {before.version}?"
        if not sys.stdin.isatty():
            command = "ser roll-back --yes" if version is None else f"ser roll-back {version} --yes"
            raise SerError(
                f"{question} stdin is no terminal to confirm it in. Confirm it by `{command}`."
            )
        if not typer.confirm(question):
            raise typer.Exit(SOME_FAILED)
    before = promotion.roll_back(root, before.version, reason=one_line(reason))
    print(f"Version {before.version} is the champion again.")
    left = f"Rolled back from version {now.version} by hand" if now else "Rolled back by hand"
    serves = f"Version {before.version} serves again"
    _tell(root, "rollback", before.version, f"{serves}. {left}: {reason}")


def _tell(root: Path, kind: str, version: int, what: str) -> None:
    """Have the Prefect server of `ser up`, where one runs, notify whom `ser notify` has set up."""
    from ser.io.tracking.lineage import user

    # In a folder without the flows no server was started.
    if (root / "flows").is_dir():
        summary = one_line(f"{what.rstrip('.')} ({user()}).")
        words = ["-m", "flows.events", kind, str(version), summary]
        subprocess.run([sys.executable, *words], cwd=root, check=False)


def _mend_registry(root: Path) -> None:
    """What was changed by hand is said, and recorded, before anything is changed by a command."""
    from ser.io.tracking.registry import mending

    for message in mending.agree(root):
        print(one_line(message), file=sys.stderr)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    who = row.get("who")
    return {
        **row,
        "at": row["at"][:16].replace("T", " "),
        "who": f"{who} (flow)" if row.get("flow_run") else who,
    }


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _print(rows: Iterable[dict[str, Any]], columns: dict[str, str]) -> None:
    """A table with these columns of the rows, under these titles."""
    table = Table(box=None, pad_edge=False)
    for title in columns.values():
        width = WHO_WIDTH if title == "who" else None
        table.add_column(title, overflow="fold", no_wrap=title == TIME, max_width=width)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    # Words in brackets are no markup here.
    Console(markup=False, highlight=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else printable(str(value))
