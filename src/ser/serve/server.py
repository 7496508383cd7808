"""One server from start to stop: sockets, signals, processes."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from joblib import cpu_count
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ser.errors import SerError
from ser.inbox.corrections import DAY, Inbox
from ser.io.storage.traffic import open_traffic
from ser.params.server import ServeParams
from ser.params.timeline import TimelineParams
from ser.serve.app import create_app
from ser.serve.champion import Watch, from_folder, serves
from ser.serve.ids import Ids
from ser.serve.interfaces.admission import Admission
from ser.serve.interfaces.guard import LOOPBACK
from ser.serve.logs import event, set_up_logs
from ser.serve.metrics import Metrics
from ser.serve.state import State
from ser.serve.voices import KEY, KEY_FILE, Profiles, profile_key
from ser.serve.workers.pool import Pool

#: Of the environment: the token that requests must carry.
TOKEN = "SER_SERVE_TOKEN"
TOKEN_CHARACTERS = re.compile(r"[A-Za-z0-9._~-]+")
#: Seconds between "not ready" and the last connection that is accepted, for a load balancer.
LEAVE_SECONDS = 1.0
#: A message of a client: enrolment clips; frames of audio are far smaller.
MOST_MESSAGE = 2**22
#: Open files beside connections: wires to workers, the registry, logs.
OWN_FILES = 256


class ServeError(SerError):
    """The server cannot start."""


def serve(
    params: ServeParams,
    timeline: TimelineParams,
    *,
    root: Path | None,
    bundle: Path | None,
    tell: Callable[[str], object],
) -> None:
    """Serve until SIGTERM or SIGINT.

    root : of the project whose champion is served where no `bundle` is named. tell : is called with
    a line for a person: what it waits for, and where it answers. Raises ServeError where the
    address cannot be bound, BundleError or NotStarted where the bundle cannot be served.
    """
    set_up_logs("info")
    _allow_files(params.limits.max_connections + OWN_FILES)
    state = _state(params, timeline, root)
    listener = _bound(params)
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if host not in LOOPBACK and state.token is None:
        tell(f"Warning: everybody who reaches {host} may use this server; set {TOKEN}.")
    named = from_folder(bundle) if bundle else None
    failed: list[SerError] = []

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        await state.pool.start_decoders()
        tasks = [asyncio.create_task(_housekeeping(state))]
        if named is not None:
            tasks.append(asyncio.create_task(_serve_named()))
        else:
            assert root is not None
            tasks.append(asyncio.create_task(Watch(root, state).run()))
        tasks.append(asyncio.create_task(_announce()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await state.pool.stop()
            if state.traffic is not None:
                await asyncio.to_thread(state.traffic.close)

    async def _serve_named() -> None:
        assert named is not None
        try:
            await state.pool.serve(named)
        except SerError as error:
            failed.append(error)
            server.should_exit = True
        else:
            serves(state)

    async def _announce() -> None:
        starting = waits_for = state.waits_for
        while not state.is_ready:
            if state.waits_for not in (starting, waits_for):
                waits_for = state.waits_for
                tell(f"Waits at {address} for a model. {state.detail}")
            await asyncio.sleep(0.05)
        tell(f"Ready at {address} (page, /v1/predict, /v1/timeline, /v1/stream, /metrics).")

    config = uvicorn.Config(
        create_app(state, running),
        http=Protocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws="websockets-sansio",
        ws_max_size=MOST_MESSAGE,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=params.limits.max_connections,
        timeout_graceful_shutdown=round(params.stop_seconds),
        lifespan="on",
    )
    server = _Server(config, state)
    server.run(sockets=[listener])
    if failed:
        raise failed[0]


class Protocol(HttpToolsProtocol):
    """Closes connections whose headers do not come; uvicorn waits for them for ever."""

    header_seconds = 10.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.header_seconds, self._too_slow)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._deadline.cancel()
        self._deadline = self.loop.call_later(self.header_seconds, self._too_slow)

    def on_headers_complete(self) -> None:
        self._deadline.cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Says that it is not ready before it stops to accept; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._state.stopping:
            super().handle_exit(sig, frame)
            return
        self._captured_signals.append(sig)
        self._state.stopping = True
        event("stopping")
        try:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._leave)
        except RuntimeError:
            # Before its loop runs, it has nothing to finish.
            super().handle_exit(sig, frame)

    def _leave(self) -> None:
        self._state.stop.set()
        self._exit_after_sessions(time.monotonic() + self._state.params.stop_seconds)

    def _exit_after_sessions(self, deadline: float) -> None:
        """Uvicorn closes sessions at once when it exits: their finals come first."""
        left = deadline - time.monotonic()
        if self._state.admission.streams and left > 1:
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, self._exit_after_sessions, deadline)
            return
        self.config.timeout_graceful_shutdown = max(1, round(left))
        self.should_exit = True


async def _housekeeping(state: State) -> None:
    while True:
        if state.inbox is not None:
            try:
                if n := await asyncio.to_thread(state.inbox.purge):
                    event("inbox_purged", corrections=n)
            except OSError as error:
                # Again in an hour: corrections have to be deleted.
                event("inbox_not_purged", logging.ERROR, reason=str(error))
        await asyncio.sleep(DAY / 24)


def _state(params: ServeParams, timeline: TimelineParams, root: Path | None) -> State:
    token = os.environ.get(TOKEN) or None
    if token and not TOKEN_CHARACTERS.fullmatch(token):
        raise ServeError(
            f"{TOKEN} holds characters that browsers cannot send; use letters, digits and any of "
            "- . _ ~."
        )
    try:
        key = profile_key(root)
        profiles = Profiles(key, seconds=params.profile_seconds)
    except ValueError as error:
        raise ServeError(
            f"The key of voice profiles ({KEY}, or {KEY_FILE}) is none; expected 32 bytes as "
            "base64 for URLs: docs/howto/deploy.md."
        ) from error
    place = root or Path.cwd()
    Protocol.header_seconds = params.limits.header_seconds
    return State(
        params=params,
        pool=Pool(params, params.workers or cpu_count()),
        admission=Admission(params.limits),
        metrics=Metrics(),
        profiles=profiles,
        ids=Ids(key),
        inbox=Inbox(
            place / params.inbox.folder,
            days=params.inbox.days,
            megabytes=params.inbox.max_megabytes,
        )
        if params.inbox.enabled
        else None,
        traffic=open_traffic(params.traffic, root=place),
        timeline=timeline,
        token=token,
    )


def _allow_files(n: int) -> None:
    """Let the process have n open files where it may: 1024, the usual limit, are fewer sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < n:
        most = n if hard == resource.RLIM_INFINITY else min(n, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _bound(params: ServeParams) -> socket.socket:
    family = socket.AF_INET6 if ":" in params.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((params.host, params.port))
    except OSError as error:
        listener.close()
        raise ServeError(
            f"Host {params.host} and port {params.port} cannot be used ({error.strerror}); name an "
            "address of this machine with --host, another port with --port, 0 for any."
        ) from error
    with suppress(OSError):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
