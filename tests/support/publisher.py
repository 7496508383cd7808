"""A publisher's web server on this machine, which can cut, lie, stall and redirect."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer.

    cut : bytes of the body after which the connection breaks. stall : … after which it is silent.
    length : what Content-Length claims; None: the truth, "" : nothing, and the body ends as the
        connection does.
    ranges : honour Range and If-Range.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    cut: int | None = None
    stall: int | None = None
    length: int | str | None = None
    ranges: bool = True


class Publisher(ThreadingHTTPServer):
    """Serves `pages`: path -> answers in turn, the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        self.turn = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, path: str, *answers: Answer | bytes) -> str:
        self.pages[path] = [Answer(a) if isinstance(a, bytes) else a for a in answers]
        return self.url + path

    def ranges(self, path: str) -> list[str | None]:
        """The Range header of each request for `path`."""
        return [headers.get("range") for asked, headers in self.asked if asked == path]

    def handle_error(self, request, client_address) -> None:
        """A client that went away is part of these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Publisher

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.turn:
            self.server.asked.append((self.path, headers))
            answers = self.server.pages.get(self.path, [Answer(status=404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        body, status, extra = answer.body, answer.status, dict(answer.headers)
        asked = headers.get("range")
        if status == 200 and answer.ranges and asked:
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            if headers.get("if-range", answer.etag) == answer.etag:
                if first >= len(body):
                    status, extra["Content-Range"] = 416, f"bytes */{len(body)}"
                    body = b""
                else:
                    status = 206
                    extra["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
                    body = body[first:]
        self.send_response(status)
        length = len(body) if answer.length is None else answer.length
        if length != "":
            self.send_header("Content-Length", str(length))
        if answer.etag:
            self.send_header("ETag", answer.etag)
        for name, value in extra.items():
            self.send_header(name, value)
        until = answer.cut if answer.cut is not None else answer.stall
        self.end_headers()
        self.wfile.write(body[:until])
        self.wfile.flush()
        if answer.stall is not None:
            self.server.closing.wait()
        if answer.cut is not None or answer.stall is not None or length != len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
