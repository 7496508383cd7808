"""The messages of /v1/stream, and what its ends mean: the part that both streams share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus

from ser.client.calls import Settings
from ser.client.errors import (
    ClientError,
    bad_input,
    disconnected,
    no_server,
    refused,
    timed_out,
    unreachable,
)
from ser.client.events import Event, event_of

CLOSE = json.dumps({"type": "session.close"})
#: Close codes: refused by policy, no room.
POLICY, FULL = 1008, 1013


@dataclass(frozen=True)
class Opening:
    """What a session is asked to be."""

    channels: int
    consent: bool
    profiles: Sequence[str | None]

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise bad_input(f"channels is {self.channels!r}", "1, or 2 interleaved")

    def update(self) -> str:
        return json.dumps(
            {
                "type": "session.update",
                "consent": self.consent,
                "channels": self.channels,
                "profiles": list(self.profiles),
            }
        )


def message_of(settings: Settings, text: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
        message["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise no_server(settings.url, "sends other messages than such a server") from error
    found: dict[str, Any] = message
    return found


def event_in(settings: Settings, text: str | bytes) -> Event | None:
    """The event in a message; None where it holds none. Raises ClientError for a broken one."""
    message = message_of(settings, text)
    try:
        return event_of(message)
    except (KeyError, TypeError) as error:
        raise no_server(settings.url, f"sends events in another form ({error!r})") from error


def created(settings: Settings, message: Mapping[str, Any]) -> str:
    """The session's id in the server's first message."""
    if message["type"] != "session.created" or "session_id" not in message:
        raise no_server(settings.url, f"begins a session with {str(message['type'])[:40]!r}")
    return str(message["session_id"])


def updated(settings: Settings, message: Mapping[str, Any], session_id: str) -> bool:
    """Whether the session is as it was asked to be; raises ClientError where it is refused."""
    if message["type"] == "error":
        raise refused(
            settings.url,
            code=str(message.get("code")),
            message=str(message.get("message")),
            request_id=session_id,
        )
    return bool(message["type"] == "session.updated")


def is_full(error: ConnectionClosed) -> bool:
    """Whether another try may find room."""
    return error.rcvd is not None and error.rcvd.code == FULL


def ended(settings: Settings, error: ConnectionClosed) -> ClientError:
    """The error of a session that ends without a last message."""
    if error.rcvd is None:
        return disconnected(settings.url, "no word of why")
    code, reason = error.rcvd.code, error.rcvd.reason
    if code == FULL:
        message = "The server has no room for a session, or no model; try again later"
        return refused(settings.url, code="overloaded", message=message)
    if code == POLICY:
        return refused(settings.url, code=reason or "refused", message="The session was ended")
    return disconnected(settings.url, f"code {code} {reason}".rstrip())


def not_opened(settings: Settings, error: Exception) -> ClientError:
    """The error of a connection that no session came of."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status in (401, 403):
            message = "The server takes no session from here; give its token (SER_SERVE_TOKEN)"
            return refused(settings.url, code="unauthorized", message=message, status=status)
        return no_server(settings.url, f"answered {status} to a request for a session")
    if isinstance(error, TimeoutError):
        return timed_out(settings.url, settings.timeout)
    if isinstance(error, OSError):
        return unreachable(settings.url, error.strerror or error)
    return no_server(settings.url, f"opens no WebSocket ({str(error)[:80]})")
