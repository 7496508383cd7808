"""What a look found, and how all looks are taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ser.errors import SerError
from ser.output import one_line

#: `bad` stops the work, `warn` will sooner or later, or makes it slow.
State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Finding:
    """what : was looked at. remedy : what to do; empty where all is well."""

    what: str
    state: State
    found: str
    remedy: str = ""


Check = Callable[[Path], Iterator[Finding]]


def findings(checks: Iterable[tuple[str, Check]], root: Path) -> Iterator[Finding]:
    """Of each check, named; a check that fails is a finding itself, and the others go on."""
    for name, check in checks:
        try:
            yield from check(root)
        except SerError as error:
            found, _, remedy = one_line(str(error)).partition(". ")
            yield Finding(name, "bad", found.rstrip("."), remedy)
        except Exception as error:
            if os.environ.get("SER_DEBUG"):
                raise
            yield Finding(
                name,
                "bad",
                f"cannot be looked at: {type(error).__name__}: {one_line(str(error))[:120]}",
                "Look at the rest first; `SER_DEBUG=1 ser doctor` shows where.",
            )
