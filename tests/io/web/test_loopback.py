"""A proxy of the user's is never asked for a server on this machine."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.processes.environment import command_environment
from flows.processes.server import answers
from ser.io.tracking import store
from ser.io.web.loopback import bypass_proxies, is_loopback

# Nobody listens there: what goes through it fails at once.
DEAD_PROXY = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, DEAD_PROXY)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")


@pytest.fixture(params=["127.0.0.1", "127.0.0.2"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a server on a loopback address."""
    try:
        httpd = ThreadingHTTPServer((request.param, 0), Healthy)
    except OSError:
        pytest.skip(f"this machine has no {request.param}")
    with httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://{request.param}:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.usefixtures("proxied")
def test_each_client_reaches_a_server_of_this_machine_past_a_dead_proxy(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx
    import requests

    monkeypatch.setenv("PREFECT_API_URL", server)
    bypass_proxies()

    assert answers(server)
    assert httpx.get(server).status_code == 200
    assert requests.get(server, timeout=5).status_code == 200
    assert urllib.request.urlopen(server, timeout=5).status == 200
    assert command_environment()["no_proxy"] == os.environ["NO_PROXY"]


@pytest.mark.usefixtures("proxied")
def test_the_tracking_server_is_reached_past_a_dead_proxy(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)

    store.connect(tmp_path)


def test_what_the_user_excepts_from_the_proxy_stays_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("no_proxy", "intranet, 10.0.0.1")
    monkeypatch.setenv("NO_PROXY", ".example.org")

    bypass_proxies()
    bypass_proxies()

    hosts = os.environ["no_proxy"].split(",")
    assert {"intranet", "10.0.0.1", ".example.org", "127.0.0.1", "localhost", "::1"} <= set(hosts)
    assert len(hosts) == len(set(hosts))


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("db.localhost", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_this_machines_own_addresses_are_recognised(host: str, own: bool) -> None:
    assert is_loopback(host) is own
