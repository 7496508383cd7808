"""What can be wrong with MLflow's store, in one line each: found, expected, remedy.

MLflow tries a store that it cannot open ten times, over nearly a minute, and prints a traceback
for each; a SQLite file is therefore looked at before MLflow opens it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ser.errors import RegistryError
from ser.io.tracking.address import masked, shown_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Answers of a store that works: what was asked for is not there, is there, or makes no sense.
ANSWERS = {
    "ALREADY_EXISTS",
    "ENDPOINT_NOT_FOUND",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "NOT_FOUND",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}
#: Tables that every MLflow store has had since there are registered models.
TABLES = {"alembic_version", "experiments", "runs", "registered_models", "model_versions"}
#: Bytes up to which a database is read whole before it is used: a second at most.
QUICK_CHECK_LIMIT = 256 * 1024 * 1024
#: Seconds to wait for another process that writes to the database.
BUSY_TIMEOUT = 10.0
RESTORE = "Restore it from a backup, or move it away to start an empty store"
#: What SQLite or a server says -> what to do.
REMEDIES = {
    "readonly database": "It cannot be written: give this user write access to it and its folder.",
    "unable to open": "Give this user access to it and its folder.",
    "malformed": f"It is damaged. {RESTORE}.",
    "not a database": f"It is damaged. {RESTORE}.",
    "disk I/O": f"The disk fails, or the file is damaged. {RESTORE}.",
    "is full": "Make room on the disk, then try again.",
    "locked": "Another process has been writing to it for long; end that, then try again.",
    "no such": f"It is no whole MLflow store. {RESTORE}.",
    "code 401": "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "code 403": "Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "Permission denied": "Give this user write access there.",
    "Read-only file system": "Give this user write access there.",
}


def check_database(path: Path, *, thoroughly: bool = False) -> str:
    """The schema's revision of MLflow's SQLite file; raises RegistryError where it is not sound.

    thoroughly : look at all its pages, too.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise RegistryError(f"{path} is {kind}; expected MLflow's SQLite database. Move it away.")
    try:
        with path.open("rb") as file:
            size, magic = path.stat().st_size, file.read(16)
    except OSError as error:
        raise RegistryError(
            f"{path}, MLflow's store, cannot be read ({error.strerror}). Give this user access."
        ) from error
    if size == 0:
        raise RegistryError(f"{path}, MLflow's store, is empty: its content is lost. {RESTORE}.")
    if magic != b"SQLite format 3\0":
        raise RegistryError(f"{path}, MLflow's store, is no SQLite database. {RESTORE}.")
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
        raise RegistryError(
            f"{path}, MLflow's store, cannot be used ({_one_line(error)}). {remedy(str(error))}"
        ) from error
    if row is None:
        raise RegistryError(f"{path}, MLflow's store, has no schema's version. {RESTORE}.")
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
    """Turn a failure of the store into a RegistryError; MLflow's answers pass as they are."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    # Its tracebacks would stand above the one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        yield
    except FileNotFoundError:
        raise
    except MlflowException as error:
        if error.error_code in ANSWERS:
            raise
        raise _failure(root, error) from error
    except (SQLAlchemyError, requests.RequestException, OSError) as error:
        raise _failure(root, error) from error


def guarded(client: MlflowClient, root: Path) -> MlflowClient:
    """The client, with `store_errors` around each of its calls."""
    proxy: Any = _Guarded(client, root)
    return proxy


def remedy(reason: str) -> str:
    """What to do about what SQLite or a server said."""
    known = (what for sign, what in REMEDIES.items() if sign in reason)
    return next(known, "Mend that, then try again.")


class _Guarded:
    def __init__(self, client: MlflowClient, root: Path) -> None:
        self._client, self._root = client, root

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        return self._guard(value) if callable(value) else value

    def _guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def guarded_call(*args: Any, **options: Any) -> Any:
            with store_errors(self._root):
                return call(*args, **options)

        return guarded_call


def _failure(root: Path, error: Exception) -> RegistryError:
    return RegistryError(
        f"MLflow's store {shown_uri(root)} failed ({_one_line(error)}). {remedy(str(error))}"
    )


def _one_line(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return masked(first)[:300].rstrip(".")


@cache
def _migrations() -> Any:
    import mlflow
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
