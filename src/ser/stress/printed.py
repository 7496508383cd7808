"""The stress table for a terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ser.core.scores.metrics import interval_text
from ser.core.scores.robustness import Gap, Row, Stress
from ser.output import count_of, printable
from ser.reporting.words import stress_text

#: How a limit is written.
LIMITS = {"delta": "ΔUAR ≥ {:+.2f}", "unchanged": "{:.0%} unchanged"}
VERDICTS = {True: Text("pass", "green"), False: Text("FAIL", "bold red"), None: Text("–")}


def table_of(found: Stress) -> RenderableType:
    """The table, the gaps, and what was left out."""
    return Group(*_parts(found))


def headline(found: Stress) -> str:
    """One line: utterances, speakers, UAR as recorded beside chance, rows and gaps that pass."""
    about = f"{count_of(found.utterances, 'utterance')} of {count_of(found.speakers, 'speaker')}"
    score = "no labels: unchanged answers only"
    if found.uar_clean is not None:
        interval = f" {interval_text(found.uar_clean_ci95)}" if found.uar_clean_ci95 else ""
        score = f"UAR as recorded {found.uar_clean:.3f}{interval}, chance {found.chance:.3f}"
    return f"{about}: {score}; {found.answered_clean:.0%} answered. {stress_text(found.to_dict())}"


def _parts(found: Stress) -> Iterator[RenderableType]:
    yield headline(found)
    yield ""
    labelled = found.uar_clean is not None
    yield _table([], labelled, header=True)
    for family, rows in groupby(found.rows, key=attrgetter("family")):
        own = list(rows)
        limits = ", ".join(LIMITS[name].format(value) for name, value in own[0].limits.items())
        yield Text.assemble((family, "bold"), (f"  limit: {limits}" if limits else "", "dim"))
        yield _table(own, labelled)
    for gap in found.fairness:
        yield _gap_line(gap)
    if found.left_out:
        yield ""
    for one in found.left_out:
        yield Text(f"left out: {one.family} {one.name}: it needs {one.lacks}")


def _table(rows: Sequence[Row], labelled: bool, *, header: bool = False) -> Table:
    """A table of the same widths for each family, 74 columns in all."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header)
    table.add_column("row", no_wrap=True, width=23)
    scores = {"UAR": 5, "Δ": 6, "95 % of Δ": 14} if labelled else {}
    for heading, width in {**scores, "answ.": 5, "unch.": 5, "": 4}.items():
        table.add_column(heading, justify="right", no_wrap=True, width=width)
    for row in rows:
        table.add_row(*_cells(row, labelled))
    return table


def _cells(row: Row, labelled: bool) -> Iterator[RenderableType]:
    yield Text(f"  {row.name}")
    if labelled:
        assert row.uar is not None
        assert row.delta is not None
        interval = "[{:+.2f}, {:+.2f}]".format(*row.delta_ci95) if row.delta_ci95 else ""
        yield from (f"{row.uar:.3f}", f"{row.delta:+.3f}", Text(interval))
    yield from (f"{row.answered:.0%}", f"{row.unchanged:.0%}", VERDICTS[row.passed])


def _gap_line(gap: Gap) -> Text:
    text = Text(f"UAR by {gap.name}: ", "bold")
    each = [
        f"{printable(name)} {value:.3f}"
        + (f" ({count_of(gap.speakers[name], 'speaker')})" if gap.name != "speaker" else "")
        for name, value in gap.groups.items()
    ]
    text.append(", ".join(each) or "unknown", "default not bold")
    if gap.gap is not None:
        text.append(f"; gap {gap.gap:.3f}", "default not bold")
        if gap.limit is not None:
            text.append(f", limit {gap.limit:g}: ", "default not bold")
            is_open = gap.passed is None
            text.append_text(Text("too few to tell") if is_open else VERDICTS[gap.passed])
    return text
