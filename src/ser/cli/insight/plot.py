"""`ser plot`: pictures of corpora and folders of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ser.cli import own


def plot(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CORPUS|FOLDER]…",
            help="Corpora that `ser corpus list` has here, folders of recordings with or without "
            "labels; default: data.corpora.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The page's file; default: reports/corpus/CORPUS.html of the project."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for all figures, as PNG and SVG.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Take at most so many utterances of each, drawn at random."),
    ] = None,
    listed: Annotated[
        int, typer.Option("--list", min=1, help="Clips in each list of the page.")
    ] = 20,
    map_by: Annotated[
        Literal["umap", "pca"], typer.Option("--map", help="The feature map; pca takes no time.")
    ] = "umap",
    table: own.Table = None,
    columns: own.Columns = None,
    mapping: own.Mapping = None,
    pattern: own.Pattern = None,
    drop_unlisted: own.DropUnlisted = False,
) -> None:
    """Pictures of a corpus in one page: emotions, voices, map, doubtful labels, odd clips.

    The page holds recordings, and works without a network. Beside it are written
    NAME.clips.csv (what is measured of each utterance) and NAME.suspicious.csv (where to listen).
    """
    from ser.extras import need
    from ser.files import check_file, check_folder
    from ser.output import one_line
    from ser.params import FeatureParams, load_params
    from ser.pictures.run import Plotting
    from ser.pictures.run import plot as make
    from ser.project import find_root

    # Missed now, not after minutes.
    need("insight", "cleanlab")
    if map_by == "umap":
        need("insight", "umap")
    if out:
        check_file(out)
    if figures:
        check_folder(figures)
    root = find_root()
    params = load_params(root / "params.yaml") if root else None
    plotted = make(
        what or [],
        root,
        params.features if params else FeatureParams(),
        Plotting(
            out=out,
            figures=figures,
            most=sample,
            listed=listed,
            kind=map_by,
            seed=params.seed if params else Plotting.seed,
        ),
        corpora=params.data.corpora if params else (),
        described=own.described(table, columns, mapping, pattern, drop_unlisted),
    )
    for line in plotted.lines:
        print(one_line(line))
    for file in plotted.files:
        print(one_line(str(file)))
