"""The timeline of a recording: its request, and what comes in lines while the server makes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from ser.client.audio import Recording, file_bytes
from ser.client.calls import Call, Settings
from ser.client.errors import bad_input, disconnected, no_server, refused

#: A line for each step, so that no connection seems dead while a long recording is measured.
LINES = "application/x-ndjson"
CHANNELS = ("auto", "each", "mix")
SCHEMA = "ser.timeline/1"
#: Is called with the seconds that are measured, and all of them, None where that is unknown.
OnProgress = Callable[[float, float | None], object]


def timeline_call(recording: Recording, channels: str | None) -> Call:
    """Raises ClientError `bad_input`."""
    if channels is not None and channels not in CHANNELS:
        raise bad_input(f"channels is {channels!r}", f"one of {', '.join(CHANNELS)}")
    query = "" if channels is None else f"?channels={channels}"
    return Call("POST", f"/v1/timeline{query}", file_bytes(recording), accept=LINES)


def timeline_in(
    settings: Settings, line: str, on_progress: OnProgress | None
) -> dict[str, Any] | None:
    """The timeline, if it is in this line; raises ClientError for an error in it."""
    try:
        message = json.loads(line)
        match message["type"]:
            case "progress":
                if on_progress is not None:
                    on_progress(message["seconds"], message["of"])
            case "error":
                error = message["error"]
                raise refused(
                    settings.url,
                    code=error["code"],
                    message=error["message"],
                    request_id=error.get("request_id", ""),
                )
            case "timeline":
                timeline: dict[str, Any] = message["timeline"]
                if timeline["schema"] != SCHEMA:
                    raise ValueError(f"schema {timeline['schema']}, not {SCHEMA}")
                return timeline
    except (ValueError, KeyError, TypeError) as error:
        raise no_server(settings.url, f"answers in another form ({error!r})") from error
    # A message of a later server is passed over.
    return None


def named(timeline: dict[str, Any], recording: Recording) -> dict[str, Any]:
    """With the file's name, which the server neither keeps nor knows."""
    if isinstance(recording, str | os.PathLike):
        return {**timeline, "file": PurePath(recording).name}
    return timeline


def broken_off(settings: Settings) -> Exception:
    """The lines ended before the timeline."""
    return disconnected(settings.url, "its answer breaks off")
