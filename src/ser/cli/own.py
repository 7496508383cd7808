"""`ser corpus add folder …`: a user's own recordings, and the options that describe them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ser.corpora.own import ADAPTER
from ser.errors import CorpusError

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
        help="CSV or Parquet: file, emotion, speaker; sex, intensity, sentence if known; start, "
        "end (seconds) where a recording holds several utterances. "
        "Without it the folders' names say.",
        rich_help_panel=PANEL,
    ),
]
Mapping = Annotated[
    Path | None,
    typer.Option(help="YAML, your word: emotion, or drop to leave out.", rich_help_panel=PANEL),
]
SpeakerPattern = Annotated[
    str | None,
    typer.Option(
        help="Regular expression with (?P<speaker>…), found in each path.", rich_help_panel=PANEL
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
    table: Path | None, mapping: Path | None, speaker_pattern: str | None, drop_unlisted: bool
) -> dict[str, Any]:
    """The options that say how recordings are labelled, those that were given."""
    options = {
        "table": table,
        "mapping": mapping,
        "speaker_pattern": speaker_pattern,
        "drop_unlisted": drop_unlisted,
    }
    return {name: value for name, value in options.items() if value}


def add(
    root: Path, path: Path, name: str | None, described: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Label the recordings, copy them to data/raw/NAME, put them under DVC, say what came in."""
    from ser.corpora.catalogue import check_own_name
    from ser.io import dvc, shelf
    from ser.io.own import add_own, prepare_own

    if name is None:
        raise CorpusError(
            f"Your own recordings need a name: `ser corpus add {ADAPTER} PATH --name NAME`."
        )
    check_own_name(name)
    own = prepare_own(path, **described, facts={"title": name, **facts})
    dest = shelf.RAW / name
    ingested = add_own(own, path, root / dest)
    dvc.add(root, dest)
    new = "" if ingested.added == ingested.total else f" ({ingested.added} of them new)"
    print(f"{ingested.total} recordings{new} in {dest}, tracked by {dest}.dvc.")
    if own.has_segments:
        print(f"{len(own.labels)} segments of {own.recordings} recordings are utterances.")
    if own.overlaps:
        print(
            f"note: {own.overlaps} segments overlap another one of their recording that has "
            "another emotion or speaker."
        )
    speakers = own.labels["speaker"].unique()
    more = f", … {len(speakers) - SHOWN} more" if len(speakers) > SHOWN else ""
    print(f"Speakers: {', '.join(speakers[:SHOWN])}{more}.")
    for (label, emotion), rows in own.labels.groupby(["label", "emotion"]):
        print(f"  {label}: {len(rows)} as {emotion}")
    if own.left_out:
        print(f"Left out: {own.left_out} of {own.left_out + own.recordings} recordings.")
    if own.has_segments and own.dropped:
        print(f"Left out: {own.dropped} of {own.dropped + len(own.labels)} rows of the table.")
    if own.ignored:
        print(f"Columns of the table that mean nothing here: {', '.join(own.ignored)}.")
    print(f"Next: set data.corpora: [{name}] in params.yaml, then `make run`.")
