"""What the parts of one server share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ser.params.timeline import TimelineParams
from ser.serve.workers.rows import whole_row

if TYPE_CHECKING:
    from ser.inbox.corrections import Inbox
    from ser.io.storage.traffic import TrafficLog
    from ser.params.server import ServeParams
    from ser.serve.ids import Ids
    from ser.serve.interfaces.admission import Admission
    from ser.serve.metrics import Metrics
    from ser.serve.voices import Profiles
    from ser.serve.workers.generation import Served
    from ser.serve.workers.pool import Pool


@dataclass
class State:
    """token : that requests must carry; None: none. waits_for : why there is no model yet, for
    anybody; detail : the same for who runs the server."""

    params: ServeParams
    pool: Pool
    admission: Admission
    metrics: Metrics
    profiles: Profiles
    ids: Ids
    inbox: Inbox | None
    traffic: TrafficLog | None
    timeline: TimelineParams = field(default_factory=TimelineParams)
    token: str | None = None
    waits_for: str = "The server starts."
    detail: str = ""
    stopping: bool = False
    #: Set when sessions have to end.
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def served(self) -> Served | None:
        return self.pool.current.served if self.pool.current else None

    def log_row(self, row: dict[str, Any], *, seconds: float) -> None:
        """Log an answer that took so long, where there is a log."""
        if self.traffic is not None:
            self.traffic.add(whole_row(row, seconds=seconds))

    @property
    def version(self) -> int | None:
        return self.served.version if self.served else None

    @property
    def is_ready(self) -> bool:
        return self.served is not None and not self.stopping
