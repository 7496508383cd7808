"""`python flows/guard.py SECONDS COMMAND …`: run a command that ends when whoever started it ends.

Its stdin is the lifeline: a pipe whose other end the starting process holds and the kernel
closes when that process dies, of SIGKILL too. Then, on SIGINT and on SIGTERM, all that the
command has started is ended, whatever group or session it moved to. Only the standard library
is imported, so that a guard costs 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

#: Seconds that a command may take to end on SIGINT, on which stages clean up.
GRACE = 10.0
#: Seconds between two looks at what is left.
PAUSE = 0.05
#: Seconds that processes which outlive a command may take to end by themselves.
LINGER = 1.0
#: The file descriptor that ends with the process that started the guard.
LIFELINE = 0
#: Linux's number of the option that makes orphans children of this process.
PR_SET_CHILD_SUBREAPER = 36
#: A shell's status of a command that a signal ended, above the signal's number.
SIGNALLED = 128


@contextmanager
def lifeline() -> Iterator[int]:
    """The guard's stdin: a pipe that closes when the block, or this process, ends."""
    reader, writer = os.pipe()
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


def guarded(command: Sequence[str], *, grace: float = GRACE) -> list[str]:
    """The command line that runs `command` under a guard; start it with `lifeline` as stdin.

    grace : seconds from SIGINT to SIGKILL, when it is to end.
    """
    guard = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", guard, str(grace), *command]


def main(command: list[str], grace: float) -> int:
    """Run the command; its exit status, or 128 and the number of the signal that ended it."""
    _adopt_orphans()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    # With a handler here the command starts with the default, not with an ignored SIGINT such
    # as a shell hands to what it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    told = False
    while process.poll() is None and not told:
        readable, *_ = select.select([LIFELINE, woken], [], [])
        if woken in readable and set(os.read(woken, 512)) - {signal.SIGCHLD}:
            told = True
        if LIFELINE in readable and not os.read(LIFELINE, 512):
            told = True
    if told:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGINT)
    deadline, ended = time.monotonic() + grace, False
    while left := _left(process):
        if not ended and process.poll() is not None:
            deadline, ended = min(deadline, time.monotonic() + LINGER), True
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE)
    status = process.wait()
    return status if status >= 0 else SIGNALLED - status


def _adopt_orphans() -> None:
    """On Linux, be the parent of all descendants whose own parent has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _left(process: subprocess.Popen[bytes]) -> list[int]:
    """Descendants that still run; without /proc only those of the command's own group."""
    ended = process.poll() is not None
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return [] if ended else [process.pid]
        return [-process.pid]
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything.
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if state != "Z":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        of_this = children.get(waiting.pop(), [])
        found += of_this
        waiting += of_this
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], float(sys.argv[1])))
