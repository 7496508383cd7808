"""`ser corpus …`: corpora come in, are looked at, verified and removed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser.cli import own
from ser.cli.unfit import say_unfit
from ser.cli.words import INTERRUPTED, SOME_FAILED
from ser.corpora.base import Archive, Corpus, Form
from ser.errors import CorpusError, UnknownCorpus
from ser.output import count_of, printable
from ser.project import project_root

if TYPE_CHECKING:
    from ser.io.intake.ingest import Ingested

#: Damaged files that are named before the rest is only counted.
SHOWN = 20
#: The embedded corpus, a stage's out.
MADE_HERE = "synthetic"

corpus_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Corpora of emotional speech: get one, check it, let it go. "
    "Start with `ser corpus list`, then `ser corpus info ravdess`.",
)
Name = Annotated[str, typer.Argument(help="The corpus, as `ser corpus list` calls it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@corpus_app.command("list")
def list_corpora() -> None:
    """Corpora that can be read, and how many recordings of each are here.

    From `fetch`: the publisher gives it to everyone; `form`: on request, see `ser corpus info
    NAME`; `here`: it is your own, or the pipeline makes it.
    """
    from rich.console import Console
    from rich.table import Table

    from ser.corpora.catalogue import CORPORA
    from ser.io.intake import shelf

    root = project_root()
    table = Table(box=None)
    for heading in ("corpus", "here", "published", "speakers", "languages"):
        table.add_column(heading, no_wrap=True)
    # A long licence is cut: `info` has it whole.
    table.add_column("licence", no_wrap=True, overflow="ellipsis", max_width=15)
    table.add_column("from", no_wrap=True)
    damaged = []
    for name in dict.fromkeys([*CORPORA, *shelf.here(root)]):
        here = "?"
        try:
            recordings, _ = shelf.count_files(root, name)
            here = str(recordings) if recordings else "no"
            corpus = _corpus(root, name)
        except UnknownCorpus:
            table.add_row(name, here, "", "", "", "unknown", "no adapter")
            continue
        except CorpusError as error:
            table.add_row(name, here, "", "", "", "damaged", "here")
            damaged.append(f"{name}: {error}")
            continue
        published = "" if _is_own(corpus) else str(corpus.utterances or "")
        speakers = str(corpus.speakers or "")
        languages = ", ".join(corpus.languages)
        table.add_row(name, here, published, speakers, languages, corpus.licence, _origin(corpus))
    Console().print(table)
    for line in damaged:
        print(printable(line), file=sys.stderr)


@corpus_app.command()
def info(name: Name) -> None:
    """Licence, citation, labels and protocols of a corpus, and how to get it."""
    from ser.io.intake import shelf

    root = project_root()
    corpus = _corpus(root, name)
    recordings, _ = shelf.count_files(root, name)
    _say(
        {
            "title": corpus.title,
            "licence": corpus.licence,
            "citation": corpus.citation,
            "homepage": corpus.homepage,
            "languages": ", ".join(corpus.languages),
            "speakers": corpus.speakers,
            "recordings": f"{recordings} here"
            if _is_own(corpus)
            else f"{corpus.utterances} as published, {recordings or 'none'} here",
            **_left_out(root, corpus),
            "labels": ", ".join(
                code if code == emotion else f"{code} {emotion}"
                for code, emotion in corpus.codes.items()
            ),
            "protocols": ", ".join(corpus.protocols),
            "to add more" if _is_own(corpus) else "to get it": _way(corpus),
        }
    )


@corpus_app.command()
def fetch(name: Name, yes: Yes = False) -> None:
    """Download a corpus from its publisher into data/raw, check it, put it under DVC.

    Licence and citation come first. A download that was cut goes on where it stopped.
    """
    from ser.io.intake import shelf
    from ser.io.intake.checksums import check_unchanged
    from ser.io.intake.fetch import check_fetchable
    from ser.io.intake.fetch import fetch as fetch_corpus

    root = project_root()
    corpus = _corpus(root, name)
    _check_not_made_here(name)
    dest = shelf.RAW / name
    recordings, _ = shelf.count_files(root, name)
    if recordings and recordings >= corpus.utterances:
        print(f"{name} is here already, with {recordings} recordings.")
        check_unchanged(root / dest)
        _track(root, dest)
        return
    check_fetchable(corpus)
    _say_terms(corpus)
    if not yes:
        if not sys.stdin.isatty():
            raise CorpusError(
                f"Nobody is here to accept the licence of {name} ({corpus.licence}). If you "
                f"accept it: `ser corpus fetch {name} --yes`."
            )
        if not typer.confirm(f"Fetch {name} under this licence?"):
            raise typer.Exit(SOME_FAILED)
    try:
        ingested = fetch_corpus(corpus, root / dest, cache=root / shelf.DOWNLOADS / name)
    except KeyboardInterrupt:
        print(f"\nStopped; `ser corpus fetch {name}` goes on from here.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    _came_in(root, corpus, dest, ingested)


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
    from ser.io.intake import shelf
    from ser.io.intake.ingest import ingest

    root = project_root()
    described = own.described(table, columns, mapping, pattern, drop_unlisted)
    said = {
        "title": title,
        "licence": licence,
        "citation": citation,
        "homepage": homepage,
        "languages": language,
    }
    facts = {key: fact for key, fact in said.items() if fact}
    if name == own.ADAPTER or _is_own_name(root, name):
        own.add(root, path, called if name == own.ADAPTER else name, described, facts)
        return
    if called or described or facts:
        raise CorpusError(
            f"{name} has a name, labels and facts of its own; such options are for "
            f"`ser corpus add {own.ADAPTER} PATH`. Omit them."
        )
    corpus = _corpus(root, name)
    _check_not_made_here(name)
    _say_terms(corpus)
    dest = shelf.RAW / name
    ingested = ingest(path, root / dest, corpus)
    if ingested.doubled:
        print(f"{ingested.doubled} recordings are there twice, with the same bytes; taken once.")
    for note in ingested.notes:
        print(printable(note))
    _came_in(root, corpus, dest, ingested)


@corpus_app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="One corpus; default: all.")] = None,
) -> None:
    """Hash every file of the corpora in data/raw, and DVC's copies of them.

    DVC itself never notices a damaged copy in its cache. The exit status is 1 where a file is
    missing, damaged or not listed.
    """
    from ser.io.intake import shelf

    root = project_root()
    # The embedded corpus leaves an empty folder where data.corpora does not name it.
    empty = {n for n in shelf.here(root) if n == MADE_HERE and not shelf.count_files(root, n)[1]}
    names = [name] if name else [n for n in shelf.here(root) if n not in empty]
    if not names:
        print("No corpus is in data/raw; `ser corpus list` says which there are.")
    failed = [name for name in names if not _verified(root, name)]
    if failed:
        raise typer.Exit(SOME_FAILED)


@corpus_app.command()
def remove(
    name: Name,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where params.yaml names it in data.corpora.")
    ] = False,
) -> None:
    """Delete a corpus from data/raw, and what was noted of it; DVC's cache keeps its copy."""
    from ser.io.intake import shelf
    from ser.params import load_params

    root = project_root()
    parts = shelf.parts(root, name)
    if not force and name in load_params(root / "params.yaml").data.corpora:
        raise CorpusError(
            f"params.yaml names {name} in data.corpora: the pipeline needs it. Take it out there "
            "first, or use --force."
        )
    recordings, _ = shelf.count_files(root, name)
    print(f"This deletes {recordings} recordings: {', '.join(map(str, parts))}.")
    if not yes:
        if not sys.stdin.isatty():
            raise CorpusError(
                f"Nobody is here to ask. To delete: `ser corpus remove {name} --yes`."
            )
        if not typer.confirm("Delete?"):
            raise typer.Exit(SOME_FAILED)
    shelf.remove(root, name)
    print("Gone. DVC's cache keeps its copy until `dvc gc --workspace`.")


def _corpus(root: Path, name: str) -> Corpus:
    """The only place where a name becomes a corpus; raises UnknownCorpus."""
    from ser.corpora.catalogue import corpus_named

    return corpus_named(name, root / "data" / "raw")


def _left_out(root: Path, corpus: Corpus) -> dict[str, object]:
    """What the corpus's manifest left out, by reason; without one, what is known to be bad."""
    from ser.core.utterance.fitness import counted, in_words
    from ser.io.intake import shelf

    found = shelf.left_out(root, corpus.name)
    if found is None:
        known = ", ".join(f"{name} ({why})" for name, why in corpus.known_bad.items())
        return {"known bad": known} if known else {}
    words = in_words(counted(found)) or "none"
    first = f" (first: {bad[0].why})" if (bad := [one for one in found if one.is_bad]) else ""
    return {"left out": f"{words}{first}"}


def _count_bad(root: Path, name: str, corpus: Corpus | None) -> int:
    """Recordings that are here and known to be unfit for training."""
    from ser.io.intake import shelf
    from ser.io.intake.checksums import listed_files

    folder = root / shelf.RAW / name
    declared = {
        (shelf.RAW / name / file).as_posix()
        for file in listed_files(folder)
        if corpus and Path(file).stem in corpus.known_bad
    }
    return len(declared | {one.file for one in shelf.left_out(root, name) or () if one.is_bad})


def _check_not_made_here(name: str) -> None:
    if name == MADE_HERE:
        raise CorpusError(f"{name} is spoken by the pipeline: `dvc repro`. Nothing else goes in.")


def _is_own(corpus: Corpus) -> bool:
    from ser.corpora.catalogue import CORPORA

    return corpus.name not in CORPORA


def _is_own_name(root: Path, name: str) -> bool:
    from ser.corpora.catalogue import own_names
    from ser.io.intake import shelf

    return name in own_names(root / shelf.RAW)


def _origin(corpus: Corpus) -> str:
    if isinstance(corpus.source, Form):
        return "form"
    return "fetch" if corpus.source else "here"


def _way(corpus: Corpus) -> str:
    if corpus.name == MADE_HERE:
        return "dvc repro"
    if isinstance(corpus.source, Form):
        return corpus.source.instructions
    if corpus.source:
        return f"ser corpus fetch {corpus.name}"
    if _is_own(corpus):
        return (
            f"ser corpus add folder PATH --name {corpus.name}, with the options that the first "
            "recordings came in with (--table, --mapping, --pattern)"
        )
    return f"nothing to fetch; a copy comes in with `ser corpus add {corpus.name} PATH`"


def _say_terms(corpus: Corpus) -> None:
    facts = {"licence": corpus.licence, "citation": corpus.citation, "homepage": corpus.homepage}
    if isinstance(corpus.source, Archive) and corpus.source.size:
        facts["size"] = f"{corpus.source.size / 1e6:,.0f} MB"
    _say({"title": corpus.title, **facts})


def _say(facts: dict[str, object]) -> None:
    for key, value in facts.items():
        print(printable(f"{key:<11} {value}"))


def _came_in(root: Path, corpus: Corpus, dest: Path, ingested: Ingested) -> None:
    _track(root, dest)
    added, total = ingested.added, ingested.total
    new = "" if added == total else f" ({added} of them new)"
    print(f"{count_of(total, 'recording')}{new} in {dest}, tracked by {dest}.dvc.")
    if corpus.utterances and total != corpus.utterances:
        print(f"The corpus as published has {corpus.utterances}.")
    _say_what_differs(root / dest, corpus)
    say_unfit(root, dest, corpus, ingested.new)
    print(f"Next: set data.corpora: [{corpus.name}] in params.yaml, then `make run`.")


def _say_what_differs(folder: Path, corpus: Corpus) -> None:
    """A line where the recordings are not those of the publication."""
    from ser.io.intake.verify import unpublished

    others = unpublished(folder, corpus)
    if others is None or not others:
        return
    print(
        printable(
            f"Not as published: {len(others)} recordings, first {others[0]}. "
            f"`ser corpus verify {corpus.name}` lists them."
        )
    )


def _track(root: Path, dest: Path) -> None:
    from ser.io.intake import dvc

    dvc.add(root, dest)


def _verified(root: Path, name: str) -> bool:
    from tqdm import tqdm

    from ser.io.intake import shelf
    from ser.io.intake.verify import verify as verify_corpus

    corpus, sound = None, True
    try:
        corpus = _corpus(root, name)
    except UnknownCorpus:
        pass
    except CorpusError as error:
        print(printable(f"{name}: {error}"), file=sys.stderr)
        sound = False
    _, files = shelf.count_files(root, name)
    if name not in shelf.here(root):
        way = "" if corpus is None else f" To get it: {_way(corpus)}."
        print(f"{name}: not here; `ser corpus list` says what is.{way}", file=sys.stderr)
        return False
    try:
        with tqdm(total=2 * files, desc=name, unit="file", leave=False, disable=None) as bar:
            found = verify_corpus(root, name, corpus, progress=bar.update)
    except CorpusError as error:
        print(printable(f"{name}: {error}"), file=sys.stderr)
        return False
    published = {True: ", as published", False: ", not as published", None: ""}[found.as_published]
    wrong = (*found.damaged, *found.copies)
    if not wrong:
        bad = _count_bad(root, name, corpus)
        known = f"; {bad} of them known to be unfit for training" if bad else ""
        print(f"{name}: {found.recordings} recordings, each as it came in{published}{known}.")
        for file in found.unpublished[:SHOWN]:
            print(printable(f"{name}: data/raw/{name}/{file} is not as published."))
        if len(found.unpublished) > SHOWN:
            print(f"{name}: and {len(found.unpublished) - SHOWN} more are not as published.")
        return sound
    for line in wrong[:SHOWN]:
        print(printable(f"{name}: {line}."), file=sys.stderr)
    if len(wrong) > SHOWN:
        print(f"{name}: and {len(wrong) - SHOWN} more.", file=sys.stderr)
    remedy = _remedy(name, bool(found.damaged), bool(found.copies), _is_own_name(root, name))
    print(f"{name}: {remedy}", file=sys.stderr)
    return False


def _remedy(name: str, damaged: bool, copies: bool, is_own: bool) -> str:
    if damaged and copies:
        return (
            f"delete the files named above, then `dvc pull data/raw/{name}.dvc`, or "
            f"`ser corpus remove {name}` and get it anew."
        )
    if copies:
        return (
            "data/raw is sound: delete DVC's damaged copies, then "
            f"`dvc add data/raw/{name}` makes them anew."
        )
    restores = f"delete what is damaged, then `dvc checkout data/raw/{name}.dvc` restores it; "
    if is_own:
        return (
            f"{restores}move what is not listed elsewhere, then `ser corpus add folder PATH "
            f"--name {name}`."
        )
    return f"{restores}`ser corpus add {name} data/raw/{name}` takes in what is not listed."
