"""`ser corpus …`: corpora come in, are looked at and removed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ser.cli import own
from ser.cli.arrivals import track_and_report
from ser.cli.inspection import (
    MADE_HERE,
    Name,
    corpus_here,
    info,
    list_corpora,
    print_facts,
    verify,
)
from ser.corpora.base import Archive, Corpus
from ser.errors import CorpusError
from ser.output import INTERRUPTED, SOME_FAILED, printable
from ser.params import load_params
from ser.project import RAW, project_root

corpus_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Corpora of emotional speech: get one, check it, remove it. "
    "Start with `ser corpus list`, then `ser corpus info ravdess`.",
)
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
corpus_app.command("list")(list_corpora)
corpus_app.command()(info)
corpus_app.command()(verify)


@corpus_app.command()
def fetch(name: Name, yes: Yes = False) -> None:
    """Download a corpus from its publisher into data/raw, check it, put it under DVC.

    Licence and citation come first. A download that was cut goes on where it stopped.
    """
    from ser.io.intake import dvc, shelf
    from ser.io.intake.checksums import check_unchanged
    from ser.io.intake.fetch import check_fetchable
    from ser.io.intake.fetch import fetch as fetch_corpus

    root = project_root()
    corpus = corpus_here(root, name)
    _check_not_made_here(name)
    dest = RAW / name
    recordings, _ = shelf.count_files(root, name)
    if recordings and recordings >= corpus.utterances:
        print(f"{name} is here already, with {recordings} recordings.")
        check_unchanged(root / dest)
        dvc.add(root, dest)
        return
    check_fetchable(corpus)
    _print_terms(corpus)
    _confirm(
        f"Fetch {name} under this licence?",
        yes,
        f"Nobody is here to accept the licence of {name} ({corpus.licence}). If you accept it: "
        f"`ser corpus fetch {name} --yes`.",
    )
    try:
        ingested = fetch_corpus(corpus, root / dest, cache=root / shelf.DOWNLOADS / name)
    except KeyboardInterrupt:
        print(f"\nStopped; `ser corpus fetch {name}` goes on from here.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    track_and_report(root, corpus, ingested, _differences(root, corpus, ingested.total))


@corpus_app.command()
def add(
    name: Annotated[
        str, typer.Argument(help="Which corpus it is, e.g. ravdess; `folder` for your own.")
    ],
    path: Annotated[Path, typer.Argument(help="Its folder, or its ZIP or TAR archive.")],
    called: own.Called = None,
    table: own.Table = None,
    columns: own.Columns = None,
    mapping: own.Mapping = None,
    pattern: own.Pattern = None,
    drop_unlisted: own.DropUnlisted = False,
    title: own.Fact = None,
    licence: own.Fact = None,
    citation: own.Fact = None,
    homepage: own.Fact = None,
    language: own.Language = None,
) -> None:
    """Copy a corpus that you have into data/raw, and put it under DVC.

    A corpus that is there grows: what is new is added, what is there is left alone, and a
    recording of the same path with other bytes is refused.
    """
    from ser.corpora.catalogue import own_names
    from ser.io.intake.ingest import ingest

    root = project_root()
    described = own.described(table, columns, mapping, pattern, drop_unlisted)
    given = {
        "title": title,
        "licence": licence,
        "citation": citation,
        "homepage": homepage,
        "languages": language,
    }
    facts = {key: fact for key, fact in given.items() if fact}
    if name == own.ADAPTER or name in own_names(root / RAW):
        own.add(root, path, called if name == own.ADAPTER else name, described, facts)
        return
    if called or described or facts:
        raise CorpusError(
            f"{name} has a name, labels and facts of its own; such options are for "
            f"`ser corpus add {own.ADAPTER} PATH`. Omit them."
        )
    corpus = corpus_here(root, name)
    _check_not_made_here(name)
    _print_terms(corpus)
    ingested = ingest(path, root / RAW / name, corpus)
    for note in ingested.notes:
        print(printable(note))
    track_and_report(root, corpus, ingested, _differences(root, corpus, ingested.total))


@corpus_app.command()
def remove(
    name: Name,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where params.yaml names it in data.corpora.")
    ] = False,
) -> None:
    """Delete a corpus from data/raw, its manifest and downloads; DVC's cache keeps its copy."""
    from ser.io.intake import shelf

    root = project_root()
    parts = shelf.parts(root, name)
    if not force and name in load_params(root / "params.yaml").data.corpora:
        raise CorpusError(
            f"params.yaml names {name} in data.corpora: the pipeline needs it. Remove it there "
            "first, or use --force."
        )
    recordings, _ = shelf.count_files(root, name)
    print(f"This deletes {recordings} recordings: {', '.join(map(str, parts))}.")
    _confirm(
        "Delete?",
        yes,
        f"Nobody is here to ask. To delete: `ser corpus remove {name} --yes`.",
    )
    shelf.remove(root, name)
    print("Gone. DVC's cache keeps its copy until `dvc gc --workspace`.")


def _check_not_made_here(name: str) -> None:
    if name == MADE_HERE:
        raise CorpusError(
            f"{name} is made by the pipeline: `dvc repro`. No other recordings belong to it."
        )


def _confirm(question: str, yes: bool, nobody: str) -> None:
    """Leave unless the user agrees; raises CorpusError `nobody` where there is no terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CorpusError(nobody)
    if not typer.confirm(question):
        raise typer.Exit(SOME_FAILED)


def _print_terms(corpus: Corpus) -> None:
    facts: dict[str, object] = {
        name: getattr(corpus, name) for name in ("title", "licence", "citation", "homepage")
    }
    if isinstance(corpus.source, Archive) and corpus.source.size:
        facts["size"] = f"{corpus.source.size / 1e6:,.0f} MB"
    print_facts(facts)


def _differences(root: Path, corpus: Corpus, total: int) -> list[str]:
    """A line on each way in which the recordings are not those of the publication."""
    from ser.io.intake.checksums import read_sums
    from ser.io.intake.verify import unpublished

    lines = []
    if corpus.utterances and total != corpus.utterances:
        lines.append(f"The corpus as published has {corpus.utterances}.")
    if others := unpublished(corpus, read_sums(root / RAW / corpus.name)):
        lines.append(
            f"Not as published: {len(others)} recordings, first {others[0]}. "
            f"`ser corpus verify {corpus.name}` lists them."
        )
    return lines
