"""A served bundle, quickly trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import Project
from support.serving import Server, serving


@pytest.fixture(scope="session")
def server(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the trained project's bundle, for all tests of a process."""
    with serving(trained.root / "models/bundle", tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="session")
def recordings(trained: Project) -> list[Path]:
    """Spoken sentences of the corpus that the served bundle was trained on, as WAV files."""
    return sorted((trained.root / "data/raw/synthetic").rglob("*.wav"))
