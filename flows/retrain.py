"""`ser run`: one pass of the flow, from a shell or from cron.

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
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from flows.processes.environment import FAILED, begin, failed, places
from flows.processes.lock import hold
from flows.processes.server import TEMPORARY_NAME, Server, log_of, prefect_server
from flows.request import AS_IN_PARAMS, check_corpora, request_of, values_of
from ser.errors import SerError, StageError, way_out
from ser.files import full_disks, no_room
from ser.output import print_error
from ser.params import load_params

INTERRUPTED = 130
#: Seconds that a run may take to end by itself when its own server was ended.
GRACE = 15.0


def main() -> int:
    """Run the flow; an error that the user can mend is one line, and exit status 1."""
    parser = argparse.ArgumentParser(prog="ser run", description=main.__doc__)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and all output")
    parser.add_argument("--model", metavar="NAME", help="instead of model.name of params.yaml")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="sets",
        action="append",
        default=[],
        help="instead of that value of params.yaml; repeatable. With --model or --set the "
        "checkout stays as it is: stages run in a worktree",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="train and judge, but neither register nor promote"
    )
    parser.add_argument("--reason", default="", help="why; kept with the version")
    options = parser.parse_args()
    debug = options.debug or bool(os.environ.get("SER_DEBUG"))
    root = begin()
    if debug:
        os.environ["SER_DEBUG"] = "1"
    # A plain `kill` must leave no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with hold(root):
            _run(root, options, debug=debug)
    except KeyboardInterrupt:
        print_error("interrupted; start again to go on where it stopped.")
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        if isinstance(error, SerError) and way_out(str(error)):
            # It says that a disk is full, if not always which.
            full = full_disks(*places(root))
            return failed(f"{error} ({full})" if full else error)
        full = no_room(error, *places(root))
        if isinstance(error, SerError):
            return failed(f"{error} {full}".rstrip())
        # Prefect has logged the traceback: this is a fault of ours, or of a library.
        first, *_ = str(error).splitlines() or [""]
        return failed(full or f"{type(error).__name__}: {first}")
    return 0


def _run(root: Path, options: argparse.Namespace, *, debug: bool) -> None:
    # A misspelt parameter is an error before anything is started, a corpus that is not there before
    # the flow starts: its import takes a second, in which the server starts.
    params = load_params(root / "params.yaml")
    asked: dict[str, Any] = {
        "model": AS_IN_PARAMS if options.model is None else options.model,
        "overrides": values_of(options.sets),
        "dry_run": options.dry_run,
        "reason": options.reason,
    }
    request_of(root, **asked)
    server = prefect_server(root)

    check_corpora(root, params)

    from rich.console import Console

    from flows.pipeline import retrain, wait_until_recorded
    from flows.report import Tick, print_closing
    from ser.io.tracking.store import prepare_store

    def is_readable(record: logging.LogRecord) -> bool:
        """Neither the traceback of an error that `main` prints in one line nor a dead link."""
        error = record.exc_info[1] if record.exc_info else None
        dead_link = not server.has_ui and str(record.msg).startswith("View at ")
        in_a_line = isinstance(error, SerError) or (error and no_room(error, *places(root)))
        return not (dead_link or in_a_line)

    def warm_up() -> None:
        # The flow does the same in a moment, and reports the error there.
        with suppress(Exception):
            prepare_store(root)

    if not debug:
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).addFilter(is_readable)
    # MLflow's import takes seconds, as does the start of Prefect's server: both at once.
    warming = threading.Thread(target=warm_up, daemon=True)
    warming.start()
    server.wait()
    _end_with(server, root)
    # Where the server runs already, the flow would import the same in another thread, half done.
    warming.join()
    try:
        state = retrain(**asked, root=str(root), return_state=True)
        wait_until_recorded(state)
        # This process holds the lock already, so that the flow never gives way to another one.
        tick = cast(Tick, state.result())
    except Exception as error:
        if not server.has_ended:
            raise
        raise _without_server(root) from error
    print_closing(tick, Console())


def _end_with(server: Server, root: Path) -> None:
    """End this process soon after its own server was ended by somebody else.

    Prefect would ask for it for minutes. What the process has started ends with it, as after a
    kill.
    """
    process = server.process
    if process is None:
        return

    def watch() -> None:
        process.wait()
        time.sleep(GRACE)
        print_error(_without_server(root))
        os._exit(FAILED)

    threading.Thread(target=watch, daemon=True).start()


def _without_server(root: Path) -> StageError:
    return StageError(
        f"The Prefect server of this run was ended; its log is {log_of(root, TEMPORARY_NAME)}. "
        "Start again to go on where it stopped."
    )


if __name__ == "__main__":
    sys.exit(main())
