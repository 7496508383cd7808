"""Where MLflow's store is: the address, its credentials, and how it may be shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ser.errors import RegistryError

VARIABLE = "MLFLOW_TRACKING_URI"
USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
SQLITE = "sqlite:///"
#: Where flow runs with parameters of their own, and reproductions, have their working trees.
WORKTREES = Path(".ser/worktrees")


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else SQLite under the project of `root`.

    Without a server's user and password. A SQLite file is named by its absolute path. Raises
    RegistryError on a folder, which MLflow no longer takes as a store.
    """
    uri = os.environ.get(VARIABLE)
    if not uri:
        return f"{SQLITE}{project_of(root) / 'mlruns' / 'mlflow.db'}"
    scheme = urlsplit(uri).scheme.lower()
    if scheme in ("", "file"):
        raise RegistryError(
            f"{VARIABLE} is {uri}, a folder, where MLflow keeps no runs any more; expected "
            f"sqlite:////PATH/mlflow.db or http://HOST:PORT. Unset {VARIABLE} to use the "
            "project's own store."
        )
    if scheme == "sqlite":
        path, mark, query = uri.partition(":")[2].partition("?")
        if not path.startswith("///") or path in ("///", "///:memory:"):
            raise RegistryError(
                f"{VARIABLE} is {uri}, which names no file; expected sqlite:////PATH/mlflow.db. "
                f"Unset {VARIABLE} to use the project's own store."
            )
        return f"{SQLITE}{root.resolve() / path.removeprefix('///')}{mark}{query}"
    return _without_userinfo(uri) if scheme in ("http", "https") else uri


def shown_uri(root: Path) -> str:
    """The store's address for messages and reports: no password is in it."""
    return masked(tracking_uri(root))


def masked(text: str) -> str:
    """`text` with the passwords of the addresses in it left out."""
    text = re.sub(r"(://[^:/@\s]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", text)


def project_of(root: Path) -> Path:
    """The project that owns the stores of `root`: itself, or the one that works there.

    `dvc exp run --temp` and `--queue` run in a clone under .dvc/tmp/exps, a flow run with
    parameters of its own in a worktree under .ser/worktrees; both are deleted after.
    """
    root = root.resolve()
    for folder in root.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
        if folder.parts[-2:] == WORKTREES.parts:
            return folder.parents[1]
    return root


def sqlite_file(root: Path) -> Path | None:
    """The store's database where it is a SQLite file, None where it is a server's."""
    uri = tracking_uri(root)
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def local_place(root: Path, directory: Path) -> Path:
    """Where a local store's files are: MLflow keeps the paths from before a project was moved."""
    database = sqlite_file(root)
    if database is None or directory.is_dir():
        return directory
    _, _, inside = directory.as_posix().rpartition("/mlruns/artifacts/")
    moved = database.parent / "artifacts" / inside
    return moved if inside and moved.is_dir() else directory


def adopt_credentials() -> None:
    """Move `user:password@` out of MLFLOW_TRACKING_URI to where MLflow reads credentials.

    MLflow would print and log the whole address. Processes started later find it split, too.
    """
    uri = os.environ.get(VARIABLE, "")
    parts = urlsplit(uri)
    userinfo, at, _ = parts.netloc.rpartition("@")
    if not at or parts.scheme.lower() not in ("http", "https"):
        return
    user, colon, password = userinfo.partition(":")
    os.environ[USERNAME] = unquote(user)
    if colon:
        os.environ[PASSWORD] = unquote(password)
    os.environ[VARIABLE] = _without_userinfo(uri)


def _without_userinfo(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
