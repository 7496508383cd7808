"""`python -m flows.retrain`: one pass of the flow, from a shell or from cron.

Prefect reads its environment when it is imported, so this module imports it only after
that environment is set.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from flows.environment import set_defaults
from flows.lock import hold
from flows.server import prefect_server
from ser.errors import SerError
from ser.output import escape_unencodable, one_line
from ser.params import load_params

FAILED, INTERRUPTED = 1, 130


def main() -> int:
    """Run the flow; an error that the user can mend is one line, and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description=main.__doc__)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and all output")
    debug = parser.parse_args().debug or bool(os.environ.get("SER_DEBUG"))
    escape_unencodable()
    root = Path.cwd()
    if debug:
        os.environ["SER_DEBUG"] = "1"
    set_defaults(root)
    # A plain `kill` must leave no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with hold(root):
            _run(root, debug=debug)
    except KeyboardInterrupt:
        print("error: interrupted; start again to go on where it stopped.", file=sys.stderr)
        return INTERRUPTED
    except SerError as error:
        if debug:
            raise
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    except Exception as error:
        if debug:
            raise
        # Prefect has logged the traceback: this is our mistake, or a library's.
        first = (str(error).splitlines() or [""])[0]
        print(f"error: {type(error).__name__}: {one_line(first)}", file=sys.stderr)
        return FAILED
    return 0


def _run(root: Path, *, debug: bool) -> None:
    # A misspelt parameter is an error before anything is started.
    load_params(root / "params.yaml")
    server = prefect_server(root)

    from rich.console import Console

    from flows.pipeline import retrain, wait_until_recorded
    from flows.report import print_closing

    if not debug:
        _hush(links=server.has_ui)
    # MLflow's import takes seconds, as does the start of Prefect's server: both at once.
    threading.Thread(target=_warm_up, args=(root,), daemon=True).start()
    server.wait()
    state = retrain(str(root), return_state=True)
    wait_until_recorded(state)
    print_closing(state.result(), Console())


def _warm_up(root: Path) -> None:
    from ser.io.tracking.store import prepare_store

    # The flow does the same in a moment, and reports the error there.
    with suppress(Exception):
        prepare_store(root)


class _Readable(logging.Filter):
    """Leaves out the tracebacks of errors that `main` tells in one line, and dead links."""

    def __init__(self, *, links: bool) -> None:
        super().__init__()
        self._links = links

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        dead_link = not self._links and str(record.msg).startswith("View at ")
        return not (dead_link or isinstance(error, SerError))


def _hush(*, links: bool) -> None:
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_Readable(links=links))


if __name__ == "__main__":
    sys.exit(main())
