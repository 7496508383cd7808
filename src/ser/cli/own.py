"""`ser corpus add folder …`: a user's own recordings, and the options that describe them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ser.cli.unfit import say_unfit
from ser.corpora.own.columns import parse_columns
from ser.corpora.own.shelf import ADAPTER
from ser.errors import CorpusError
from ser.output import count_of, printable

#: The panel of `--help` that these options stand in.
PANEL = "Your own recordings"
#: Speakers that are named before the rest is only counted.
SHOWN = 10

Called = Annotated[
    str | None, typer.Option("--name", help="What to call it.", rich_help_panel=PANEL)
]
Table = Annotated[
    Path | None,
    typer.Option(
        help="CSV, TSV or Parquet: file, emotion, speaker; sex, intensity, sentence if known; "
        "start, end or duration (seconds) where a recording holds several utterances. "
        "Without it the folders' names say.",
        rich_help_panel=PANEL,
    ),
]
Mapping = Annotated[
    Path | None,
    typer.Option(
        help="YAML, your word: emotion, or drop to leave out; below emotion:, speaker:, sex: "
        "where it is of several.",
        rich_help_panel=PANEL,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        help="What the table calls its columns: emotion=Label,speaker=Actor; common names are "
        "understood.",
        rich_help_panel=PANEL,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        "--speaker-pattern",
        help="Regular expression found in each path; its groups (?P<speaker>…), (?P<emotion>…), "
        "sex, intensity, sentence say what table and folders do not.",
        rich_help_panel=PANEL,
    ),
]
DropUnlisted = Annotated[
    bool,
    typer.Option(
        "--drop-unlisted", help="Leave out what the table does not list.", rich_help_panel=PANEL
    ),
]
Fact = Annotated[str | None, typer.Option(rich_help_panel=PANEL)]
Language = Annotated[
    list[str] | None,
    typer.Option(help="ISO 639-1 code; may be repeated.", rich_help_panel=PANEL),
]


def described(
    table: Path | None,
    columns: list[str] | None,
    mapping: Path | None,
    pattern: str | None,
    drop_unlisted: bool,
) -> dict[str, Any]:
    """The options that say how recordings are labelled, those that were given."""
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
    """Label the recordings, copy them to data/raw/NAME, put them under DVC, say what came in."""
    from ser.corpora.catalogue import check_own_name, corpus_named
    from ser.io.intake import dvc, shelf
    from ser.io.intake.ingest import unpacked
    from ser.io.intake.own import add_own, prepare_own

    if name is None:
        raise CorpusError(
            f"Your own recordings need a name: `ser corpus add {ADAPTER} PATH --name NAME`."
        )
    check_own_name(name)
    dest = shelf.RAW / name
    with unpacked(path, root / shelf.RAW) as folder:
        own = prepare_own(folder, **described, facts={"title": name, **facts})
        ingested = add_own(own, folder, root / dest)
    dvc.add(root, dest)
    new = "" if ingested.added == ingested.total else f" ({ingested.added} of them new)"
    print(f"{count_of(ingested.total, 'recording')}{new} in {dest}, tracked by {dest}.dvc.")
    if own.has_segments:
        print(f"{len(own.labels)} segments of {own.recordings} recordings are utterances.")
    if own.overlaps:
        print(
            f"note: {own.overlaps} segments overlap another one of their recording that has "
            "another emotion or speaker."
        )
    speakers = own.labels["speaker"].unique()
    more = f", … {len(speakers) - SHOWN} more" if len(speakers) > SHOWN else ""
    print(printable(f"Speakers: {', '.join(speakers[:SHOWN])}{more}."))
    for (label, emotion), rows in own.labels.groupby(["label", "emotion"]):
        print(printable(f"  {label}: {len(rows)} as {emotion}"))
    if own.left_out:
        print(f"Left out: {own.left_out} of {own.left_out + own.recordings} recordings.")
    if own.has_segments and own.dropped:
        print(f"Left out: {own.dropped} of {own.dropped + len(own.labels)} rows of the table.")
    say_unfit(root, dest, corpus_named(name, root / shelf.RAW), ingested.new)
    for note in own.notes:
        print(printable(note))
    print(f"Next: set data.corpora: [{name}] in params.yaml, then `make run`.")
