"""Every error a user can meet, one line each: what was found, what was expected, what to do.

SerError
├── ParamsError          params.yaml is missing, malformed or holds an unknown key
├── CorpusError
│   ├── UnknownCorpus    no adapter has this name
│   ├── MissingCorpus    the corpus is not in data/raw
│   ├── DoubledRecordings  two files are one recording by their names
│   └── UnknownEmotion   a label code that the corpus does not define
├── FetchError           a download failed, or its bytes are not those promised
├── AudioError
│   ├── EmptyAudio       no samples
│   ├── CorruptAudio     bytes that are not the audio they claim to be
│   ├── RefusedAudio     more bytes, seconds, channels or samples a second than are read
│   │   └── TooLongAudio more seconds than one utterance lasts
│   ├── CancellingAudio  channels of which nothing is left when they are mixed
│   ├── MissingDecoder   the format needs a package that is not installed
│   └── ChangedAudio     bytes differ from those the manifest recorded
├── NotWritten           a file or folder that cannot be written
├── TableError           a manifest, folds or predictions table breaks its contract
├── DamagedFeatures      stored features whose bytes are not those that were recorded
├── DamagedCache         DVC's cache holds other bytes than it says
├── LeakageError         a speaker or recording stands in two splits
├── BundleError          a model directory that cannot be read, or must not be
├── EncoderError         a speech encoder that is not here, not known or not to be trusted
├── RegistryError
│   ├── DamagedVersion   the files of a version are gone or not those that were registered
│   └── NoChampion       nothing has been promoted yet
└── StageError           a pipeline stage failed
    └── ProcessKilled    a process that works for a stage was killed, perhaps for its memory
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, Self


class SerError(Exception):
    """Base of all errors whose message is written for the user."""

    #: The DVC stage that failed, where one did.
    stage = ""


class ParamsError(SerError):
    pass


class CorpusError(SerError):
    pass


class UnknownCorpus(CorpusError):
    pass


class MissingCorpus(CorpusError):
    pass


class UnknownEmotion(CorpusError):
    pass


class DoubledRecordings(CorpusError):
    """`pairs` of files that are one recording by their names."""

    def __init__(self, pairs: Sequence[tuple[PurePath, PurePath]], why: str = "") -> None:
        self.pairs = tuple(pairs)
        (first, again), more = self.pairs[0], len(self.pairs) - 1
        super().__init__(
            f"{first} and {again} are one recording by their names"
            f"{f' {why}' if why else ''}{f' (and {more} more pairs)' if more else ''}; each may "
            "stand once. Remove one copy, or name the folder that holds the corpus once."
        )


class FetchError(SerError):
    pass


class AudioError(SerError):
    """A recording that cannot be taken.

    found : what it does or has, such as "lasts 0.03 s". file : its name; "" until it is known.
    """

    def __init__(self, found: str, expected: str = "", remedy: str = "", *, file: str = "") -> None:
        super().__init__(found)
        self.found, self.expected, self.remedy, self.file = found, expected, remedy, file

    def of(self, file: PurePath | str) -> Self:
        """The same error of a recording by this name."""
        return type(self)(self.found, self.expected, self.remedy, file=str(file))

    def __str__(self) -> str:
        expected = f"; expected {self.expected}" if self.expected else ""
        return f"{self.file or 'The recording'} {self.found}{expected}. {self.remedy}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        # Processes send errors to each other: made anew of `found`, then given the rest.
        return type(self), (self.found,), self.__dict__


class EmptyAudio(AudioError):
    pass


class CorruptAudio(AudioError):
    pass


class RefusedAudio(AudioError):
    pass


class TooLongAudio(RefusedAudio):
    pass


class CancellingAudio(AudioError):
    pass


class MissingDecoder(AudioError):
    pass


class ChangedAudio(AudioError):
    pass


class NotWritten(SerError, OSError):
    """`NotWritten(errno, strerror, path)`. An OSError, too: a server goes on after one."""

    def __str__(self) -> str:
        remedy = way_out(self) or "Mend that, or name another place."
        return f"{self.filename} cannot be written ({self.strerror}). {remedy}"


class TableError(SerError):
    pass


class DamagedFeatures(SerError):
    pass


class DamagedCache(SerError):
    pass


class LeakageError(SerError):
    pass


class BundleError(SerError):
    pass


class EncoderError(SerError):
    pass


class RegistryError(SerError):
    pass


class DamagedVersion(RegistryError):
    """found : the message without its remedy, a sentence."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found} {remedy}")
        self.found = found


class NoChampion(RegistryError):
    pass


class StageError(SerError):
    pass


class ProcessKilled(StageError):
    pass


#: The errors that may pass: a server or the network is away, a lock is held, a process was killed.
PASSING = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "socket.gaierror",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        # A server that answers 429 or 5xx, again and again.
        "requests.exceptions.RetryError",
        "httpx.TransportError",
        "filelock._error.Timeout",
        "concurrent.futures.process.BrokenProcessPool",
        "ser.errors.ProcessKilled",
    }
)


#: What libraries call an error that leaves no room to write, and the way out.
NO_ROOM = {
    re.compile(r"no space left|disk is full|\[errno 28\]", re.IGNORECASE): (
        "Make room on that disk, then try again; `ser doctor` shows how full disks are."
    ),
    re.compile(r"quota exceeded", re.IGNORECASE): (
        "Make room in what this user may use of that disk, then try again."
    ),
    re.compile(r"read-only file system", re.IGNORECASE): (
        "Make that file system writable, then try again."
    ),
}
#: Their numbers.
WORDS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "quota exceeded",
    errno.EROFS: "read-only file system",
}


def way_out(error: BaseException | str) -> str:
    """What to do where the error, or one that led to it, is that nothing can be written.

    A disk is full, a quota used up, or a file system read-only; "" for any other error.
    """
    texts = [error] if isinstance(error, str) else map(_words, _chain(error))
    found = (what for text in texts for sign, what in NO_ROOM.items() if sign.search(text))
    return next(found, "")


def _words(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    # Not of a NotWritten, which calls `way_out` for its text.
    return f"{WORDS.get(number or 0, '')} {' '.join(map(str, error.args))}"


def may_pass(error: BaseException | None) -> bool:
    """Whether the error, or one that led to it, is among those that may pass."""
    for one in _chain(error):
        kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(one).__mro__}
        if kinds & PASSING or "database is locked" in str(one):
            return True
        # urllib keeps the error of the socket here.
        reason = getattr(one, "reason", None)
        if isinstance(reason, BaseException) and may_pass(reason):
            return True
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, the one that led to it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
