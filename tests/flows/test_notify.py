"""Who is told: channels are set up by command, a real Prefect server sends to receivers here.

The commands are those of docs/howto/notify.md, with addresses of this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flows.processes.server import free_port
from ser.io.tracking.lineage import user
from support.project import Project
from support.receivers import mail_server, slack, web_server
from support.registry import register_versions

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
    """A project with a Prefect server, and servers that keep what they receive."""

    root: Path
    env: dict[str, str]
    web: str
    smtp: int
    posted: list[dict[str, str]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    slacked: list[tuple[str, Any]] = field(default_factory=list)

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=cwd or self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def notify(self, *arguments: str) -> str:
        done = self.run("-m", "flows.notify", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def only(self, *arguments: str) -> None:
        """Add a channel, and remove all others."""
        for one in json.loads(self.notify("list", "--json")):
            self.notify("remove", one["name"])
        self.notify("add", *arguments)
        self.posted.clear()

    def until(self, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, (self.posted, self.mails)
            time.sleep(0.2)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root, port = tmp_path_factory.mktemp("desk"), free_port()
    posted: list[dict[str, str]] = []
    mails: list[str] = []
    slacked: list[tuple[str, Any]] = []
    proxy, certificate = slack(slacked, root)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    env |= {
        "PREFECT_HOME": str(root / ".prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_address[1]}",
        "REQUESTS_CA_BUNDLE": str(certificate),
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
        with web_server(posted) as web, mail_server(mails) as smtp, proxy:
            for one in (web, smtp, proxy):
                threading.Thread(target=one.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{web.server_address[1]}/hook"
            found = Desk(root, env, address, int(smtp.server_address[1]), posted, mails, slacked)
            found.until(lambda: found.run("-m", "flows.notify", "list").returncode == 0)
            yield found
            for one in (web, smtp, proxy):
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
            "on": ["failure", "promotion", "refusal", "rollback", "drift"],
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


def test_promotions_and_roll_backs_by_hand_are_told_once_each(
    desk: Desk, trained: Project, tmp_path: Path
) -> None:
    root = trained.copied_to(tmp_path).root
    register_versions(root, root / "models" / "bundle", range(1, 3))
    desk.only("webhook", desk.web)
    for words in (
        ("promote", "1"),
        ("promote", "2", "--reason", "a louder\nroom."),
        ("promote", "2"),
        ("roll-back", "--yes"),
    ):
        done = desk.run("-m", "ser.cli", *words, cwd=root)
        assert (done.returncode, done.stderr) == (0, "")
        # So that they come in the order in which they were done, and one too many has time.
        time.sleep(3)
    desk.until(lambda: len(desk.posted) >= 3)
    who = user()
    assert [(one["subject"], one["body"]) for one in desk.posted] == [
        ("SER: model.promoted", f"Version 1 is promoted by hand: promoted by hand ({who})."),
        ("SER: model.promoted", f"Version 2 is promoted by hand: a louder\\nroom ({who})."),
        (
            "SER: model.rolled-back",
            "Version 1 serves again. Rolled back from version 2 by hand: rolled back by hand "
            f"({who}).",
        ),
    ]


@pytest.mark.parametrize(("named", "words"), [(False, ""), (True, "Nobody is told: ")])
def test_without_a_server_an_event_neither_starts_one_nor_fails(
    tmp_path: Path, named: bool, words: str
) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    env |= {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    env |= {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"} if named else {}
    done = subprocess.run(
        [sys.executable, "-m", "flows.events", "rollback", "1", "Version 1 serves again."],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr.startswith(words)
    assert len(done.stderr.splitlines()) == bool(words)
    assert not list(tmp_path.iterdir())


def test_slack_is_told_in_its_own_form(desk: Desk) -> None:
    address = "https://hooks.slack.com/services/T0000000A/B0000000B/abcdefghijklmnopqrstuvwx"
    desk.notify("add", "slack", address, "--on", "promotion")
    try:
        desk.notify("test", "slack")
        assert desk.run("-c", EMIT).returncode == 0
        desk.until(lambda: len(desk.slacked) >= 2)
        time.sleep(3)
    finally:
        desk.notify("remove", "slack")
    tried, promoted = desk.slacked
    assert {path for path, _ in (tried, promoted)} == {
        address.removeprefix("https://hooks.slack.com")
    }
    (message,) = promoted[1]["attachments"]
    assert message["title"] == "SER: model.promoted"
    assert message["text"] == "Version 3 is promoted."


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
        (["add", "slack", "https://example.org/hook"], "https://hooks.slack.com/services/"),
        (["add", "slack", "https://hooks.slack.com/services/T0/B0"], "hooks.slack.com/services/"),
        (["add", "mail", "mailto://me:secret@host?from=me"], "no sender or recipient"),
        (["remove", "nobody"], "There is no channel 'nobody'"),
    ],
)
def test_what_is_misspelt_is_one_line(desk: Desk, arguments: list[str], words: str) -> None:
    failed = desk.run("-m", "flows.notify", *arguments)
    assert failed.returncode == 1
    assert words in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
