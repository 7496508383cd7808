"""From what was asked for to files: a page, tables, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ser.core.corpus.distributions import NAMES
from ser.files import atomic_path, check_file, write_text
from ser.io.storage.tables import write_table
from ser.output import count_of
from ser.params import FeatureParams
from ser.pictures.checks import Checks, check
from ser.pictures.gallery import Picture, pictures
from ser.pictures.layout import Kind
from ser.pictures.page import doubtful, page
from ser.pictures.sources import find_sources, take
from ser.project import CORPUS_PAGES

#: Columns of the tables: labels, measures, what the checks found.
COLUMNS = (
    *("file", "start", "end", "corpus", "speaker", "sex", "emotion", "intensity", "sentence"),
    *NAMES,
    *("label_quality", "flagged", "looks_like", "p_looks_like", "typicality", "odd"),
)


@dataclass(frozen=True)
class Plotting:
    """out : of the page; None: in the project's reports/corpus, else here, by the corpus's name.

    figures : a folder for PNG and SVG. most : utterances of each corpus, drawn at random.
    listed : clips in each list of the page.
    """

    out: Path | None = None
    figures: Path | None = None
    most: int | None = None
    listed: int = 20
    kind: Kind = "umap"
    seed: int = 7


@dataclass(frozen=True)
class Plotted:
    """files : that were written. lines : what was found, in words."""

    files: tuple[Path, ...]
    lines: tuple[str, ...]


def plot(
    asked: Sequence[str],
    root: Path | None,
    params: FeatureParams,
    plotting: Plotting,
    *,
    corpora: Sequence[str] = (),
    described: Mapping[str, Any] | None = None,
) -> Plotted:
    """Picture corpora and folders together; arguments as `find_sources` takes them.

    Writes the page, and beside it the tables NAME.clips.csv and NAME.suspicious.csv.
    """
    sources = find_sources(asked, root, params, corpora=corpora, described=described)
    name = "+".join(source.name for source in sources)
    out = plotting.out or (root / CORPUS_PAGES if root else Path.cwd()) / f"{name}.html"
    check_file(out)
    clips = take(sources, params, most=plotting.most, seed=plotting.seed)
    functionals = clips.functionals.to_numpy()
    checks = check(clips.table, functionals, seed=plotting.seed)
    drawn = list(pictures(clips.table, functionals, params, kind=plotting.kind, seed=plotting.seed))
    text = page(name, checks, drawn, notes=clips.notes, listed=plotting.listed)
    write_text(text, out)
    tables = {
        "clips": checks.table[list(COLUMNS)],
        "suspicious": suspicious(checks, plotting.listed),
    }
    files = [out]
    for kind, table in tables.items():
        files.append(out.with_suffix(f".{kind}.csv"))
        write_table(table, files[-1])
    if plotting.figures:
        files += save_figures(drawn, plotting.figures)
    return Plotted(tuple(files), (*_lines(checks), *clips.notes, *checks.notes))


def suspicious(checks: Checks, listed: int) -> pd.DataFrame:
    """Clips whose label is flagged or listed, then the least typical ones: why, rank, columns."""
    labels = checks.mislabelled
    chosen = labels["flagged"] | labels.index.isin(doubtful(checks, listed).index)
    parts = {"label": labels[chosen], "outlying": checks.outlying.head(listed)}
    tables = [
        table[list(COLUMNS)].assign(why=why, rank=range(1, len(table) + 1))
        for why, table in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)[["why", "rank", *COLUMNS]]


def save_figures(drawn: Sequence[Picture], folder: Path) -> list[Path]:
    """Each picture as PNG and SVG in a folder, which is made where it is not there."""
    from matplotlib import rc_context

    files = []
    for picture in drawn:
        for kind in ("png", "svg"):
            path = folder / f"{picture.name}.{kind}"
            # The same figure gives the same bytes.
            dated = {"Date": None} if kind == "svg" else {}
            with rc_context({"svg.hashsalt": "ser"}), atomic_path(path) as temporary:
                picture.figure.savefig(temporary, format=kind, dpi=150, metadata=dated)
            files.append(path)
    return files


def _lines(checks: Checks) -> list[str]:
    lines = []
    for one in checks.labelling:
        lines.append(
            f"{one.corpus}: {one.flagged} of {one.clips} labels may be wrong, by confident "
            f"learning; the models agree with the labels at UAR {one.uar:.3f} (chance "
            f"{one.chance:.3f})."
        )
    clips = checks.table
    lines.append(
        f"{count_of(len(clips), 'utterance')}: median level {clips['level_db'].median():.0f} dB, "
        f"SNR about {clips['snr_db'].median():.0f} dB."
    )
    return lines
