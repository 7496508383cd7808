"""Three registered versions in a real SQLite store."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ser.bundle import bundle_sha256
from support.project import Project
from support.registry import register_versions


@pytest.fixture(scope="session")
def prepared(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three versions, none promoted, whose bundles differ in their cards alone."""
    root = tmp_path_factory.mktemp("prepared")
    register_versions(root, trained.root / "models" / "bundle", range(1, 4))
    return root


@pytest.fixture(scope="session")
def sha(prepared: Path) -> list[str]:
    """Hashes of the three versions' bundles."""
    return [bundle_sha256(prepared / "bundles" / str(number)) for number in range(1, 4)]


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """The prepared project, the test's own to change; the artifacts stay where they are."""
    copy = tmp_path / "mlruns"
    copy.mkdir()
    shutil.copy(prepared / "mlruns" / "mlflow.db", copy)
    return tmp_path


@pytest.fixture
def own_artifacts(prepared: Path, root: Path) -> Path:
    """The prepared project with artifacts that the test may change."""
    shutil.copytree(prepared / "mlruns" / "artifacts", root / "mlruns" / "artifacts")
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database, database:
        for table, column in (
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (str(prepared), str(root)),
            )
    return root
