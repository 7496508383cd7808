"""The section of params.yaml on the traffic log."""

from __future__ import annotations

from pydantic import Field

from ser.params.section import Section


class TrafficParams(Section):
    """Where answers are logged, as figures without audio, and for how long."""

    #: false: nothing is logged.
    enabled: bool = True
    #: Relative to the project's root, unless it is absolute.
    folder: str = "data/traffic"
    #: Files of days that lie further back are deleted.
    days: int = Field(30, ge=1)
    #: Rows are written when so many wait, or after so many seconds.
    flush_rows: int = Field(10_000, ge=1)
    flush_seconds: float = Field(60.0, gt=0)
