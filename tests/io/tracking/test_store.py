"""MLflow's store: deleted, damaged, of another MLflow, read-only, or behind a password."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ser.errors import RegistryError
from ser.io.tracking import address as mlflow_address
from ser.io.tracking import store
from ser.io.tracking.registry import versions

OPTIONS = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    store.prepare_store(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a fresh store, the test's own to damage."""
    for name in OPTIONS:
        # Set first, so that what the code sets is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    shutil.copytree(made / "mlruns", tmp_path / "mlruns")
    return tmp_path


def database(root: Path) -> Path:
    return root / "mlruns" / "mlflow.db"


def execute(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(database(root))) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize("name", [store.EXPERIMENT, store.BENCHMARKS])
def test_a_deleted_experiment_is_a_line_whose_command_restores_it(root: Path, name: str) -> None:
    experiment = store.prepare_store(root, name)
    store.connect(root).delete_experiment(experiment)

    with pytest.raises(RegistryError, match="is deleted") as caught:
        store.prepare_store(root, name)

    assert "\n" not in str(caught.value)
    command = re.search("`(.+)`", str(caught.value))[1]
    assert command.endswith(f"--experiment-id {experiment}")
    uri = re.match("MLFLOW_TRACKING_URI=(.+) mlflow experiments restore", command)[1]
    assert uri == f"sqlite:///{database(root)}"
    # What the command does, without the seconds of its start.
    store.connect(root).restore_experiment(experiment)
    assert store.prepare_store(root, name) == experiment


def empty(root: Path) -> None:
    database(root).write_bytes(b"")


def folder(root: Path) -> None:
    database(root).unlink()
    database(root).mkdir()


def no_database(root: Path) -> None:
    database(root).write_bytes(b"not a database" * 1000)


def cut_short(root: Path) -> None:
    content = database(root).read_bytes()
    database(root).write_bytes(content[: len(content) // 2])


def zeros_amid(root: Path) -> None:
    content = bytearray(database(root).read_bytes())
    content[4096:65536] = bytes(65536 - 4096)
    database(root).write_bytes(content)


def other_application(root: Path) -> None:
    database(root).unlink()
    execute(root, "CREATE TABLE songs (name TEXT)")


def table_lost(root: Path) -> None:
    execute(root, "DROP TABLE model_versions")


def newer(root: Path) -> None:
    execute(root, "UPDATE alembic_version SET version_num = 'f00dfeed0000'")


def no_version(root: Path) -> None:
    execute(root, "DELETE FROM alembic_version")


DAMAGES = [
    empty,
    folder,
    no_database,
    cut_short,
    zeros_amid,
    other_application,
    table_lost,
    newer,
    no_version,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_that_cannot_be_used_is_one_line_with_its_file_and_the_way_out(
    root: Path, damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # MLflow would try again for a minute.
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it is tried again"))
    damage(root)
    before = None if database(root).is_dir() else database(root).read_bytes()

    with pytest.raises(RegistryError) as caught:
        store.prepare_store(root)

    message = str(caught.value)
    assert "\n" not in message
    assert str(database(root)) in message
    assert re.search("backup|away", message)
    assert before is None or database(root).read_bytes() == before


def test_a_store_of_an_older_mlflow_is_upgraded_or_left_as_it_was(root: Path) -> None:
    # A revision of years ago on tables of today: its upgrade fails half-way.
    execute(root, "UPDATE alembic_version SET version_num = 'cfd24bdc0731'")
    before = database(root).read_bytes()

    with pytest.raises(RegistryError, match="cannot be upgraded") as caught:
        store.connect(root)

    assert "\n" not in str(caught.value)
    assert "mlflow db upgrade" in str(caught.value)
    assert database(root).read_bytes() == before


def test_what_breaks_while_it_is_used_is_one_line_as_well(root: Path) -> None:
    client = store.connect(root)
    client.create_registered_model(versions.MODEL)
    execute(root, "DROP TABLE registered_model_aliases")

    with pytest.raises(RegistryError, match="no such table") as caught:
        client.set_registered_model_alias(versions.MODEL, "champion", "1")

    assert "\n" not in str(caught.value)


READ = """
import sys
from pathlib import Path
from ser.io.tracking.registry import versions
root = Path(sys.argv[1])
print([v.version for v in versions.all_versions(root)], versions.champion(root))
"""


def test_reading_needs_no_write(root: Path, tmp_path: Path) -> None:
    script = f'mount --bind -o ro {root} {root} && exec {sys.executable} -c "$READ" {root}'
    tried = ["unshare", "--mount", "sh", "-c", f"mount --bind -o ro {root} {root}"]
    if not shutil.which("unshare") or subprocess.run(tried, capture_output=True).returncode:
        pytest.skip("nothing can be mounted read-only here: neither root nor a namespace of one")
    (root / "mlruns" / "mlflow.lock").unlink(missing_ok=True)

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={**os.environ, "READ": READ},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", "None"]


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "file:mlruns", "mlruns", "sqlite://"])
def test_a_folder_as_a_store_is_refused_in_a_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    with pytest.raises(RegistryError, match="expected sqlite:////PATH") as caught:
        store.prepare_store(root)

    assert "\n" not in str(caught.value)


def test_an_address_that_mlflow_does_not_take_is_a_line(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://user:secret@host/")

    with pytest.raises(RegistryError) as caught:
        store.prepare_store(root)

    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


class Guarded(http.server.BaseHTTPRequestHandler):
    """An MLflow server that asks for a user and password, and has no experiment."""

    seen: list[str]

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.seen.append(b64decode(given.removeprefix("Basic ")).decode())
        health = self.path.endswith("/health")
        status = 200 if health else 404 if self.seen[-1] == "user:p@ss" else 401
        self.send_response(status)
        self.end_headers()
        if status == 404:
            self.wfile.write(b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def guarded_server() -> Iterator[http.server.HTTPServer]:
    Guarded.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_a_user_and_password_in_the_address_are_given_to_the_server_and_never_shown(
    root: Path, monkeypatch: pytest.MonkeyPatch, guarded_server: http.server.HTTPServer
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    place = f"127.0.0.1:{guarded_server.server_port}/base"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:p%40ss@{place}")

    assert store.tracking_uri(root) == f"http://{place}"
    client = store.connect(root)
    assert client.get_experiment_by_name("any") is None

    assert Guarded.seen[-1] == "user:p@ss"
    assert "ss@" not in os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:wrong@{place}")
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        store.connect(root).get_experiment_by_name("any")
    assert "wrong" not in str(caught.value)


def test_a_server_that_is_away_is_named_without_its_password(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")

    with pytest.raises(RegistryError, match=r"No MLflow server answers at http://127") as caught:
        store.prepare_store(root)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:secret@host/db",
        "failed at postgresql+psycopg2://user:secret@host:1/db (it did)",
        "mysql://host/db?user=a&password=secret",
    ],
)
def test_no_password_is_shown(address: str) -> None:
    assert "secret" not in mlflow_address.masked(address)
