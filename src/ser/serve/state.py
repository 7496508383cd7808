"""What the parts of one server share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser.params.server import ServeParams
    from ser.serve.inbox import Inbox
    from ser.serve.interfaces.admission import Admission
    from ser.serve.metrics import Metrics
    from ser.serve.traffic import Traffic
    from ser.serve.voices import Profiles
    from ser.serve.workers.generation import Served
    from ser.serve.workers.pool import Pool


@dataclass
class State:
    """token : that requests must carry; None: none. waits_for : why there is no model yet."""

    params: ServeParams
    pool: Pool
    admission: Admission
    metrics: Metrics
    profiles: Profiles
    inbox: Inbox | None
    traffic: Traffic
    token: str | None = None
    waits_for: str = "The server starts."
    stopping: bool = False
    #: Set when sessions have to end.
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def served(self) -> Served | None:
        return self.pool.current.served if self.pool.current else None

    @property
    def version(self) -> int | None:
        return self.served.version if self.served else None

    @property
    def is_ready(self) -> bool:
        return self.served is not None and not self.stopping
