"""Servers on this machine are reached without a proxy."""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

#: Variables that name a server which may run on this machine.
SERVERS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "PREFECT_API_URL")
# Not `[::1]`, which httpx cannot read.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def bypass_proxies() -> None:
    """Add the loopback addresses to `no_proxy`, for this process and those it starts.

    MLflow's client (requests), Prefect's (httpx, websockets) and urllib all read it there.
    """
    # Both spellings are read; where both are set, libraries differ in which one counts.
    given = ",".join(os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")).split(",")
    # No list of theirs holds all of 127.0.0.0/8, so the address in use is named.
    named = filter(is_loopback, (_host(os.environ.get(name, "")) for name in SERVERS))
    hosts = dict.fromkeys(filter(None, [*map(str.strip, given), *LOOPBACK, *named]))
    value = "*" if "*" in hosts else ",".join(hosts)
    os.environ.update(no_proxy=value, NO_PROXY=value)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own: `localhost`, `127.0.0.2`, `::1`."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
