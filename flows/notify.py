"""`ser notify`: who is told of promotions, refusals, roll-backs, drift and failures, and how.

A channel is a block of Prefect's, and one or two automations that send to it. They are kept by the
Prefect server, which sends while it runs (`make up`); this only sets them up.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flows.events import KINDS, RESOURCE
from flows.processes.environment import begin, failed
from flows.processes.server import prefect_server
from ser.errors import SerError

if TYPE_CHECKING:
    from prefect.automations import Automation

#: How a channel's automations and its block are called.
PREFIX = "ser-notify-"
#: Name of the block class and module, by what people call it.
BLOCKS = {
    "webhook": "prefect.blocks.notifications:CustomWebhookNotificationBlock",
    "slack": "prefect.blocks.notifications:SlackWebhook",
    "mail": "ser.io.web.mail:Mail",
}
#: Addresses of incoming webhooks.
SLACK = r"https://hooks\.slack(-gov)?\.com/services(/[A-Za-z0-9]+){3}/?"
SUBJECT = "SER: {{ event.event | replace('ser.', '') }}"
BODY = "{{ event.payload.summary }}"
FAILED_SUBJECT = "SER: {{ flow.name }} {{ flow_run.state.name | lower }}"
FAILED_BODY = "{{ flow_run.name }}: {{ flow_run.state.message }}"


def main() -> int:
    """Set up who is told, and how; an error that the user can mend is one line."""
    options = _parser().parse_args()
    root = begin()
    try:
        # A misspelt address is an error before a server starts for it.
        if options.command == "add":
            _check(options)
        server = prefect_server(root)
        server.wait()
        act: Callable[[argparse.Namespace], None] = options.act
        act(options)
    except SerError as error:
        return failed(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ser notify", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="a channel: a webhook, Slack, or e-mail")
    adding.add_argument("how", choices=list(BLOCKS))
    adding.add_argument(
        "address",
        help="https://… of a webhook or of Slack; for mail mailtos://user:password@smtp.example.org"
        "?from=ser@example.org&to=me@example.org",
    )
    adding.add_argument("--name", default="", help="of the channel; default: how it is told")
    adding.add_argument(
        "--on",
        default=",".join(KINDS),
        metavar="KINDS",
        help=f"of what, with commas between; default: {','.join(KINDS)}",
    )
    adding.set_defaults(act=add)
    listing = commands.add_parser("list", help="the channels, and of what each tells")
    listing.add_argument("--json", action="store_true", help="a JSON array on stdout")
    listing.set_defaults(act=show)
    for name, act, text in (
        ("test", test, "send a line to a channel now"),
        ("remove", remove, "a channel"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("name", help="of the channel, see `ser notify list`")
        command.set_defaults(act=act)
    return parser


def _check(options: argparse.Namespace) -> None:
    options.name = options.name or options.how
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", options.name):
        raise SerError(f"A channel cannot be called {options.name!r}; use a to z, 0 to 9 and -.")
    options.kinds = [kind.strip() for kind in options.on.split(",") if kind.strip()]
    if unknown := [kind for kind in options.kinds if kind not in KINDS]:
        raise SerError(f"--on has {unknown[0]!r}; expected some of {', '.join(KINDS)}.")
    expected = ("mailto", "mailtos") if options.how == "mail" else ("http", "https")
    found = urlsplit(options.address)
    if found.scheme not in expected or not found.netloc:
        raise SerError(
            f"The address begins with {options.address[:12]!r}; {options.how} needs "
            f"{' or '.join(f'{scheme}://' for scheme in expected)}, see `ser notify add --help`."
        )
    # The library takes any address, and would send nothing to one that it does not understand.
    if options.how == "slack" and not re.fullmatch(SLACK, options.address):
        raise SerError(
            "The address is none of Slack's incoming webhooks; expected "
            "https://hooks.slack.com/services/T…/B…/…; any other is a `webhook`."
        )
    if options.how == "mail" and not _is_mail(options.address):
        raise SerError(
            "The address names no sender or recipient; expected mailto(s)://user:password@host"
            "?from=ser@example.org&to=me@example.org, see docs/howto/notify.md."
        )


def _is_mail(address: str) -> bool:
    from apprise import Apprise

    return Apprise.instantiate(address) is not None


def add(options: argparse.Namespace) -> None:
    """Save the channel, or replace the one of this name."""
    _remove(options.name)
    block = _block(options.how, options.address, options.name)
    document = block.save(f"{PREFIX}{options.name}", overwrite=True)
    for automation in _automations(options.name, options.how, options.kinds, document):
        automation.create()
    print(f"{options.name} is told of {', '.join(options.kinds)}, while `make up` runs.")
    print(f"Try it: ser notify test {options.name}")


def show(options: argparse.Namespace) -> None:
    """Channels by name, with what each tells of. No address: it may hold a password."""
    found = [
        {"name": name, "how": how, "on": kinds}
        for name, (how, kinds) in sorted(_channels().items())
    ]
    if options.json:
        print(json.dumps(found, indent=2))
    elif not found:
        print("Nobody is told. `ser notify add webhook https://…` adds a channel.")
    for one in () if options.json else found:
        print(f"{one['name']} ({one['how']}): {', '.join(one['on'])}")


def test(options: argparse.Namespace) -> None:
    """Send a line now, from here."""
    how, _ = _known(options.name)
    # When the process ends, Prefect logs how many events it still has to send.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    block = _class(BLOCKS[how]).load(f"{PREFIX}{options.name}")
    try:
        with block.raise_on_failure():
            block.notify(body="This channel works.", subject="SER: test")
    # Whatever the library fails with: a host that is away, a password that is wrong.
    except Exception as error:
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise SerError(f"{options.name} was not reached ({first}). Correct its address.") from error
    print(f"Sent to {options.name}.")


def remove(options: argparse.Namespace) -> None:
    """Forget a channel."""
    _known(options.name)
    _remove(options.name)
    print(f"{options.name} is no longer told.")


def _block(how: str, address: str, name: str) -> Any:
    block_class = _class(BLOCKS[how])
    if how == "webhook":
        text = {"subject": "{{subject}}", "body": "{{body}}"}
        return block_class(name=name, url=address, json_data=text)
    return block_class(url=address)


def _class(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _automations(name: str, how: str, kinds: list[str], block: Any) -> list[Automation]:
    from prefect.automations import Automation, EventTrigger, Posture
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.events import ResourceSpecification

    ours = [kind for kind in kinds if kind != "failure"]
    found = []
    if ours:
        trigger = EventTrigger(
            expect={event for kind in ours for event in KINDS[kind]},
            match=ResourceSpecification({"prefect.resource.id": RESOURCE}),
            posture=Posture.Reactive,
            threshold=1,
        )
        action = SendNotification(block_document_id=block, subject=SUBJECT, body=BODY)
        found.append(("model", ours, trigger, action))
    if "failure" in kinds:
        trigger = EventTrigger(
            expect=set(KINDS["failure"]),
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {
                    "prefect.resource.role": "flow",
                    "prefect.resource.name": ["retrain", "monitor"],
                }
            ),
            posture=Posture.Reactive,
            threshold=1,
        )
        action = SendNotification(block_document_id=block, subject=FAILED_SUBJECT, body=FAILED_BODY)
        found.append(("failure", ["failure"], trigger, action))
    return [
        Automation(
            name=f"{PREFIX}{name}-{part}",
            description=f"{how}: {', '.join(told)}",
            trigger=trigger,
            actions=[action],
        )
        for part, told, trigger, action in found
    ]


def _channels() -> dict[str, tuple[str, list[str]]]:
    """How and of what, by the channel's name."""
    found: dict[str, tuple[str, list[str]]] = {}
    for automation in _automations_of(PREFIX):
        name = automation.name.removeprefix(PREFIX).rpartition("-")[0]
        how, _, kinds = automation.description.partition(": ")
        found.setdefault(name, (how, []))[1].extend(kinds.split(", "))
    return found


def _known(name: str) -> tuple[str, list[str]]:
    channels = _channels()
    if name not in channels:
        names = ", ".join(sorted(channels)) or "none"
        raise SerError(f"There is no channel {name!r}; there are: {names}.")
    return channels[name]


def _remove(name: str) -> None:
    """Delete the channel's automations, then its block; nothing where there is none."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        for automation in _automations_of(f"{PREFIX}{name}-"):
            if automation.name.rpartition("-")[0] == f"{PREFIX}{name}":
                client.delete_automation(automation.id)
        for place in BLOCKS.values():
            with suppress(ObjectNotFound):
                slug = _class(place).get_block_type_slug()
                document = client.read_block_document_by_name(f"{PREFIX}{name}", slug)
                client.delete_block_document(document.id)


def _automations_of(prefix: str) -> list[Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [one for one in client.read_automations() if one.name.startswith(prefix)]


if __name__ == "__main__":
    sys.exit(main())
