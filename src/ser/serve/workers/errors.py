"""What a client is told of a recording that cannot be answered."""

from __future__ import annotations

from ser.errors import (
    AudioError,
    CancellingAudio,
    CorruptAudio,
    EmptyAudio,
    MissingDecoder,
    RefusedAudio,
    SerError,
    TooLongAudio,
)

#: Codes by kind, special kinds first.
CODES: tuple[tuple[type[SerError], str], ...] = (
    (EmptyAudio, "empty_audio"),
    (TooLongAudio, "too_long_audio"),
    (RefusedAudio, "refused_audio"),
    (CancellingAudio, "cancelling_channels"),
    (MissingDecoder, "unsupported_format"),
    (CorruptAudio, "corrupt_audio"),
    (AudioError, "unfit_audio"),
)
INTERNAL = "internal_error"


def code_of(error: SerError) -> str:
    return next((code for kind, code in CODES if isinstance(error, kind)), INTERNAL)


def described(error: SerError) -> dict[str, str]:
    """`{code, message}` of an error, as it goes over a wire."""
    return {"code": code_of(error), "message": str(error)}


class Unanswerable(Exception):
    """A worker's error about a recording, on the server's side."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
