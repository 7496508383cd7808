"""DVC's own words reach the user, with the file and the way out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ser.errors import SerError
from ser.io.intake import dvc

OUT = Path("data/raw/own")
CONFLICT = "<<<<<<< HEAD\nouts:\n- md5: {0}\n=======\nouts:\n- md5: {1}\n>>>>>>> theirs\n"
HOLD = """
import sys, time
from dvc.lock import make_lock
with make_lock(sys.argv[1], tmp_dir=sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / OUT).mkdir(parents=True)
    (tmp_path / OUT / "a.txt").write_text("a")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    return tmp_path


def test_without_git_the_message_says_how_to_do_without(root: Path) -> None:
    (root / ".dvc" / "config").write_text("")

    with pytest.raises(SerError, match=r"not a git repository.*core\.no_scm true") as caught:
        dvc.add(root, OUT)

    assert "\n" not in str(caught.value)
    command = re.search("`(dvc config [^`]*)`", str(caught.value))[1].split()
    subprocess.run([sys.executable, "-m", *command], cwd=root, check=True)
    dvc.add(root, OUT)
    assert dvc.tracked_md5(root, OUT).endswith(".dir")


def test_a_broken_configuration_is_named(root: Path) -> None:
    (root / ".dvc" / "config").write_text("[core\n")

    with pytest.raises(SerError, match=r"config.*line 1.*Mend \.dvc/config") as caught:
        dvc.add(root, OUT)

    assert "\n" not in str(caught.value)


def test_a_lock_that_another_process_holds_is_named(root: Path) -> None:
    (root / ".dvc" / "tmp").mkdir()
    lock = root / ".dvc" / "tmp" / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock), str(lock.parent)], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SerError, match=r"acquire lock.*Another DVC command") as caught:
            dvc.add(root, OUT)
    finally:
        holder.kill()
        holder.communicate()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dvc.lock", f"{OUT}.dvc"])
def test_a_merge_conflict_is_a_line_that_names_the_file(root: Path, name: str) -> None:
    (root / name).write_text(CONFLICT.format("a" * 32, "b" * 32))

    for act in (lambda: dvc.tracked_md5(root, OUT), lambda: dvc.add(root, OUT)):
        with pytest.raises(SerError, match=f"{re.escape(name)}, line 1, .*merge") as caught:
            act()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- 1",
        "stages: 5",
        "stages: [train]",
        "stages:\n  a: 1",
        "stages:\n  a:\n    outs: [b]",
        "stages:\n  a:\n    outs: [{path: b}]",
        "\0",
    ],
)
def test_a_lock_file_that_dvc_did_not_write_is_a_line(root: Path, text: str) -> None:
    (root / "dvc.lock").write_text(text)

    with pytest.raises(SerError, match=r"dvc\.lock.*git checkout") as caught:
        dvc.tracked_md5(root, OUT)

    assert "\n" not in str(caught.value)
