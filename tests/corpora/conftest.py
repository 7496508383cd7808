"""Corpora laid out as their publishers do, in files without samples: labels never read any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


@pytest.fixture
def lay_out(tmp_path: Path) -> Callable[[Iterable[str]], Path]:
    """Make empty files of these relative names; their folder."""

    def make(names: Iterable[str]) -> Path:
        folder = tmp_path / "corpus"
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def checksums(real_corpora: Path) -> Callable[[str], dict[str, str]]:
    """Name -> SHA-256 of a corpus's files as published; skipped without SER_CORPORA."""

    def read(corpus: str) -> dict[str, str]:
        lines = (real_corpora / "checksums" / f"{corpus}.txt").read_text().splitlines()
        rows = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
        return {name: sha256 for sha256, _size, name in rows}

    return read
