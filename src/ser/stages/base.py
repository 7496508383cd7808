"""What all stages share: how a stage is started and how it fails."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from ser.errors import SerError, StageError
from ser.io.web.loopback import bypass_proxies
from ser.output import escape_unencodable, print_error
from ser.params import load_params

#: Exit status of an error that the user can mend: trying again before that is no use.
USER_ERROR = 2
#: Exit status of an error that may pass (EX_TEMPFAIL of sysexits.h): the flow tries again. Any
#: other status is a fault of ours, which stays.
MAY_PASS = 75
INTERRUPTED = 130
#: The errors that may pass: a server or the network is away, a lock is held, a process was killed.
PASSING = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "socket.gaierror",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "httpx.TransportError",
        "filelock._error.Timeout",
        "concurrent.futures.process.BrokenProcessPool",
        "ser.errors.ProcessKilled",
    }
)


def run_stage(run: Callable[..., None]) -> None:
    """Run a stage in the current folder, as DVC does: `python -m ser.stages.NAME [ARG]`.

    A SerError becomes one line on stderr and exit status 2, or 75 where it may pass; `--debug`
    or SER_DEBUG shows the traceback.
    """
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = "--debug" in sys.argv or bool(os.environ.get("SER_DEBUG"))
    # Read when torch is loaded. Threads that spin while they wait make training beside another
    # busy process four times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    bypass_proxies()
    escape_unencodable()
    root = Path.cwd()
    try:
        _check_arguments(run, arguments)
        run(root, load_params(root / "params.yaml"), *arguments)
    except Exception as error:
        passes, mendable = may_pass(error), isinstance(error, SerError)
        if debug or not (passes or mendable):
            raise
        if mendable:
            print_error(error)
        else:
            traceback.print_exc()
        sys.exit(MAY_PASS if passes else USER_ERROR)
    except KeyboardInterrupt:
        print_error("interrupted; nothing half-written was kept.")
        sys.exit(INTERRUPTED)


def may_pass(error: BaseException | None) -> bool:
    """Whether the error, or one that led to it, is among those that may pass."""
    while error is not None:
        kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
        if kinds & PASSING or "database is locked" in str(error):
            return True
        # urllib keeps the error of the socket here.
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException) and may_pass(reason):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _check_arguments(run: Callable[..., None], arguments: list[str]) -> None:
    _, _, *names = inspect.signature(run).parameters
    expected = [name.upper() for name in names]
    if len(arguments) != len(expected):
        raise StageError(
            f"Found the arguments {' '.join(arguments) or 'none'}; this stage takes "
            f"{' '.join(expected) or 'none'}. Let `dvc repro` start it."
        )


def raise_first(failures: Sequence[SerError], *, of: int, what: str) -> None:
    """Raise the first of the failures, saying how many there are."""
    if not failures:
        return
    if len(failures) == 1:
        raise failures[0]
    others = f" ({len(failures)} of {of} {what} fail; this is the first.)"
    raise StageError(f"{failures[0]}{others}") from failures[0]
