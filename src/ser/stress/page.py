"""The stress table as Markdown, beside an earlier one where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.core.scores.robustness import SCHEMA, Row, Stress
from ser.errors import SerError, TableError
from ser.files import read_json
from ser.reporting.words import stress_text
from ser.stress.printed import LIMITS, headline

VERDICTS = {True: "pass", False: "**fails**", None: ""}
#: What stands between these lines of a page is the table's place.
BEGINS, ENDS = "<!-- stress table: begins -->", "<!-- stress table: ends -->"


def markdown(found: Stress, before: Mapping[str, Any] | None = None) -> str:
    """The table and the gaps; before : an earlier table, of `read_table`."""
    return "\n".join([*_about(found, before), "", *_rows(found, before), "", *_gaps(found, before)])


def read_table(path: Path) -> dict[str, Any]:
    """A table that `ser stress --json` wrote; raises TableError for any other file."""
    remedy = "Name a file that `ser stress --json` wrote."
    table = read_json(path, remedy=remedy)
    if table.get("schema") != SCHEMA:
        raise TableError(
            f"{path} has schema {table.get('schema')!r}; expected {SCHEMA!r}. {remedy}"
        )
    return table


@dataclass(frozen=True)
class Place:
    """What stands in a page before the table and behind it, the marks among it."""

    head: str
    tail: str

    def filled(self, table: str) -> str:
        return f"{self.head}\n{table.strip()}\n{self.tail}"


def find_place(path: Path) -> Place:
    """Where the table goes in a page: between its marks, which a new or an empty page gets.

    Raises SerError for a page of something else.
    """
    try:
        page = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "it is no UTF-8")
        raise SerError(f"{path} cannot be read ({why}). Name another page.") from error
    if not page.strip():
        return Place(BEGINS, f"{ENDS}\n")
    head, begins, rest = page.partition(BEGINS)
    _, ends, tail = rest.partition(ENDS)
    if not ends:
        raise SerError(
            f"{path} has text, but not the two lines {BEGINS!r} and {ENDS!r} between which the "
            "table goes. Put them there, or name a new page."
        )
    return Place(f"{head}{begins}", f"{ends}{tail}")


def _about(found: Stress, before: Mapping[str, Any] | None) -> Iterable[str]:
    yield headline(found)
    if before:
        score = before["uar_clean"]
        was = "" if score is None else f"UAR as recorded {score:.3f}; "
        yield ""
        yield f"Before: {was}{stress_text(before)}"


def _rows(found: Stress, before: Mapping[str, Any] | None) -> Iterable[str]:
    labelled = found.uar_clean is not None
    scores = ("UAR", "ΔUAR", "95 % of Δ", "UAR answered") if labelled else ()
    head = ("family", "row", *scores, "answered", "unchanged", "limits", "")
    yield _cells(head)
    yield _cells("---" for _ in head)
    earlier = {(row["family"], row["name"]): row for row in (before or {}).get("rows", ())}
    for row in found.rows:
        yield _cells(_row(row, earlier.get((row.family, row.name)), labelled))
    for one in found.left_out:
        yield f"\nLeft out: {one.family} {one.name}; it needs {one.lacks}."


def _row(row: Row, was: Mapping[str, Any] | None, labelled: bool) -> Iterable[str]:
    old = was or {}
    yield from (row.family, row.name)
    if labelled:
        yield _turned(row.uar, old.get("uar"), "{:.3f}")
        yield _turned(row.delta, old.get("delta"), "{:+.3f}")
        yield "[{:+.3f}, {:+.3f}]".format(*row.delta_ci95) if row.delta_ci95 else ""
        yield _turned(row.uar_answered, old.get("uar_answered"), "{:.3f}")
    yield _turned(row.answered, old.get("answered"), "{:.0%}")
    yield _turned(row.unchanged, old.get("unchanged"), "{:.1%}")
    yield ", ".join(LIMITS[name].format(value) for name, value in row.limits.items())
    yield _verdict(row.passed, was)


def _gaps(found: Stress, before: Mapping[str, Any] | None) -> Iterable[str]:
    if not found.fairness:
        return
    head = ("UAR by", "groups", "gap", "limit", "")
    yield _cells(head)
    yield _cells("---" for _ in head)
    earlier = {gap["name"]: gap for gap in (before or {}).get("fairness", ())}
    for gap in found.fairness:
        was = earlier.get(gap.name)
        groups = ", ".join(
            f"{name} {_turned(value, (was or {}).get('groups', {}).get(name), '{:.3f}')}"
            for name, value in gap.groups.items()
        )
        numbers = _turned(gap.gap, (was or {}).get("gap"), "{:.3f}")
        limit = "" if gap.limit is None else f"{gap.limit:g}"
        yield _cells((gap.name, groups, numbers, limit, _verdict(gap.passed, was)))
    yield ""


def _turned(value: float | None, was: float | None, form: str) -> str:
    """`0.812`, or `0.701 → 0.812` where another stood there."""
    now = "–" if value is None else form.format(value)
    return now if was is None else f"{form.format(was)} → {now}"


def _verdict(passed: bool | None, was: Mapping[str, Any] | None) -> str:
    now = VERDICTS[passed]
    return now if was is None or was["passed"] == passed else f"{VERDICTS[was['passed']]} → {now}"


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
