"""`ser stress`: how a model bears changed recordings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.cli import own
from ser.errors import ParamsError
from ser.output import SOME_FAILED, one_line
from ser.project import find_root

if TYPE_CHECKING:
    from ser.cli.insight.recordings import Recordings
    from ser.core.scores.robustness import Stress
    from ser.params import Params
    from ser.stress.page import Place

#: Options that name recordings: one of them, or none.
SOURCES = "--corpus, --folder and --folds"


@dataclass(frozen=True)
class Files:
    """Where the table goes besides the terminal."""

    json: Path | None
    csv: Path | None
    figure: Path | None
    page: Path | None

    def check(self) -> Place | None:
        """The table's place in the page; raises SerError where a file could not be written."""
        from ser.files import check_file
        from ser.reporting.canvas import format_of
        from ser.stress.page import find_place

        if self.figure:
            format_of(self.figure)
        place = find_place(self.page) if self.page else None
        for file in filter(None, (self.json, self.csv, self.figure, self.page)):
            check_file(file)
        return place

    def write(
        self, made: Stress, name: str, place: Place | None, before: Mapping[str, Any] | None
    ) -> None:
        """JSON first: everything else can be made of it. name : of the recordings."""
        from ser.files import atomic_path, write_json, write_text
        from ser.reporting.canvas import format_of
        from ser.reporting.robustness import stress_figure
        from ser.stress.files import rows_table
        from ser.stress.page import markdown
        from ser.stress.printed import headline

        if self.json:
            write_json(made.to_dict(), self.json)
        if self.csv:
            write_text(rows_table(made).to_csv(index=False, float_format="%.6g"), self.csv)
        if self.page and place:
            write_text(place.filled(markdown(made, before)), self.page)
        if self.figure:
            figure = stress_figure(made, title=f"{one_line(name)}\n{headline(made)}")
            with atomic_path(self.figure) as temporary:
                figure.savefig(temporary, format=format_of(self.figure), dpi=110)


def stress(
    model: Annotated[
        str | None,
        typer.Argument(help="A bundle's folder or models:/emotion-recognition/3; the champion."),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="A corpus in data/raw, instead of the model's own test split; with --folder: the "
            "corpus that it holds."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Recordings, labelled as `ser audit` reads them.")
    ] = None,
    folds: Annotated[
        Path | None, typer.Option(help="A folds table, whose test rows are taken, or a manifest.")
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="The folder has no labels: no UAR.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Utterances at most, even over speakers and emotions."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(help="Families, such as noise,phone: small noise room tilt phone codec time."),
    ] = None,
    noise_folder: Annotated[
        Path | None, typer.Option(help="Your own noises: more rows of the family noise.")
    ] = None,
    rir_folder: Annotated[
        Path | None, typer.Option(help="Measured impulse responses: a row of the family room.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write its rows here.")] = None,
    figure_file: Annotated[
        Path | None, typer.Option("--figure", help="Draw them here: PNG, SVG or PDF.")
    ] = None,
    page_file: Annotated[
        Path | None,
        typer.Option(
            "--page",
            help="Write the table here as Markdown; in a page that has its marks, between them.",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="An earlier --json file: the page shows both.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit status 1 where a row misses its limit.")
    ] = False,
    table: own.Table = None,
    columns: own.Columns = None,
    mapping: own.Mapping = None,
    pattern: own.Pattern = None,
    drop_unlisted: own.DropUnlisted = False,
) -> None:
    """Change recordings in some fifty ways, and see which change the model's answers.

    Noise, rooms, telephones, codecs, speed, lost packets, and changes that nobody notices; UAR by
    sex, pitch and speaker. Limits are those of params.yaml, section stress; without a project, the
    defaults (docs/howto/stress.md).
    """
    from rich.console import Console

    from ser.api import find_bundle
    from ser.bundle import load_bundle, load_encoder_of
    from ser.cli.insight.recordings import unknown_to
    from ser.predictor import Predictor
    from ser.stress.page import read_table
    from ser.stress.printed import table_of
    from ser.stress.table import Folders
    from ser.stress.table import stress as run

    if sum(one is not None for one in (folder or corpus, folds)) > 1:
        raise ParamsError(f"Found two of {SOURCES}; name one.")
    if unlabelled and folder is None:
        raise ParamsError("--unlabelled says so of --folder FOLDER; give that, too.")
    if against and not page_file:
        raise ParamsError("--against is shown by --page FILE; give that, too.")
    before = read_table(against) if against else None
    files = Files(json_file, csv_file, figure_file, page_file)
    place = files.check()
    described = own.described(table, columns, mapping, pattern, drop_unlisted)
    params = _params(rows)
    _check_folders(params.stress.families, {"noise": noise_folder, "room": rir_folder})
    found = find_bundle(model)
    bundle = load_bundle(found.folder)
    recordings = unknown_to(
        bundle, _recordings(found, bundle, corpus, folder, folds, unlabelled, described)
    )
    made = run(
        Predictor(bundle, load_encoder_of(bundle)),
        recordings.root,
        recordings.table,
        params.stress,
        seed=params.seed,
        limit=limit,
        folders=Folders(noise_folder, rir_folder),
    )
    try:
        files.write(made, recordings.name, place, before)
    finally:
        Console(highlight=False).print(table_of(made))
    if strict and made.failed:
        raise typer.Exit(SOME_FAILED)


def _check_folders(families: Collection[str], folders: Mapping[str, Path | None]) -> None:
    """Raise ParamsError for a folder of a family that is not asked for. folders : by family."""
    for family, folder in folders.items():
        if folder is not None and family not in families:
            raise ParamsError(
                f"{folder} is for the family {family}; asked for are {', '.join(families)}. Add "
                f"{family} to --rows (or to stress.families of params.yaml), or leave the folder "
                "out."
            )


def _params(rows: str | None) -> Params:
    """Those of the project, or the defaults; `rows` : the families of the command line."""
    from ser.params import Params, load_params, parse_params

    root = find_root()
    params = load_params(root / "params.yaml") if root else Params()
    if rows is None:
        return params
    values = params.model_dump(mode="json")
    values["stress"]["families"] = [name.strip() for name in rows.split(",")]
    return parse_params(values, source="--rows")


def _recordings(
    found: Any,
    bundle: Any,
    corpus: str | None,
    folder: Path | None,
    folds: Path | None,
    unlabelled: bool,
    described: dict[str, Any],
) -> Recordings:
    from ser.cli.insight import recordings

    if folder is not None and unlabelled:
        return recordings.of_unlabelled(folder)
    if folder is not None:
        return recordings.of_folder(folder, corpus, described)
    if corpus is not None:
        return recordings.of_corpus(corpus)
    if folds is not None:
        return recordings.of_folds(folds)
    return recordings.of_model(found, bundle)
