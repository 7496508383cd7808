"""Who may ask, and how much: before a request reaches its route."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser.serve.interfaces.problems import RETRY_AFTER, Problem
from ser.serve.logs import event
from ser.serve.state import State

LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: Open to everybody: the page asks for the token by itself, and probes have none.
OPEN = ("/", "/health/live", "/health/ready")
#: Of the WebSocket's subprotocols, the one that carries the token: browsers send no header.
BEARER = "ser.bearer."
PREDICT = "/v1/predict"
#: What a request is answered that there is no room for.
OVERLOADED = (
    b'{"type":"overloaded","code":"overloaded","message":"The server has as much to do as it can; '
    b'try again.","request_id":"%s"}'
)
#: A body that is refused unread is passed over up to this size; beyond, the connection is closed.
PASSED_OVER = 2**20
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
        b"media-src 'self' blob:; style-src 'self'; script-src 'self'; object-src 'none'; "
        b"base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    ),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
]
#: For pages of other origins that may ask.
SHARED = [
    (b"vary", b"Origin"),
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
    (b"access-control-max-age", b"600"),
]


class Guard:
    """Checks host, origin and token; refuses early what there is no room for; counts and logs."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state
        params = state.params
        named = {*LOOPBACK, params.host, *params.allowed_hosts}
        #: None: `*` is among them, and every name is the server's own.
        self.hosts = None if "*" in named else {name.lower() for name in named}
        self._overloaded = state.metrics.rejects.labels("overloaded")
        self.origins = {origin.rstrip("/").lower() for origin in params.allowed_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = self.state.ids.new()
        if self.state.admission.is_full and scope["path"] == PREDICT and scope["type"] == "http":
            await self._refuse(scope, request_id, send)
            return
        began, status = time.perf_counter(), 0
        shared = self._shared(scope)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode()), *HEADERS, *shared]
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in own if name not in given),
                ]
            await send(message)

        problem = self._problem(scope)
        asks_first = shared and scope["type"] == "http" and scope["method"] == "OPTIONS"
        if asks_first and (problem is None or problem.code == "unauthorized"):
            # A browser, which sends no token with the question whether a page may ask.
            await Response(status_code=204)(scope, receive, sending)
            return
        try:
            if problem is None:
                await self.app(scope, receive, sending)
            elif scope["type"] == "http":
                await problem.response(request_id)(scope, receive, sending)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": problem.code})
        finally:
            # Of a fault, too, which the framework answers and raises again.
            if scope["type"] == "http":
                self._count(scope, request_id, status, time.perf_counter() - began, problem)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.hosts is not None and _hostname(host) not in self.hosts:
            return Problem(
                "invalid_host", "The Host header names another server; see serve.allowed_hosts."
            )
        origin = headers.get(b"origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE
        if unsafe and origin is not None and not self._own(origin.decode("latin-1").lower(), host):
            return Problem(
                "forbidden_origin",
                "Another site's page may not use this server; see serve.allowed_origins.",
            )
        if self.state.token and not self._has_token(scope, headers):
            return Problem(
                "unauthorized", "Send the server's token as `Authorization: Bearer …`.", close=True
            )
        return None

    async def _refuse(self, scope: Scope, request_id: str, send: Send) -> None:
        """Answer 429 with as little work as can be: what is refused must not cost what is answered.

        The body is not read, only passed over.
        """
        self._overloaded.inc()
        size = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        large = not size.isdigit() or int(size) > PASSED_OVER
        body = OVERLOADED % request_id.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"%d" % RETRY_AFTER),
            (b"x-request-id", request_id.encode()),
            *([(b"connection", b"close")] if large else ()),
        ]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _shared(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Headers by which a browser lets a page of an allowed origin read the answer."""
        origin = dict(scope["headers"]).get(b"origin", b"")
        if origin.decode("latin-1").lower() not in self.origins:
            return []
        return [(b"access-control-allow-origin", origin), *SHARED]

    def _own(self, origin: str, host: str) -> bool:
        return origin in self.origins or _netloc(origin) == host != ""

    def _has_token(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        path = scope["path"]
        if path in OPEN or path.startswith("/static/"):
            return True
        sent = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ").strip()
        if scope["type"] == "websocket" and not sent:
            sent = _bearer(scope.get("subprotocols", ()))
        assert self.state.token is not None
        return hmac.compare_digest(sent.encode(), self.state.token.encode())

    def _count(
        self, scope: Scope, request_id: str, status: int, seconds: float, problem: Problem | None
    ) -> None:
        route = getattr(scope.get("route"), "path", "other")
        if problem is not None:
            route = "refused"
            self.state.metrics.rejects.labels(problem.code).inc()
        self.state.metrics.requests.labels(route, str(status)).inc()
        if route not in ("/health/live", "/health/ready", "/metrics", "refused"):
            event(
                "request",
                request_id=request_id,
                method=scope["method"],
                route=route,
                status=status,
                ms=round(1000 * seconds, 1),
                version=self.state.version,
            )


def _netloc(origin: str) -> str:
    """
    >>> _netloc("https://example.org:8443"), _netloc("null"), _netloc("http://[")
    ('example.org:8443', '', '')
    """
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    """
    >>> _hostname("localhost:8000"), _hostname("[::1]:8000"), _hostname("::")
    ('localhost', '::1', '')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _bearer(subprotocols: Iterable[str]) -> str:
    return next((s.removeprefix(BEARER) for s in subprotocols if s.startswith(BEARER)), "")
