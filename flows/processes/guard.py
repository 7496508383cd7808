"""Run a command that ends when whoever started it ends: `guard.py GRACE LINGER COMMAND …`.

Its stdin is the lifeline: a pipe whose other end the starting process holds and the kernel
closes when that process dies, of SIGKILL too. Then, and on SIGINT, SIGTERM and SIGHUP, all that
the command has started is ended, whatever group or session it moved to.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

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

Start = Callable[..., "subprocess.Popen[Any]"]


@contextmanager
def guards() -> Iterator[Start]:
    """`start(command, grace=…, linger=…, **options of Popen)`: a command under a guard of its own.

    All that was started ends, and is waited for, when the block ends; it also ends when this
    process does. grace : seconds from SIGINT to SIGKILL. linger : seconds that what the command
    leaves behind may take to end, unless all of it ends with us.
    """
    reader, writer = os.pipe()
    started: list[subprocess.Popen[Any]] = []

    def start(
        command: Sequence[str], *, grace: float = GRACE, linger: float = LINGER, **options: Any
    ) -> subprocess.Popen[Any]:
        guard = [sys.executable, "-I", __file__, str(grace), str(linger)]
        # Ctrl-C in a terminal comes to this process alone, which ends the others in its own time.
        process = subprocess.Popen(
            [*guard, *command], stdin=reader, start_new_session=True, **options
        )
        started.append(process)
        return process

    try:
        yield start
    finally:
        os.close(reader)
        os.close(writer)
        for process in started:
            process.wait()


def main(command: list[str], grace: float, linger: float) -> int:
    """Run the command; its exit status, or 128 and the number of the signal that ended it."""
    if sys.platform == "linux":
        # Orphans of the command stay descendants.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    # With a handler here the command starts with the default, not with an ignored SIGINT such
    # as a shell hands to what it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    to_end = abandoned = False
    while process.poll() is None and not to_end:
        readable, *_ = select.select([LIFELINE, woken], [], [])
        # Nothing is ever written into the lifeline: it is readable once it is closed.
        to_end = abandoned = LIFELINE in readable
        if woken in readable and set(os.read(woken, 512)) - {signal.SIGCHLD}:
            to_end = True
    if to_end:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    deadline = time.monotonic() + (LINGER if abandoned else linger)
    while left := _descendants():
        if time.monotonic() > deadline:
            for descendant in left:
                with suppress(psutil.Error):
                    descendant.kill()
        time.sleep(PAUSE)
    status = process.wait()
    return status if status >= 0 else SIGNALLED - status


def _descendants() -> list[psutil.Process]:
    """Descendants that still run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[3:], float(sys.argv[1]), float(sys.argv[2])))
