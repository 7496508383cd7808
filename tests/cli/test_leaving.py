"""Who stops reading, or presses Ctrl-C, amid many answers."""

import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def answering(trained):
    """`ser predict` of the embedded corpus, so many that processes help; leads its own group."""
    with subprocess.Popen(
        [sys.executable, "-m", "ser.cli", "predict", "data/raw", "--model", "models/bundle"],
        cwd=trained.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        # The processes have started: of 108 recordings the first 31 are answered without them.
        for _ in range(40):
            assert process.stdout.readline()
        yield process
        deadline = time.monotonic() + 30
        while group_lives(process.pid):
            assert time.monotonic() < deadline, "a process outlives the command"
            time.sleep(0.1)


def group_lives(group: int) -> bool:
    listing = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return any(row[0] == str(group) and not row[1].startswith("Z") for row in rows)


def test_an_interrupt_is_one_line_and_leaves_no_process(answering):
    os.killpg(answering.pid, signal.SIGINT)
    _, err = answering.communicate(timeout=30)
    assert err == "error: interrupted; what is printed stands.\n"
    assert answering.returncode == 130


def test_a_plain_kill_leaves_no_process_either(answering):
    answering.terminate()
    _, err = answering.communicate(timeout=30)
    assert err == "error: interrupted; what is printed stands.\n"
    assert answering.returncode == 130


def said_into(redirection, trained):
    line = f"{sys.executable} -m ser.cli corpus list {redirection}"
    return subprocess.run(
        ["bash", "-c", line], cwd=trained.root, capture_output=True, text=True, timeout=60
    )


def test_a_full_disk_behind_stdout_is_one_line(trained):
    done = said_into("> /dev/full", trained)
    assert done.returncode == 2
    assert done.stderr == (
        "error: What is printed cannot be written or read (No space left on device). "
        "Make room on that disk, then try again; `ser doctor` shows how full disks are.\n"
    )


def test_a_closed_stdout_is_no_error(trained):
    done = said_into(">&-", trained)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_who_leaves_is_no_error(answering):
    answering.stdout.close()
    assert answering.stderr.read() == ""
    assert answering.wait(30) == 1
