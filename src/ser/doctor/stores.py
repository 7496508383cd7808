"""MLflow's store, and the champion in it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ser.doctor.findings import Finding

#: Seconds in which a server's port must answer.
TIMEOUT = 3.0


def mlflow(root: Path) -> Iterator[Finding]:
    """Whether runs can be recorded. A store that is not there yet is not made."""
    from ser.io.tracking.address import shown_uri, sqlite_file, tracking_uri
    from ser.io.tracking.health import check_database

    shown = shown_uri(root)
    database = sqlite_file(root)
    if database is None:
        yield reached("MLflow", tracking_uri(root), shown, "MLFLOW_TRACKING_URI")
    elif not database.exists():
        yield Finding("MLflow", "ok", f"{shown}: not made yet; the first run makes it")
    else:
        check_database(database, thoroughly=True)
        yield Finding("MLflow", "ok", f"{shown}: whole, {_megabytes(database)} MB")


def champion(root: Path) -> Iterator[Finding]:
    """Whether what is promoted can be loaded, byte for byte as it was registered."""
    from ser.io.tracking.address import sqlite_file
    from ser.io.tracking.registry import bundles, versions

    database = sqlite_file(root)
    found = None if database and not database.exists() else versions.champion(root)
    if found is None:
        yield Finding("Champion", "ok", "none yet: `make run` trains and promotes one")
    elif defect := bundles.defect(root, found):
        damage, _, remedy = str(defect).partition(". ")
        yield Finding("Champion", "bad", damage, remedy or "ser roll-back, or make run")
    else:
        yield Finding("Champion", "ok", f"version {found.version}: its files are whole")


def reached(what: str, url: str, shown: str, variable: str) -> Finding:
    """Whether somebody listens at `url`, which `variable` names; shown : without a password."""
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    if not address.hostname or address.scheme not in ("http", "https"):
        return Finding(what, "ok", f"{shown} (not asked)")
    try:
        with socket.create_connection((address.hostname, port), TIMEOUT):
            return Finding(what, "ok", f"{shown} answers")
    except OSError as error:
        remedy = f"Start it, or unset {variable} to use the project's own."
        return Finding(what, "bad", f"{shown} does not answer: {error}", remedy)


def _megabytes(path: Path) -> int:
    return round(path.stat().st_size / 1024**2)
