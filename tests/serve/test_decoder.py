"""What the process that decodes may not do."""

import socket
import urllib.request
from multiprocessing import get_context
from pathlib import Path

import pytest

from ser.io.audio.limits import Limits
from ser.serve.workers import decoder
from ser.serve.workers.wire import WorkerWire
from support.hostile import containers, hostile_files

LIMITS = Limits(max_bytes=2**24, max_seconds=300)


def tried(connection, path: str) -> None:
    decoder.warm(LIMITS)
    decoder.confine(2048)
    found = {}
    for name, act in {
        "read": lambda: Path("/etc/passwd").read_text(),
        "write": lambda: Path(path).write_text("x"),
        "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
        "fetch": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    }.items():
        try:
            act()
        except OSError as error:
            found[name] = error.errno or str(error)
    connection.send(found)


@pytest.mark.skipif(not decoder.OPEN.is_dir(), reason="descriptors are listed on Linux alone")
def test_it_opens_no_file_and_no_connection(tmp_path):
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=tried, args=(theirs, str(tmp_path / "debris")))
    process.start()
    # A process that fails then ends the test, instead of being waited for.
    theirs.close()
    found = ours.recv()
    process.join()
    assert set(found) == {"read", "write", "connect", "fetch"}
    # Too many open files.
    assert found["read"] == found["write"] == found["connect"] == 24
    assert not (tmp_path / "debris").exists()


def test_it_decodes_or_refuses_all_the_same():
    context = get_context("spawn")
    ours, theirs = socket.socketpair()
    process = context.Process(target=decoder.main, args=(theirs, LIMITS, 2048), daemon=True)
    process.start()
    theirs.close()
    wire = WorkerWire(ours)
    assert wire.receive()[0] == {"ready": True}
    for name, data in containers().items():
        wire.send({"id": name}, data)
        header, samples = wire.receive()
        assert header["id"] == name
        assert "error" not in header, header
        assert len(samples) > 4 * 2 * 15_000
    for name, data in hostile_files().items():
        wire.send({"id": name}, data)
        header, _ = wire.receive()
        assert set(header) in ({"id", "sr"}, {"id", "error"}), name
    ours.close()
    process.join(10)
    assert process.exitcode == 0
