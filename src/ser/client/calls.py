"""Requests as values, and what their answers mean: the part that both clients share."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from ser.client.audio import Recording, file_bytes
from ser.client.errors import (
    ClientError,
    bad_input,
    disconnected,
    no_server,
    refused,
    timed_out,
    unreachable,
)

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE, TOKEN_VARIABLE = "SER_SERVE_URL", "SER_SERVE_TOKEN"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OVERLOADED, UNAVAILABLE = 429, 503
#: Longest pause before another try, whatever the server asks for; the first one's jitter, which
#: doubles. Seconds.
LONGEST_PAUSE, JITTER = 10.0, 0.25
#: Pause between two looks at whether the server is ready.
LOOK_SECONDS = 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """Which server is asked, and how patiently. retries : further tries where it is overloaded."""

    url: str
    token: str | None = field(repr=False)
    timeout: float
    retries: int

    @classmethod
    def of(cls, url: str | None, token: str | None, *, timeout: float, retries: int) -> Settings:
        """From arguments, else the environment; raises ClientError for what is no address."""
        chosen = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
        try:
            parts = urlsplit(chosen)
            fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fit = False
        if not fit:
            raise bad_input(f"The address is {chosen!r}", "one such as http://127.0.0.1:8000")
        return cls(chosen, token or os.environ.get(TOKEN_VARIABLE) or None, timeout, retries)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def stream_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/v1/stream"

    @property
    def takes_proxy(self) -> bool:
        """A proxy does not find what runs on this machine."""
        return urlsplit(self.url).hostname not in LOOPBACK

    def http(self) -> dict[str, Any]:
        """Arguments of httpx's clients."""
        return {
            "base_url": self.url,
            "headers": self.headers,
            "timeout": self.timeout,
            "trust_env": self.takes_proxy,
        }

    def socket(self) -> dict[str, Any]:
        """Arguments of `connect` of websockets."""
        return {
            "uri": self.stream_url,
            "additional_headers": self.headers,
            "proxy": True if self.takes_proxy else None,
            "open_timeout": self.timeout,
            "close_timeout": 2.0,
            # PCM is not worth it.
            "compression": None,
            # Messages that the caller has not taken; beyond, the server is read no further.
            "max_queue": 256,
        }

    def pause(self, response: httpx.Response, tried: int) -> float | None:
        """Seconds before the next try after `tried` ones; None where the response stands."""
        if response.status_code != OVERLOADED or tried > self.retries:
            return None
        return pause_seconds(response.headers.get("Retry-After"), tried)

    def failed(self, error: httpx.HTTPError) -> ClientError:
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
                return unreachable(self.url, error)
            case httpx.TimeoutException():
                return timed_out(self.url, self.timeout)
        return disconnected(self.url, error)


def pause_seconds(retry_after: str | None, tried: int) -> float:
    """What the server asks for, and a random part more: clients do not come back together."""
    asked = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
    return min(asked, LONGEST_PAUSE) + random.uniform(0, JITTER * 2 ** min(tried - 1, 4))


@dataclass(frozen=True)
class Call:
    """One request. content : its body; else fields and files make a form. accept : its answer."""

    method: str
    path: str
    content: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, bytes], ...] = ()
    accept: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Of httpx's `request`."""
        given: dict[str, Any] = {"method": self.method, "url": self.path}
        if self.content is not None:
            given["content"] = self.content
            given["headers"] = {"Content-Type": "application/octet-stream"}
        elif self.fields or self.files:
            # Names of files are nobody's business.
            given["files"] = [
                *((name, (None, text)) for name, text in self.fields.items()),
                *((name, (name, data)) for name, data in self.files),
            ]
        if self.accept is not None:
            given["headers"] = {**given.get("headers", {}), "Accept": self.accept}
        return given


MODEL = Call("GET", "/v1/model")
READY = Call("GET", "/health/ready")


def predict_call(recording: Recording, profile: str | None) -> Call:
    data = file_bytes(recording)
    if profile is None:
        return Call("POST", "/v1/predict", data)
    return Call("POST", "/v1/predict", fields={"profile": profile}, files=(("file", data),))


def enrol_call(clips: Iterable[Recording]) -> Call:
    return Call("POST", "/v1/enrol", files=tuple(("clips", file_bytes(clip)) for clip in clips))


def correct_call(
    request_id: str, label: str, *, consent: bool, predicted: str | None, audio: Recording | None
) -> Call:
    fields = {"request_id": request_id, "label": label, "consent": "true" if consent else "false"}
    if predicted is not None:
        fields["predicted"] = predicted
    files = () if audio is None else (("file", file_bytes(audio)),)
    return Call("POST", "/v1/corrections", fields=fields, files=files)


def delete_call(request_id: str) -> Call:
    if not request_id.isalnum():
        raise bad_input(f"The request_id is {request_id!r}", "that of an answer")
    return Call("DELETE", f"/v1/corrections/{request_id}")


def body_of(settings: Settings, response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; raises ClientError for an error of the server's."""
    try:
        body = response.json()
        if not isinstance(body, dict):
            raise ValueError
        if response.is_success:
            return body
        raise refused(
            settings.url,
            code=body["code"],
            message=body["message"],
            request_id=body.get("request_id", ""),
            status=response.status_code,
        )
    except (ValueError, KeyError) as error:
        raise no_server(
            settings.url, f"answered {response.status_code} without the JSON of such a server"
        ) from error


def is_ready(settings: Settings, response: httpx.Response) -> tuple[bool, str]:
    """Whether it is, and why not."""
    if response.status_code != UNAVAILABLE:
        body_of(settings, response)
        return True, ""
    try:
        return False, str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return False, "it is unavailable"


def not_ready(settings: Settings, seconds: float, why: str) -> ClientError:
    return ClientError(
        f"{settings.url} is not ready ({why.rstrip('.')})",
        f"a model there within {seconds:g} s",
        "Wait longer, or look at the server's log.",
        code="not_ready",
    )


def read(settings: Settings, of: type[T], body: Mapping[str, Any]) -> T:
    """`of.of(body)`; raises ClientError where the body lacks something."""
    try:
        made: T = of.of(body)  # type: ignore[attr-defined]
    except (KeyError, TypeError, AttributeError) as error:
        raise no_server(settings.url, f"answers in another form ({error!r})") from error
    return made
