"""A flow that runs, as a person types it or by the worker of `make up`."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.kills.place import Place, api, until
from flows.processes import prefect_api
from flows.processes.marks import marked

#: Set by Prefect's worker for a flow run's process, and inherited by all that this starts.
OF_RUN = "PREFECT__FLOW_RUN_ID"
MARKER = re.compile(
    r"Task run '([^']+)' - (starts|Finished)|Flow run '[^']+' - (Beginning|Finished)"
)
#: Seconds between two looks at a flow's log.
LOOK = 0.01
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Attempt:
    """A flow that runs: its log since it began, its processes, its end."""

    place: Place
    log: Path
    offset: int = 0
    began: float = field(default_factory=time.monotonic)
    _text: str = ""
    _markers: list[str] = field(default_factory=list)
    _looked: float = 0.0

    def markers(self) -> list[str]:
        """Which task began or finished, in order: "train starts"; a second one "train starts 2"."""
        if not self.log.exists() or self.log.stat().st_size <= self.offset:
            return self._markers
        with self.log.open("rb") as file:
            file.seek(self.offset)
            # A last line that is not whole is read the next time.
            whole, newline, _ = file.read().rpartition(b"\n")
        self.offset += len(whole + newline)
        text = whole.decode(errors="replace")
        self._text += text
        for task, word, of_flow in MARKER.findall(text):
            key = f"{task or 'flow'} {word or of_flow}"
            again = sum(
                re.fullmatch(rf"{re.escape(key)}( \d+)?", m) is not None for m in self._markers
            )
            self._markers.append(f"{key} {again + 1}" if again else key)
        return self._markers

    def has_ended(self) -> str | None:
        """`ended`, asked once a second: a server that is asked all the time slows the flow down."""
        if time.monotonic() - self._looked < 1.0:
            return None
        self._looked = time.monotonic()
        return self.ended()

    def timeline(self) -> list[tuple[str, float]]:
        """Wait for the end; the markers with the seconds at which they came."""
        found = [("start", 0.0)]
        while True:
            ended = self.has_ended()
            for key in self.markers()[len(found) - 1 :]:
                found.append((key, time.monotonic() - self.began))
            if ended is not None:
                if ended not in ("status 0", "COMPLETED"):
                    sys.exit(f"error: A flow that nobody killed ended with {ended}: {self.tail()}")
                return [*found, ("end", time.monotonic() - self.began)]
            time.sleep(LOOK)

    def tail(self) -> str:
        self.markers()
        return " | ".join(self._text.strip().splitlines()[-6:])

    def ended(self) -> str | None:
        """How it ended; None while it runs."""
        raise NotImplementedError

    def flow(self) -> psutil.Process | None:
        """The process that runs the flow."""
        raise NotImplementedError

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for it."""
        raise NotImplementedError

    def left(self) -> list[psutil.Process]:
        """Of its processes those that run."""
        return [p for p in self.processes() if _runs(p)]

    def wait(self) -> str:
        return str(until(self.ended, "a flow to end"))


class Typed(Attempt):
    """`ser run`, as a person types it."""

    def __init__(self, place: Place) -> None:
        place.mark = uuid.uuid4().hex
        log = place.root.with_name("flow.log")
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.retrain"],
                cwd=place.root,
                env=place.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        super().__init__(place, log)

    def ended(self) -> str | None:
        status = self._process.poll()
        return None if status is None else f"status {status}"

    def flow(self) -> psutil.Process | None:
        return psutil.Process(self._process.pid)

    def processes(self) -> list[psutil.Process]:
        return self.place.processes()


class Scheduled(Attempt):
    """A flow run of the deployment, by the worker of `make up`."""

    def __init__(self, place: Place) -> None:
        (deployment,) = prefect_api.deployments(api(place))
        log = place.root / ".ser" / "logs" / "worker.log"
        offset = log.stat().st_size
        path = f"deployments/{deployment['id']}/create_flow_run"
        self.run = prefect_api.post(api(place), path, {})["id"]
        super().__init__(place, log, offset)

    def ended(self) -> str | None:
        state = self.state()
        return state if state in FINAL else None

    def state(self) -> str:
        asked = {"flow_runs": {"id": {"any_": [self.run]}}}
        (found,) = prefect_api.post(api(self.place), "flow_runs/filter", asked)
        return str(found["state_type"])

    def flow(self) -> psutil.Process | None:
        engines = (p for p in self.processes() if "prefect.engine" in " ".join(p.cmdline()))
        return next(engines, None)

    def processes(self) -> list[psutil.Process]:
        return marked(OF_RUN, self.run)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
