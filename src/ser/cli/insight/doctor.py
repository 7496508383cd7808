"""`ser doctor`: what would stop the work, and the remedy."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from ser.output import SOME_FAILED
from ser.project import find_root


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")] = False,
) -> None:
    """Look over Python, packages, disk, stores, ports and locks; each fault with its remedy.

    Changes nothing, and asks no server outside this machine but those that you have named.
    The exit status is 1 where something is in the way.
    """
    if find_root():
        # The servers and locks of a project are known to its flows.
        os.chdir(find_root() or ".")
        words = [sys.executable, "-m", "flows.servers.doctor", *(["--json"] if as_json else [])]
        sys.stdout.flush()
        os.execv(sys.executable, words)
    from pathlib import Path

    from ser.doctor.findings import findings
    from ser.doctor.looks import OF_THE_MACHINE, show

    found = findings(OF_THE_MACHINE, Path.cwd())
    if as_json:
        shown = list(found)
        print(json.dumps({"project": None, "findings": [asdict(one) for one in shown]}, indent=2))
    else:
        shown = show(found)
        print("This is the machine alone: the current folder is in no project.")
    if any(one.state == "bad" for one in shown):
        raise typer.Exit(SOME_FAILED)
