"""Requests with checks: where a redirect may lead, what is worth another attempt."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any

import httpx

from ser.errors import FetchError

MAX_REDIRECTS = 10
MAX_JSON = 64 * 2**20
#: Answers that another attempt may change, beside all 5xx.
PASSING = (408, 425, 429)
MEANINGS = {
    401: "asks for a login",
    403: "refuses access",
    404: "is not there",
    410: "is gone for good",
}


class Pause(Exception):
    """An attempt failed and another one may succeed; `seconds` where the server named a wait."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True)
class Patience:
    """How long to wait, all in seconds; the n-th pause is drawn below first × 2ⁿ⁻¹."""

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    longest_asked: float = 600.0
    connect: float = 15.0
    read: float = 60.0
    sleep: Callable[[float], object] | None = None

    def wait(self, failures: int, pause: Pause, url: str) -> None:
        """Wait before the next attempt; raises FetchError after the last one."""
        if failures >= self.attempts:
            raise FetchError(
                f"{url} failed {failures} times, last because {pause}. What came is kept; fetch "
                "again later."
            ) from pause
        if pause.seconds is not None and pause.seconds > self.longest_asked:
            raise FetchError(
                f"{url}: the server asks to wait {pause.seconds:,.0f} s. What came is kept; fetch "
                "again after that."
            ) from pause
        ceiling = min(self.longest, self.first * 2 ** (failures - 1))
        # Drawn at random, so that many clients do not come back at once.
        (self.sleep or time.sleep)(pause.seconds or random.uniform(ceiling / 2, ceiling))


PATIENCE = Patience()


def open_client(patience: Patience = PATIENCE) -> httpx.Client:
    return httpx.Client(
        follow_redirects=False,
        timeout=httpx.Timeout(patience.read, connect=patience.connect, pool=None),
        headers={"User-Agent": f"ser/{version('ser-platform')}", "Accept-Encoding": "identity"},
    )


@contextmanager
def opened(
    client: httpx.Client, url: str, headers: Mapping[str, str] | None = None
) -> Iterator[httpx.Response]:
    """A response with content (2xx, or 416), redirects followed.

    Raises Pause for what may pass, also while the content is read, FetchError for the rest.
    """
    here = _checked(None, url)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            with client.stream("GET", here, headers=dict(headers or {})) as response:
                if response.has_redirect_location:
                    here = _checked(here, str(here.join(response.headers["Location"])))
                    continue
                _check_status(response, url)
                yield response
                return
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise FetchError(
                f"{here.host} shows a certificate that cannot be trusted ({error}). Look at the "
                "clock and the proxy of this machine."
            ) from error
        raise Pause(_reason(error)) from error
    except httpx.InvalidURL as error:
        raise FetchError(f"{url} leads to no valid address ({error}).") from error
    raise FetchError(f"{url} redirects over {MAX_REDIRECTS} times; refused.")


def get_json(url: str, *, patience: Patience = PATIENCE) -> Any:
    """The JSON at `url`, tried again as downloads are; raises FetchError."""
    failures = 0
    with open_client(patience) as client:
        while True:
            try:
                with opened(client, url) as response:
                    return _json(response, url)
            except Pause as pause:
                failures += 1
                patience.wait(failures, pause, url)


def _json(response: httpx.Response, url: str) -> Any:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > MAX_JSON:
            raise FetchError(f"{url} answers with over {MAX_JSON:,} bytes; refused.")
    try:
        return json.loads(content)
    except ValueError as error:
        raise FetchError(f"{url} answers with no JSON. Look at it in a browser.") from error


def _checked(here: httpx.URL | None, target: str) -> httpx.URL:
    try:
        url = httpx.URL(target)
    except httpx.InvalidURL as error:
        raise FetchError(f"{target} is no valid address ({error}).") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise FetchError(f"{here or target} leads to {target}; only http and https are followed.")
    if here is not None and here.scheme == "https" and url.scheme == "http":
        raise FetchError(f"{here} leads to {target}, away from https; refused.")
    return url


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if response.is_success or status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        return
    if status in PASSING or response.is_server_error:
        raise Pause(f"the server answered {status}", _retry_after(response))
    meaning = MEANINGS.get(status, "cannot be fetched")
    raise FetchError(f"{url} {meaning} (HTTP {status}). Look at the publisher's page.")


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "the server did not answer"
    if isinstance(error, httpx.ReadTimeout):
        return "the server stopped sending"
    return str(error).rstrip(".") or type(error).__name__
