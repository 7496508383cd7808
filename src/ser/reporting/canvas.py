"""The one place where figures begin, and the formats of those that a person names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import SerError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Formats of a figure, by the suffix of its file.
FORMATS = ("png", "svg", "pdf")


def new_figure(**how: Any) -> Figure:
    """An empty figure; how : matplotlib's options of it."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    # A dollar sign in the name of a folder or a speaker would begin a formula. Each text takes this
    # as it is made, some when the figure is saved: a context around this call would not do.
    rcParams["text.parse_math"] = False
    return Figure(**how)


def format_of(path: Path) -> str:
    """The format that a file's suffix names; raises SerError for any other.

    >>> format_of(Path("a.PNG"))
    'png'
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise SerError(
            f"{path} has the suffix {path.suffix!r}; a figure is one of .{', .'.join(FORMATS)}. "
            "Name it so."
        )
    return kind
