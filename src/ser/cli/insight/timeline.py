"""`ser timeline`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ser.cli.answers import ModelOption, ended_by_a_person, recordings_in
from ser.cli.insight.files import stems
from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import AudioError, SerError, TableError
from ser.output import SOME_FAILED, one_line, print_error
from ser.params.timeline import Channels

if TYPE_CHECKING:
    from ser.api import Model
    from ser.cli.insight.exports import Write
    from ser.core.timeline.values import Timeline
    from ser.io.labels.reading import Reference
    from ser.params.timeline import TimelineParams
    from ser.timeline.making import OnProgress

Order = Literal["given", "name", "time"]


def timeline(
    files: Annotated[
        list[Path],
        typer.Argument(help=f"Recordings of any length ({AUDIO_FORMATS}), or folders."),
    ],
    model: ModelOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for files; without a format below, one of every format."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, all that there is.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table of turns.")] = False,
    textgrid: Annotated[bool, typer.Option("--textgrid", help="Praat.")] = False,
    audacity: Annotated[bool, typer.Option("--audacity", help="A label track.")] = False,
    rttm: Annotated[bool, typer.Option("--rttm", help="Diarization tools.")] = False,
    figure: Annotated[bool, typer.Option("--figure", help="A picture, PNG.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="The same as SVG.")] = False,
    html: Annotated[bool, typer.Option("--html", help="A page with playback.")] = False,
    channels: Annotated[
        Channels | None,
        typer.Option(
            help="A timeline for each channel, or one for their mix; auto: each, unless they are "
            "alike. Default: timeline.channels of params.yaml."
        ),
    ] = None,
    order: Annotated[
        Order, typer.Option(help="Of several recordings: as given, by name or by file time.")
    ] = "given",
    reference: Annotated[
        Path | None,
        typer.Option(
            help="The true emotions (RTTM, CSV, TextGrid, Audacity's labels), or a folder of such "
            "files, named as the recordings: prints the emotion diarization error rate."
        ),
    ] = None,
) -> None:
    """Perceived emotions over recordings of any length: turns, and how they change.

    Prints a summary; with one text format, that on stdout instead. Without --out
    figures and pages are written into the current folder.
    A file that fails does not stop the others; the exit status is then 1.

    [bold]ser timeline call.wav[/bold]  a summary, a lane for each party.

    [bold]ser timeline call.wav --out timelines[/bold]  JSON, CSV, labels, figure and page.

    [bold]ser timeline week*.wav[/bold]  and what changes from one to the next.
    """
    from ser.api import load
    from ser.cli.insight import exports, summaries

    asked = {
        "json": as_json,
        "csv": as_csv,
        "textgrid": textgrid,
        "audacity": audacity,
        "rttm": rttm,
        "figure": figure,
        "svg": svg,
        "html": html,
    }
    formats = [name for name, wanted in asked.items() if wanted]
    recordings = _ordered(list(recordings_in(files)), order)
    plan = exports.plan(formats, out=out, several=len(recordings) > 1)
    missing = [file for file in recordings if not file.exists()]
    if len(missing) == len(recordings):
        # Before seconds go into loading a model.
        raise AudioError("does not exist", "a recording", file=str(missing[0]))
    plan.check()
    loaded, params = load(model), _params(channels)
    made: list[Timeline] = []
    failed = 0
    with ended_by_a_person():
        for file, name in zip(recordings, stems(recordings), strict=True):
            try:
                truth = _reference_of(reference, file) if reference else None
                one = _made(loaded, file, params)
                made.append(one)
                failed += _written(plan.files(one, file, name))
                if plan.shows_summary:
                    summaries.show(one)
                if truth:
                    out_of = sys.stdout if plan.shows_summary else sys.stderr
                    summaries.show_error(one, truth, out=out_of)
            except SerError as error:
                failed += 1
                print_error(error.of(file) if isinstance(error, AudioError) else error)
        if plan.shows_summary and len(made) > 1:
            summaries.show_comparison(made)
        failed += _written(plan.together(made))
        sys.stdout.write(plan.text(made, is_list=len(recordings) > 1))
        sys.stdout.flush()
    if failed:
        raise typer.Exit(SOME_FAILED)


def _written(files: Iterable[Write]) -> int:
    """Write the files, and name each; returns how many could not be written."""
    failed = 0
    for write in files:
        try:
            print(f"written: {one_line(str(write()))}", file=sys.stderr)
        except SerError as error:
            failed += 1
            print_error(error)
    return failed


def _ordered(recordings: list[Path], order: Order) -> list[Path]:
    from ser.core.timeline.comparison import natural_key

    if order == "name":
        return sorted(recordings, key=lambda file: natural_key(file.name))
    if order == "time":
        return sorted(recordings, key=lambda file: file.stat().st_mtime if file.exists() else 0.0)
    return recordings


def _params(channels: Channels | None) -> TimelineParams:
    """Those of the project that the current folder is in, else the defaults."""
    from ser.params import load_params
    from ser.params.timeline import TimelineParams
    from ser.project import find_root

    root = find_root()
    params = load_params(root / "params.yaml").timeline if root else TimelineParams()
    return params.model_copy(update={"channels": channels}) if channels else params


def _made(model: Model, file: Path, params: TimelineParams) -> Timeline:
    with _progress(file) as on_progress:
        return model.timeline(file, params=params, on_progress=on_progress)


@contextmanager
def _progress(file: Path) -> Iterator[OnProgress]:
    """A bar of the minutes that are read; how many there are, only some formats say."""
    from tqdm import tqdm

    from ser.io.audio.read import stated_seconds

    with tqdm(
        total=stated_seconds(file),
        desc=one_line(file.name)[:30],
        unit="s",
        leave=False,
        disable=None,
    ) as bar:
        yield lambda seconds: bar.update(round(seconds, 1) - bar.n)


def _reference_of(path: Path, file: Path) -> Reference:
    """The reference of a recording: the file itself, or the one of its name in the folder."""
    from ser.io.labels.reading import FORMATS, SUFFIXES, read_reference

    if not path.is_dir():
        return read_reference(path, name=file.stem)
    found = sorted(
        own for own in path.iterdir() if own.stem == file.stem and own.suffix.lower() in SUFFIXES
    )
    if len(found) != 1:
        names = ", ".join(own.name for own in found) or "none"
        raise TableError(
            f"{path} holds {names} for {file.name}; expected one reference: {FORMATS}."
        )
    return read_reference(found[0], name=file.stem)
