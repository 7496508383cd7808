"""Who is told: channels are set up by command, a real Prefect server sends to receivers here.

The commands are those of docs/howto/notify.md, with addresses of this machine.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.processes.server import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
#: What a tick tells, and a flow that fails.
EMIT = """
from flows.events import emit
from prefect import flow

emit("promotion", "Version 3 is promoted.", version=3)
emit("refusal", "Version 4 is kept out.", version=4)

@flow(name="retrain")
def retrain():
    raise ValueError("broken on purpose")

@flow(name="another")
def another():
    raise ValueError("of somebody else")

for run in (retrain, another):
    try:
        run()
    except ValueError:
        pass
"""


@dataclass
class Desk:
    """A project with a Prefect server, and a web and a mail server that keep what they receive."""

    root: Path
    env: dict[str, str]
    web: str
    smtp: int
    posted: list[dict[str, str]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def notify(self, *arguments: str) -> str:
        done = self.run("-m", "flows.notify", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until(self, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, (self.posted, self.mails)
            time.sleep(0.2)


def web_server(posted: list[dict[str, str]]) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return HTTPServer(("127.0.0.1", 0), Handler)


def mail_server(mails: list[str]) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    body = iter(lambda: self.rfile.readline(), b".\r\n")
                    mails.append(b"".join(body).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    return socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root, port = tmp_path_factory.mktemp("desk"), free_port()
    posted: list[dict[str, str]] = []
    mails: list[str] = []
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    env |= {
        "PREFECT_HOME": str(root / ".prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join(
            [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
        ),
    }
    log = (root / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
        cwd=root,
        env=env,
        stdout=log,
        stderr=log,
    )
    try:
        with web_server(posted) as web, mail_server(mails) as smtp:
            for one in (web, smtp):
                threading.Thread(target=one.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{web.server_address[1]}/hook"
            found = Desk(root, env, address, int(smtp.server_address[1]), posted, mails)
            found.until(lambda: found.run("-m", "flows.notify", "list").returncode == 0)
            yield found
            for one in (web, smtp):
                one.shutdown()
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def test_each_channel_is_told_of_what_it_asked_for(desk: Desk) -> None:
    address = f"mailto://127.0.0.1:{desk.smtp}?from=ser@localhost.org&to=me@localhost.org"
    desk.notify("add", "webhook", desk.web)
    desk.notify("add", "mail", f"{address}&mode=insecure", "--name", "me", "--on", "promotion")
    assert json.loads(desk.notify("list", "--json")) == [
        {"name": "me", "how": "mail", "on": ["promotion"]},
        {
            "name": "webhook",
            "how": "webhook",
            "on": ["failure", "promotion", "refusal", "rollback"],
        },
    ]
    assert desk.run("-c", EMIT).returncode == 0
    desk.until(lambda: len(desk.posted) >= 3 and len(desk.mails) >= 1)
    # Long enough for one too many to come.
    time.sleep(3)
    subjects = sorted(one["subject"] for one in desk.posted)
    assert subjects == ["SER: model.promoted", "SER: model.refused", "SER: retrain failed"]
    assert any(one["body"] == "Version 3 is promoted." for one in desk.posted)
    assert any("broken on purpose" in one["body"] for one in desk.posted)
    (mail,) = desk.mails
    assert "Subject: SER: model.promoted" in mail
    assert "Version 3 is promoted." in mail


def test_a_channel_that_is_added_again_is_replaced_and_one_that_is_removed_is_silent(
    desk: Desk,
) -> None:
    desk.notify("add", "webhook", desk.web, "--name", "twice")
    desk.notify("add", "webhook", desk.web, "--name", "twice", "--on", "rollback")
    channels = {one["name"]: one["on"] for one in json.loads(desk.notify("list", "--json"))}
    assert channels["twice"] == ["rollback"]
    desk.notify("remove", "twice")
    assert "twice" not in desk.notify("list")


def test_a_channel_is_tried_by_a_line_and_says_where_it_fails(desk: Desk) -> None:
    desk.notify("add", "webhook", desk.web, "--name", "tried")
    before = len(desk.posted)
    desk.notify("test", "tried")
    assert desk.posted[before]["subject"] == "SER: test"
    desk.notify("add", "webhook", f"http://127.0.0.1:{free_port()}", "--name", "tried")
    failed = desk.run("-m", "flows.notify", "test", "tried")
    assert failed.returncode == 1
    assert "tried was not reached" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "mail", "me@example.org"], "mailto:// or mailtos://"),
        (["add", "webhook", "https://example.org", "--on", "promotions"], "promotion, refusal"),
        (["add", "slack", "https://example.org", "--name", "Ä"], "cannot be called"),
        (["remove", "nobody"], "There is no channel 'nobody'"),
    ],
)
def test_what_is_misspelt_is_one_line(desk: Desk, arguments: list[str], words: str) -> None:
    failed = desk.run("-m", "flows.notify", *arguments)
    assert failed.returncode == 1
    assert words in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
