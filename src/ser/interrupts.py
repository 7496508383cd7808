"""Ctrl-C, delayed while work must not be interrupted, and SIGTERM, which is to unwind."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits; processes and threads that start inside never get it."""
    resource_tracker.ensure_running()  # Started inside, it would let interrupts through.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupted_between(items: Iterable[T]) -> Iterator[T]:
    """The items. Ctrl-C raises KeyboardInterrupt before the next one; a second Ctrl-C, at once."""
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, press)
    try:
        for item in items:
            if pressed:
                raise KeyboardInterrupt
            yield item
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Make SIGTERM unwind the stack, so that what was begun is ended."""

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
