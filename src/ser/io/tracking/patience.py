"""Waiting for an MLflow server that went away while a training or its verdict is recorded.

Stages and flows wait; a command that a person waits for fails at once. Nobody waits for a server
that has not answered before: a misspelt address is an error at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ser.errors import ParamsError, may_pass
from ser.io.tracking.address import shown_uri, sqlite_file
from ser.output import one_line

T = TypeVar("T")

#: Seconds to wait for a server that went away; 0: an error at once.
VARIABLE = "SER_MLFLOW_PATIENCE"
DEFAULT = 1800
#: The server that has answered this process, or the one that started it.
ANSWERED = "SER_MLFLOW_ANSWERED"
#: MLflow's own repetitions would make twice what can only be made.
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
#: Seconds between two attempts: at first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
#: Seconds in which a server that hung does what it had been asked for.
SETTLE = 3.0


def be_patient() -> None:
    """From now on this process, and what it starts, waits for a server that goes away."""
    os.environ.setdefault(VARIABLE, str(DEFAULT))
    os.environ.setdefault(RETRIES, "0")


def note_answer(root: Path) -> None:
    """The store has answered: from now on it is waited for."""
    os.environ[ANSWERED] = shown_uri(root)


def patiently(
    root: Path, call: Callable[[], T], *, made: Callable[[], T | None] | None = None
) -> T:
    """The call's result; repeated, with growing pauses, while a server is away that had answered.

    made : finds what an earlier attempt has made although its answer was lost. For what would be
        there twice if it were made again; whatever else is sent may be sent twice.
    """
    failed_at: float | None = None
    pause = FIRST_PAUSE
    while True:
        try:
            found = None
            if made is not None and failed_at is not None:
                # Once the server answers, what it was asked for before may still be under way.
                made()
                time.sleep(SETTLE)
                found = made()
            result = call() if found is None else found
        except Exception as error:
            if sqlite_file(root) is not None or not may_pass(error):
                raise
            now = time.monotonic()
            since = failed_at or now
            if now + pause > since + _patience(root):
                raise
            if failed_at is None:
                minutes = f"{_patience(root) / 60:.0f} min"
                _say(f"waits for the MLflow server {shown_uri(root)}, at most {minutes}")
            failed_at = since
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            if failed_at is not None:
                away = time.monotonic() - failed_at
                _say(f"the MLflow server answers again, after {away:.0f} s")
            return result


@contextmanager
def impatient() -> Iterator[None]:
    """Nobody is waited for in the block: this process is to end."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "0"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def _patience(root: Path) -> float:
    if os.environ.get(ANSWERED) != shown_uri(root):
        return 0.0
    text = os.environ.get(VARIABLE, "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ParamsError(
            f"{VARIABLE} is {text!r}; expected for how many seconds an MLflow server that went "
            f"away is waited for, such as {DEFAULT}."
        )
    return seconds


def _say(text: str) -> None:
    print(one_line(text), flush=True)
