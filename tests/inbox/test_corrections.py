"""Corrections: kept whole, deleted when that is said, and never more than there is room for."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ser.inbox.corrections import DAY, RECORDING, Inbox, InboxFull
from ser.params.server import ServeParams

ROOT = Path(__file__).parents[2]
ID, OTHER = "a" * 32, "b" * 32


def test_one_correction_sent_many_times_at_once_is_kept_once_and_whole(tmp_path):
    inbox = Inbox(tmp_path, days=1, megabytes=1)
    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(lambda _: inbox.store(ID, {"label": "fear"}, b"x"), range(200)))
    assert kept == [["label", "audio"]] * 200
    assert [path.name for path in tmp_path.iterdir()] == [ID]
    assert (tmp_path / ID / RECORDING).read_bytes() == b"x"


def test_a_correction_beyond_the_room_is_refused_until_another_is_deleted(tmp_path):
    inbox = Inbox(tmp_path, days=1, megabytes=1)
    inbox.store(ID, {"label": "fear"}, bytes(2**19))
    with pytest.raises(InboxFull):
        inbox.store(OTHER, {"label": "fear"}, bytes(2**19))
    assert inbox.delete(ID)
    inbox.store(OTHER, {"label": "fear"}, bytes(2**19))
    assert [path.name for path in tmp_path.iterdir()] == [OTHER]


def test_what_cannot_be_deleted_is_not_said_to_be(tmp_path, monkeypatch):
    inbox = Inbox(tmp_path, days=1, megabytes=1)
    inbox.store(ID, {"label": "fear"}, b"x")

    def full(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(path)

    with monkeypatch.context() as during:
        during.setattr(shutil, "rmtree", full)
        with pytest.raises(PermissionError):
            inbox.delete(ID)
    assert inbox.delete(ID)
    assert not inbox.delete(ID)


def test_what_is_old_is_deleted_and_what_is_no_correction_left_alone(tmp_path):
    inbox = Inbox(tmp_path, days=2, megabytes=1)
    (tmp_path / ".gitkeep").touch()
    for name in (ID, OTHER):
        inbox.store(name, {"label": "fear"}, None)
    now = (tmp_path / ID).stat().st_mtime
    os.utime(tmp_path / ID, (now - 2 * DAY - 1,) * 2)
    os.utime(tmp_path / ".gitkeep", (0, 0))
    assert inbox.purge(now) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitkeep", OTHER]


@pytest.mark.parametrize("folder", [ServeParams().inbox.folder, ServeParams().traffic.folder])
def test_what_clients_sent_is_never_committed(folder):
    assert f"/{folder}/" in (ROOT / ".gitignore").read_text().splitlines()
    assert f"/{folder}" in (ROOT / ".dvcignore").read_text().splitlines()
