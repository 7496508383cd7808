"""Files that cannot be written, names that are one, texts whatever the locale."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.errors import NotWritten, SerError, TableError
from ser.files import (
    atomic_path,
    check_file,
    check_folder,
    names_apart,
    no_room,
    read_json,
    write_json,
    write_text,
)
from support.full_disk import fill, small_disk


@pytest.mark.parametrize("write", [lambda path: write_text("x", path), check_file, check_folder])
@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/no such folder/x"])
def test_an_impossible_place_is_one_line(write, place):
    with pytest.raises(SerError, match=rf"^{place} cannot be written \(.+\)\. Mend that") as caught:
        write(Path(place))
    # For those that go on after it, such as the log of a server.
    assert isinstance(caught.value, OSError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "a.json"
    write_json({"a": 1}, target)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritten, match=r"a\.json cannot be written \(No space left"):
        write_json({"a": 2}, target)
    assert read_json(target) == {"a": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_itself_is_one_line_and_leaves_the_old_file(tmp_path):
    with small_disk(tmp_path / "disk", "256k") as disk:
        target = disk / "a.json"
        write_json({"a": 1}, target)
        filler = fill(disk)
        with pytest.raises(
            NotWritten, match=r"a\.json cannot be written \(No space left.*Make room"
        ):
            write_json({"a": "x" * 5000}, target)
        assert read_json(target) == {"a": 1}
        assert {path.name for path in disk.iterdir()} == {"a.json", filler.name}


def test_a_library_that_says_nothing_of_the_full_disk_is_explained_by_it(tmp_path):
    def write(target):
        with atomic_path(target) as folder:
            folder.mkdir()
            # It raises "System error."
            soundfile.write(folder / "a.wav", np.zeros(4_000_000), 16_000)

    with small_disk(tmp_path / "disk", "4m") as disk:
        with pytest.raises(NotWritten, match="No space left"):
            write(disk / "a")
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Make room on that disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "what this user may use"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "Make that file system writable"),
        (sqlite3.OperationalError("database or disk is full"), "Make room on that disk"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space"), "Make room"),
        ("ERROR: failed to reproduce 'split': [Errno 28] No space left on device", "Make room"),
    ],
)
def test_whatever_a_full_disk_is_called_its_line_says_what_to_do(error, remedy):
    assert remedy in no_room(error)
    if isinstance(error, Exception):
        wrapped = RuntimeError("it failed")
        wrapped.__cause__ = error
        assert remedy in no_room(wrapped)


def test_another_error_is_no_full_disk_unless_a_place_is_full(tmp_path):
    assert no_room(OSError(errno.EACCES, "Permission denied"), tmp_path) == ""
    assert no_room(ConnectionRefusedError(), tmp_path / "missing") == ""
    with small_disk(tmp_path / "disk", "256k") as disk:
        fill(disk)
        # A server that writes there, and says nothing of it.
        line = no_room(ConnectionRefusedError(), disk)
    assert line.startswith(f"The disk is full ({disk} has 0 KB left). Make room")


def test_what_a_kill_left_goes_with_the_next_write_and_what_another_process_writes_stays(tmp_path):
    child = os.fork()
    if child == 0:
        with atomic_path(tmp_path / "bundle") as temporary:
            temporary.mkdir()
            (temporary / "weights").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    alive = left.with_name(left.name.replace(str(child), str(os.getppid())))
    elsewhere = left.with_name(left.name.replace(socket.gethostname(), "elsewhere"))
    alive.touch()
    elsewhere.touch()

    write_text("x", tmp_path / "bundle")

    assert {*tmp_path.iterdir()} == {tmp_path / "bundle", alive, elsewhere}


def test_neither_a_folder_nor_a_device_is_overwritten(tmp_path):
    with pytest.raises(NotWritten, match="Is a directory"):
        check_file(tmp_path)
    for write in (check_file, lambda path: write_text("x", path)):
        with pytest.raises(NotWritten, match=r"/dev/null.*not a regular file"):
            write(Path("/dev/null"))
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_can_be_written_is_left_as_it_is(tmp_path):
    write_text("old", tmp_path / "a" / "x")
    check_file(tmp_path / "a" / "x")
    check_folder(tmp_path / "b")
    assert (tmp_path / "a" / "x").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "x"]


def test_an_error_in_a_block_that_is_none_of_the_system_s_stays_what_it_is(tmp_path):
    with pytest.raises(TableError), atomic_path(tmp_path / "a"):
        raise TableError("The table is empty.")


@pytest.mark.parametrize(
    "names", [["1", "1", "1-2"], ["1-2", "1", "1"], ["call", "Call", "CALL"], ["é", "e\u0301"]]
)
def test_no_two_names_are_one_on_any_file_system(names):
    import unicodedata

    found = names_apart(names)
    assert found[0] == names[0]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in found}) == len(names)


def test_a_name_that_is_no_utf_8_is_written_escaped(tmp_path):
    write_text("caf\udce9.wav", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "caf\\udce9.wav"


def test_the_remedy_fits_whose_file_it_is(tmp_path):
    own, damaged = tmp_path / "own.json", tmp_path / "damaged.json"
    damaged.write_text("[")
    (tmp_path / "list.json").write_text("[]")
    for path in (own, damaged, tmp_path / "list.json", tmp_path):
        with pytest.raises(TableError, match=r"dvc repro"):
            read_json(path)
        with pytest.raises(TableError, match=r"Name another\.$") as caught:
            read_json(path, remedy="Name another.")
        assert "dvc" not in str(caught.value)
