"""systemd takes the unit, whatever the checkout's folder is called."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.servers.systemd import unit, unit_name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
def test_systemd_verifies_the_unit_of_a_folder_with_spaces_percents_and_dollars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "50%s of $HOME speech"
    (root / ".venv/bin").mkdir(parents=True)
    python = root / ".venv/bin/python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    # Where systemd looks for what runs.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    file = tmp_path / unit_name(root)
    file.write_text(unit(root))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(file)], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_two_checkouts_of_one_name_have_units_of_their_own() -> None:
    assert unit_name(Path("/a/ser")) != unit_name(Path("/b/ser"))
