"""Run a command, and pass on each line that it prints at once."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.processes.guard import guards

#: Escape sequences for colours; a line that holds nothing else is empty.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


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
        with guards() as start:
            process = start(command, cwd=cwd, env=env, stdout=writer, stderr=writer)
            os.close(writer)
            # A closed pseudo-terminal reads as an I/O error, a closed pipe as nothing.
            with suppress(OSError):
                while data := os.read(reader, 65_536):
                    output.feed(data)
            output.end_line()
            return Finished(process.wait(), tuple(output.lines))
    finally:
        os.close(reader)


class _Output:
    """Splits a stream into lines and progress bars (what ends in a carriage return)."""

    def __init__(self, on_line: Callable[[str], None], *, draw: bool) -> None:
        self.lines: list[str] = []
        self._on_line, self._draw = on_line, draw
        self._rest, self._in_bar = b"", False

    def feed(self, data: bytes) -> None:
        for piece in data.splitlines(keepends=True):
            self._rest += piece
            if self._in_bar or piece.endswith(b"\r"):
                self._in_bar = not piece.endswith(b"\n")
                if self._draw:
                    sys.stderr.buffer.write(self._rest)
                    sys.stderr.flush()
                self._rest = b""
            elif piece.endswith(b"\n"):
                self.end_line()

    def end_line(self) -> None:
        if self._rest:
            line = ESCAPES.sub("", self._rest.decode(errors="replace")).rstrip()
            self._rest = b""
            self.lines.append(line)
            self._on_line(line)


def _like_stderr(terminal: int) -> None:
    """Give the pseudo-terminal our width, and keep it from turning \\n into \\r\\n."""
    columns, lines = os.get_terminal_size(sys.stderr.fileno())
    # A terminal without a size reports 0, and a bar 0 wide is not drawn.
    termios.tcsetwinsize(terminal, (lines or 24, columns or 80))
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
