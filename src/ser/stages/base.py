"""What all stages share: how a stage is started and how it fails."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from ser.errors import SerError, StageError, may_pass
from ser.files import no_room
from ser.io.tracking.patience import be_patient
from ser.io.web.loopback import bypass_proxies
from ser.output import escape_unencodable, print_error
from ser.params import load_params

#: Exit status of an error that the user can mend: trying again before that is no use.
USER_ERROR = 2
#: Exit status of an error that may pass (EX_TEMPFAIL of sysexits.h): the flow tries again. Any
#: other status is a fault of ours, which stays.
MAY_PASS = 75
INTERRUPTED = 130


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
    be_patient()
    escape_unencodable()
    root = Path.cwd()
    try:
        _check_arguments(run, arguments)
        run(root, load_params(root / "params.yaml"), *arguments)
    except Exception as error:
        passes, mendable = may_pass(error), isinstance(error, SerError)
        # Not every library says why it could not write.
        full = "" if mendable else no_room(error, root)
        if debug or not (passes or mendable or full):
            raise
        if mendable or full:
            print_error(full or error)
        else:
            traceback.print_exc()
        sys.exit(MAY_PASS if passes else USER_ERROR)
    except KeyboardInterrupt:
        print_error("interrupted; nothing half-written was kept.")
        sys.exit(INTERRUPTED)


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
