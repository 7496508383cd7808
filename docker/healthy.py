"""Whether a part of the stack is well: the health check of its container.

    python healthy.py http://127.0.0.1:5000/health      a server answers
    python healthy.py --worker docker                   Prefect lists the worker as online

Of the standard library alone: it runs every few seconds, also where `ser` is not installed.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

#: Seconds; the container's own limit is longer.
TIMEOUT = 4.0
POOL = "default"


def fetch(url: str, body: Any = None) -> bytes:
    """What the address answers; raises OSError where it does not, or with an error."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    # Proxies of the environment are for what lies outside.
    with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:
        return answer.read()


def check_worker(name: str) -> None:
    url = os.environ["PREFECT_API_URL"].rstrip("/")
    workers = json.loads(fetch(f"{url}/work_pools/{POOL}/workers/filter", {}))
    found = {worker["name"]: worker["status"] for worker in workers}
    if found.get(name) != "ONLINE":
        raise OSError(f"the worker {name} is {found.get(name, 'not registered')}")


if __name__ == "__main__":
    try:
        if sys.argv[1] == "--worker":
            check_worker(sys.argv[2])
        else:
            fetch(sys.argv[1])
    except OSError as error:
        sys.exit(f"not well: {error}")
