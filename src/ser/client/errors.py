"""The one error of the client."""

from __future__ import annotations

import re

from ser.errors import SerError


class ClientError(SerError):
    """A server that cannot be reached, or does not do what it was asked for.

    found, expected, remedy : as in every error of this package. code : of the server's error, such
    as "too_large" or "overloaded"; of the client's own "unreachable", "timeout", "disconnected",
    "no_server" (what answers is another program) or "bad_input". message : the server's own words.
    request_id : for the server's log. status : of HTTP. "" and None where there is none.
    """

    def __init__(
        self,
        found: str,
        expected: str = "",
        remedy: str = "",
        *,
        code: str,
        message: str = "",
        request_id: str = "",
        status: int | None = None,
    ) -> None:
        expectation = f"; expected {expected}" if expected else ""
        super().__init__(f"{found}{expectation}. {remedy}".rstrip())
        self.found, self.expected, self.remedy = found, expected, remedy
        self.code, self.message, self.request_id = code, message, request_id
        self.status = status


def bad_input(found: str, expected: str, remedy: str = "") -> ClientError:
    """What the caller gave cannot be sent."""
    return ClientError(found, expected, remedy, code="bad_input")


def unreachable(url: str, why: object) -> ClientError:
    return ClientError(
        f"{url} cannot be reached ({_words(why)})",
        "a server there",
        "Start one with `ser serve`, or name another (SER_SERVE_URL).",
        code="unreachable",
    )


def timed_out(url: str, seconds: float) -> ClientError:
    return ClientError(
        f"{url} has not answered",
        f"an answer within {seconds:g} s",
        "Ask again later, or allow more (timeout).",
        code="timeout",
    )


def disconnected(url: str, why: object) -> ClientError:
    return ClientError(
        f"{url} closed the connection ({_words(why)})",
        "an answer first",
        "Ask again; the server's log has the reason.",
        code="disconnected",
    )


def no_server(url: str, found: str) -> ClientError:
    return ClientError(
        f"{url} {found}",
        "the answers of `ser serve`",
        "Correct the address (SER_SERVE_URL).",
        code="no_server",
    )


def refused(
    url: str, *, code: str, message: str, status: int | None = None, request_id: str = ""
) -> ClientError:
    """The server's own error; its message says what was expected, and what to do."""
    request = f" (request {request_id})" if request_id else ""
    return ClientError(
        f"{url} refused with {code}: {message.rstrip('.')}{request}",
        code=code,
        message=message,
        request_id=request_id,
        status=status,
    )


def _words(why: object) -> str:
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(why))
    return text.splitlines()[0].rstrip(". ") if text else type(why).__name__
