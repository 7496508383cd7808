"""Run a command, and pass on what it says while it says it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.guard import guarded, lifeline

#: Escape sequences for colours; a line that holds nothing else is empty.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Seconds that the guard may take to end a command; it kills what takes longer before that.
GRACE = 20.0


@dataclass(frozen=True)
class Finished:
    returncode: int
    lines: tuple[str, ...]


def run_streamed(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Finished:
    """Run `command` to its end; each line it prints goes to `on_line` at once.

    In a terminal the command gets one too, and its progress bars are drawn on stderr.
    Ctrl-C and any other exception end it, with all that it started, before they pass on; so
    does the end of this process, however it came.
    """
    terminal = sys.stderr.isatty()
    reader, writer = pty.openpty() if terminal else os.pipe()
    if terminal:
        _like_stderr(writer)
    output = _Output(on_line, draw=terminal)
    try:
        # Whatever cuts this short, a second signal or SIGKILL: the lifeline ends with it.
        with lifeline() as alive:
            process = subprocess.Popen(
                guarded(command),
                cwd=cwd,
                env=dict(env),
                stdin=alive,
                stdout=writer,
                stderr=writer,
                # Ctrl-C in a terminal comes to this process, which passes it on.
                start_new_session=True,
            )
            os.close(writer)
            try:
                # A closed pseudo-terminal reads as an I/O error, a closed pipe as nothing.
                with suppress(OSError):
                    while data := os.read(reader, 65_536):
                        output.feed(data)
                output.end()
                return Finished(process.wait(), tuple(output.lines))
            except BaseException:
                _end(process)
                raise
    finally:
        os.close(reader)


class _Output:
    """Splits a stream into lines and progress bars (what follows a carriage return)."""

    def __init__(self, on_line: Callable[[str], None], *, draw: bool) -> None:
        self.lines: list[str] = []
        self._on_line, self._draw = on_line, draw
        self._rest, self._in_bar = b"", False

    def feed(self, data: bytes) -> None:
        for piece in data.splitlines(keepends=True):
            if self._in_bar or piece.endswith(b"\r") or self._rest[:1] == b"\r":
                self._bar(piece)
                continue
            self._rest += piece
            if self._rest.endswith(b"\n"):
                self._line()

    def end(self) -> None:
        if self._rest:
            self._line()

    def _bar(self, piece: bytes) -> None:
        self._in_bar = not piece.endswith(b"\n")
        if self._draw:
            sys.stderr.buffer.write(self._rest + piece)
            sys.stderr.flush()
        self._rest = b""

    def _line(self) -> None:
        line = ESCAPES.sub("", self._rest.decode(errors="replace")).rstrip()
        self._rest = b""
        self.lines.append(line)
        self._on_line(line)


def _like_stderr(terminal: int) -> None:
    """Give the pseudo-terminal our width, and keep it from turning \\n into \\r\\n."""
    size = os.get_terminal_size(sys.stderr.fileno())
    # A terminal that does not know its size says 0, and a bar 0 wide is not drawn.
    shape = struct.pack("HHHH", size.lines or 24, size.columns or 80, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, shape)
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the guard end the command, and wait for it."""
    process.terminate()
    try:
        process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
