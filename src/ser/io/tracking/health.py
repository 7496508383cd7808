"""What can be wrong with MLflow's store, in one line each: found, expected, remedy.

MLflow tries to open a broken store ten times, over nearly a minute, and prints a traceback each
time; a SQLite file is therefore checked before MLflow opens it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from ser.errors import RegistryError, way_out
from ser.io.tracking.address import masked, shown_uri
from ser.io.tracking.patience import patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

#: MLflow's error codes of a store that works: a thing is missing, exists already, or is invalid.
ANSWERS = {
    "ALREADY_EXISTS",
    "ENDPOINT_NOT_FOUND",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "NOT_FOUND",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}
#: Tables of every MLflow store that has registered models.
TABLES = {"alembic_version", "experiments", "runs", "registered_models", "model_versions"}
#: Bytes up to which a database is read whole before it is used: a second at most.
QUICK_CHECK_LIMIT = 256 * 1024 * 1024
#: Seconds to wait for another process that writes to the database.
BUSY_TIMEOUT = 10.0
RESTORE = "Restore it from a backup, or move it away to start an empty store"
#: Part of an error of SQLite or a server -> what to do.
REMEDIES = {
    "readonly database": "It cannot be written: give this user write access to it and its folder.",
    "unable to open": "Give this user access to it and its folder.",
    "malformed": f"It is damaged. {RESTORE}.",
    "not a database": f"It is damaged. {RESTORE}.",
    "disk I/O": f"The disk fails, or the file is damaged. {RESTORE}.",
    "locked": "Another process has been writing to it for long; end that, then try again.",
    "could not be acquired": "Another process is making it ready; end that, then try again.",
    "no such": f"It is no whole MLflow store. {RESTORE}.",
    "Max retries exceeded": "The server is away, or refuses to answer: start it, then try again.",
    "timed out": "The server does not answer: start it again, then try again.",
    "code 401": "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "code 403": "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "Permission denied": "Give this user write access there.",
}


def check_database(path: Path, *, thoroughly: bool = False) -> str:
    """The revision of the schema of MLflow's SQLite file; raises RegistryError on damage.

    thoroughly : check all its pages, too.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise RegistryError(f"{path} is {kind}; expected MLflow's SQLite database. Move it away.")
    size = path.stat().st_size
    if size == 0:
        raise RegistryError(f"{path}, MLflow's store, is empty: its content is lost. {RESTORE}.")
    try:
        # Not read-only: what a killed process left half written is rolled back on opening.
        uri = f"file:{quote(str(path))}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT)) as database:
            if thoroughly and size <= QUICK_CHECK_LIMIT:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {found}")
            query = "SELECT name FROM sqlite_master WHERE type = 'table'"
            tables = {name for (name,) in database.execute(query)}
            if missing := sorted(TABLES - tables):
                raise RegistryError(
                    f"{path} is no whole MLflow store: it has no table {missing[0]}. {RESTORE}."
                )
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise RegistryError(f"{path}, MLflow's store, cannot be used {_why(error)}") from error
    if row is None:
        raise RegistryError(f"{path}, MLflow's store, names no version of its schema. {RESTORE}.")
    return str(row[0])


def is_outdated(path: Path, revision: str) -> bool:
    """Whether an older MLflow wrote the store; raises RegistryError where a newer one did."""
    import mlflow
    from alembic.util import CommandError

    script = _migrations()
    if revision == script.get_current_head():
        return False
    try:
        script.get_revision(revision)
    except CommandError as error:
        raise RegistryError(
            f"{path}, MLflow's store, has schema {revision}, which MLflow {mlflow.__version__} "
            f"does not have: a newer MLflow wrote it. Install that one, or move {path.name} away "
            "to start an empty store."
        ) from error
    return True


@contextmanager
def store_errors(root: Path) -> Iterator[None]:
    """Turn a failure of the store into a RegistryError; errors of `ANSWERS` pass unchanged."""
    from mlflow.exceptions import MlflowException

    failures: tuple[type[Exception], ...] = (MlflowException, OSError)
    # A client of an MLflow server does without it.
    with suppress(ImportError):
        from sqlalchemy.exc import SQLAlchemyError

        failures = (*failures, SQLAlchemyError)
    # It logs a traceback of each error.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        yield
    except failures as error:
        # A missing artifact is no failure of the store.
        if isinstance(error, FileNotFoundError) or getattr(error, "error_code", "") in ANSWERS:
            raise
        raise RegistryError(f"MLflow's store {shown_uri(root)} failed {_why(error)}") from error


def guarded(client: MlflowClient, root: Path) -> MlflowClient:
    """The client, with `store_errors` around each of its calls; all but those that create a thing
    are repeated `patiently`."""
    return cast("MlflowClient", _Guarded(client, root))


class _Guarded:
    def __init__(self, client: MlflowClient, root: Path) -> None:
        self._client, self._root = client, root

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)

        @wraps(call)
        def guarded_call(*args: Any, **options: Any) -> Any:
            def attempt() -> Any:
                with store_errors(self._root):
                    return call(*args, **options)

            # Who makes a thing has to look first whether it was made.
            return attempt() if name.startswith("create_") else patiently(self._root, attempt)

        return guarded_call


def lookup(call: Callable[..., T], *args: object) -> T | None:
    """What a client's `get_…` finds; None where MLflow has no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return call(*args)
    except MlflowException as error:
        # The second is MLflow's answer for an alias.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _why(error: Exception) -> str:
    """The error of SQLite or a server in brackets, and what to do about it."""
    known = (what for sign, what in REMEDIES.items() if sign in str(error))
    remedy = way_out(error) or next(known, "Mend that, then try again.")
    # SQLAlchemy may put a line about itself before SQLite's.
    said = next((line for line in str(error).splitlines() if way_out(line)), "")
    return f"({first_line(OSError(said) if said else error)}). {remedy}"


def first_line(error: Exception) -> str:
    """The error's first line, without passwords and final stop."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return masked(first)[:300].rstrip(".")


@cache
def _migrations() -> Any:
    import mlflow
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
