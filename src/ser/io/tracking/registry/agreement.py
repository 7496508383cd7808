"""Whether the journal's rows and the registry say the same; nothing here reads or changes them.

The alias is moved by people in MLflow's UI, too, and a kill may come between a row and its alias.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ser.io.tracking.registry.journal import Row, figures_of
from ser.io.tracking.registry.versions import CHALLENGER, CHAMPION, Version

#: Events after which their version is the champion, and which move the alias to it.
MOVES = ("promoted", "rolled_back", "reinstated")
#: And those that record where it was found.
FOUND = ("moved_by_hand", "adopted")
CHANGES = (*MOVES, *FOUND)
#: Tag of a version: time of the row by which it became champion, set after the alias was moved.
SINCE = "champion_since"


@dataclass(frozen=True)
class Finding:
    """A disagreement: what was found, and what a person may do about it.

    kind : withdrawn, moved_by_hand, adopted and deleted are recorded by a row of that event.
        For vacant the alias champion is missing, for challenger that alias; for tags, `tags`.
    version : the version that is concerned. previous : the champion before it.
    """

    kind: Literal[
        "withdrawn", "moved_by_hand", "adopted", "deleted", "vacant", "challenger", "tags"
    ]
    version: int
    found: str
    remedy: str = ""
    previous: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def compare(rows: Sequence[Row], versions: Sequence[Version]) -> list[Finding]:
    """What disagrees, in the order in which it is to be mended.

    rows : of this registry, oldest first. versions : all that exist, newest first.
    """
    known = {v.version: v for v in versions}
    champion = next((v.version for v in versions if CHAMPION in v.aliases), None)
    held = hold(rows)
    found = []
    last = last_change(held)
    if last and not _was_done(last, champion, known):
        held.remove(last)
        what = (
            f"The journal's last row ({last['event']}, version {last['version']}) never came true: "
            "a kill came before the alias moved."
        )
        found.append(Finding("withdrawn", last["version"], what, previous=champion))
    return [
        *found,
        *_deleted(held, known, champion),
        *_moved(held, known, champion),
        *_tags(held, known),
        *_challenger(versions),
    ]


def hold(rows: Iterable[Row]) -> list[Row]:
    """The rows without those that a later row withdrew."""
    held: list[Row] = []
    for row in rows:
        if row["event"] != "withdrawn":
            held.append(row)
        elif (last := last_change(held)) and last["version"] == row["version"]:
            held.remove(last)
    return held


def last_change(held: Sequence[Row]) -> Row | None:
    """The row that made the present champion."""
    return next((row for row in reversed(held) if row["event"] in CHANGES), None)


def succession(held: Iterable[Row]) -> list[int]:
    """The champions, the present one last; who was rolled back from is left out.

    >>> rows = [("promoted", 1, None), ("promoted", 2, 1), ("rolled_back", 1, 2)]
    >>> succession({"event": e, "version": v, "previous": p} for e, v, p in rows)
    [1]
    """
    line: list[int] = []
    for row in held:
        if row["event"] in CHANGES:
            if row["previous"] is not None:
                _go_back(line, row["previous"])
            if row["event"] in ("rolled_back", "reinstated"):
                _go_back(line, row["version"])
            elif line[-1:] != [row["version"]]:
                line.append(row["version"])
    return line


def _go_back(line: list[int], version: int) -> None:
    """Make `version` the last of the line, where it served last if it did."""
    if version in line:
        while line[-1] != version:
            line.pop()
    else:
        line.append(version)


def _was_done(row: Row, champion: int | None, known: Mapping[int, Version]) -> bool:
    """Whether the row's version became champion, whatever became of it later."""
    target = known.get(row["version"])
    if row["event"] not in MOVES or row["version"] == champion or target is None:
        return True
    if "who" in row:
        return target.tags.get(SINCE) == row["at"]
    # An older row, which has no such tag.
    promoted = row["event"] == "promoted" and target.verdict == "promoted"
    return promoted or row["previous"] != champion or "store" not in row


def _moved(
    held: Sequence[Row], known: Mapping[int, Version], champion: int | None
) -> Iterable[Finding]:
    line = succession(held)
    if champion is None:
        before = [str(number) for number in dict.fromkeys(reversed(line)) if number in known]
        if line or any(v.verdict == "promoted" for v in known.values()):
            was = f"; the last was version {line[-1]}" if line else ""
            what = f"No version has the alias champion{was}."
            last = int(before[0]) if before else max(known, default=0)
            yield Finding("vacant", last, what, f"Give it back: `ser promote {last}`.")
    elif not line:
        what = f"Version {champion} is the champion, but the journal has no row of how it came."
        yield Finding("adopted", champion, what)
    elif line[-1] != champion:
        what = (
            f"Version {champion} is the champion, but the journal says version {line[-1]}: the "
            f"alias was moved by hand.{_doubt(known[champion])}"
        )
        remedy = f"Keep it: `ser promote {champion} --reason WHY`."
        if line[-1] in known:
            remedy += f" Undo it: `ser roll-back {line[-1]}`."
        yield Finding("moved_by_hand", champion, what, remedy, previous=line[-1])


def _doubt(version: Version) -> str:
    if version.verdict == "kept":
        return f" The gate refused it ({version.verdict_reason})."
    return "" if version.verdict else " The gate has not judged it."


def _deleted(
    held: Sequence[Row], known: Mapping[int, Version], champion: int | None
) -> Iterable[Finding]:
    """Versions that the journal names and MLflow no longer has; each is found once."""
    of_store = [row for row in held if row.get("store")]
    told = {row["version"] for row in of_store if row["event"] == "deleted"}
    for number in sorted({row["version"] for row in of_store} - told - set(known)):
        what = f"Version {number}, which the journal names, was deleted."
        yield Finding("deleted", number, what, previous=champion)


def _tags(held: Sequence[Row], known: Mapping[int, Version]) -> Iterable[Finding]:
    """Versions whose tags are not as their last row has them."""
    expected: dict[int, dict[str, str]] = {}
    for row in held:
        # A row without a store may be of another one.
        if row["event"] in ("promoted", "kept") and row.get("store"):
            expected[row["version"]] = verdict_tags(row)
    last = last_change(held)
    if last and "who" in last:
        expected.setdefault(last["version"], {})[SINCE] = last["at"]
    for number, tags in expected.items():
        if number in known:
            wrong = {n: text for n, text in tags.items() if known[number].tags.get(n) != text}
            if wrong:
                what = f"Version {number}: not as in the journal are the tags {', '.join(wrong)}."
                yield Finding("tags", number, what, tags=wrong)


def verdict_tags(row: Row) -> dict[str, str]:
    """Tags of a version that was judged. `verdict` comes last: it says that the rest is done."""
    figures = {name: str(value) for name, value in figures_of(row).items() if value is not None}
    return {**figures, "verdict_reason": row.get("reason", ""), "verdict": row["event"]}


def _challenger(versions: Sequence[Version]) -> Iterable[Finding]:
    # A version without it was registered by hand.
    newest = next((v for v in versions if v.bundle_sha256), None)
    if newest and CHALLENGER not in newest.aliases:
        what = f"The alias challenger is not on version {newest.version}, the newest."
        yield Finding("challenger", newest.version, what)
