"""All looks at a project, or at the machine alone; and their table."""

from __future__ import annotations

from collections.abc import Iterable

from ser.doctor import data, environment, machine, stores
from ser.doctor.findings import Check, Finding

#: What does not need a project.
OF_THE_MACHINE: tuple[tuple[str, Check], ...] = (
    ("Python", environment.python),
    ("Packages", environment.pins),
    ("Extras", environment.extras),
    ("torch", environment.torch),
    ("Memory", machine.memory),
    ("Open files", machine.open_files),
    ("Disk", machine.disk),
    ("Writing", machine.writable),
)
OF_A_PROJECT: tuple[tuple[str, Check], ...] = (
    *OF_THE_MACHINE,
    ("git", data.git),
    ("params.yaml", data.params),
    ("DVC", data.dvc),
    ("MLflow", stores.mlflow),
    ("Champion", stores.champion),
)
MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "bad": "[red]✗[/]"}


def show(findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as it comes, with its remedy below; all of them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console, shown = Console(highlight=False), []
    for one in findings:
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_column(width=1)
        line.add_column(width=11)
        line.add_column(overflow="fold")
        line.add_row(MARKS[one.state], one.what, escape(one.found))
        if one.remedy:
            line.add_row("", "", f"[bold]→[/] {escape(one.remedy)}")
        console.print(line)
        shown.append(one)
    bad = sum(one.state == "bad" for one in shown)
    warned = sum(one.state == "warn" for one in shown)
    if bad or warned:
        console.print(f"\n{bad} in the way, {warned} to look at; → is the remedy.")
    else:
        console.print("\nAll is well.")
    return shown
