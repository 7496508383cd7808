"""`ser corpus add folder …`: a user's own recordings, and the options that describe them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.cli.arrivals import track_and_report
from ser.corpora.own.columns import parse_columns
from ser.corpora.own.segments import count_overlaps, segments_in
from ser.corpora.own.shelf import ADAPTER
from ser.errors import CorpusError
from ser.project import RAW

if TYPE_CHECKING:
    from ser.io.intake.own import OwnCorpus

#: Speakers that are named before the rest is only counted.
SHOWN = 10
#: These options stand in a panel of their own in `--help`.
_option = partial(typer.Option, rich_help_panel="Your own recordings")

Called = Annotated[str | None, _option("--name", help="What to call it.")]
Table = Annotated[
    Path | None,
    _option(
        help="CSV, TSV or Parquet: file, emotion, speaker; sex, intensity, sentence if known; "
        "start, end or duration (seconds) where a recording holds several utterances. "
        "Without it the folders' names are the labels.",
    ),
]
Mapping = Annotated[
    Path | None,
    _option(
        help="YAML, your word: emotion, or drop to leave out; below emotion:, speaker:, sex: "
        "where it is of several.",
    ),
]
Columns = Annotated[
    list[str] | None,
    _option(
        help="What the table calls its columns: emotion=Label,speaker=Actor; common names are "
        "understood.",
    ),
]
Pattern = Annotated[
    str | None,
    _option(
        "--pattern",
        "--speaker-pattern",
        help="Regular expression found in each path; its groups (?P<speaker>…), (?P<emotion>…), "
        "sex, intensity, sentence name what table and folders do not.",
    ),
]
DropUnlisted = Annotated[
    bool, _option("--drop-unlisted", help="Leave out what the table does not list.")
]
Fact = Annotated[str | None, _option()]
Language = Annotated[list[str] | None, _option(help="ISO 639-1 code; may be repeated.")]


def described(
    table: Path | None,
    columns: list[str] | None,
    mapping: Path | None,
    pattern: str | None,
    drop_unlisted: bool,
) -> dict[str, Any]:
    """Those options on how recordings are labelled that were given."""
    options = {
        "table": table,
        "columns": parse_columns(columns or ()),
        "mapping": mapping,
        "pattern": pattern,
        "drop_unlisted": drop_unlisted,
    }
    return {name: value for name, value in options.items() if value}


def add(
    root: Path, path: Path, name: str | None, described: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Label the recordings, copy them to data/raw/NAME, put them under DVC, print what came in."""
    from ser.corpora.catalogue import check_own_name, corpus_named
    from ser.io.intake.ingest import unpacked
    from ser.io.intake.own import add_own, prepare_own

    if name is None:
        raise CorpusError(
            f"Your own recordings need a name: `ser corpus add {ADAPTER} PATH --name NAME`."
        )
    check_own_name(name)
    with unpacked(path, root / RAW) as folder:
        own = prepare_own(folder, **described, facts={"title": name, **facts})
        ingested = add_own(own, folder, root / RAW / name)
    track_and_report(root, corpus_named(name, root / RAW), ingested, _lines(own))


def _lines(own: OwnCorpus) -> list[str]:
    """What was understood of the user's recordings."""
    rows, lines = own.labels, []
    recordings = rows["file"].nunique()
    has_segments = not all(segment.is_whole for segment in segments_in(rows))
    if has_segments:
        lines.append(f"{len(rows)} segments of {recordings} recordings are utterances.")
    if overlaps := count_overlaps(rows):
        lines.append(
            f"note: {overlaps} segments overlap another one of their recording that has "
            "another emotion or speaker."
        )
    speakers = rows["speaker"].unique()
    more = f", … {len(speakers) - SHOWN} more" if len(speakers) > SHOWN else ""
    lines.append(f"Speakers: {', '.join(speakers[:SHOWN])}{more}.")
    for (label, emotion), same in rows.groupby(["label", "emotion"]):
        lines.append(f"  {label}: {len(same)} as {emotion}")
    if own.left_out:
        lines.append(f"Left out: {own.left_out} of {own.left_out + recordings} recordings.")
    if has_segments and own.dropped:
        lines.append(f"Left out: {own.dropped} of {own.dropped + len(rows)} rows of the table.")
    return [*lines, *own.notes]
