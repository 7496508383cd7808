"""`ser corpus list`, `info` and `verify`: what there is, what it is, and whether it is intact."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ser.corpora.base import Corpus, Form
from ser.errors import CorpusError, UnknownCorpus
from ser.output import SOME_FAILED, printable
from ser.project import RAW, project_root

#: Files that are named before the rest is only counted.
SHOWN = 20
#: The embedded corpus, a stage's out.
MADE_HERE = "synthetic"

Name = Annotated[str, typer.Argument(help="The corpus, as `ser corpus list` calls it.")]


def list_corpora() -> None:
    """Corpora that can be read, and how many recordings of each are here.

    From `fetch`: the publisher gives it to everyone; `form`: on request, see `ser corpus info
    NAME`; `here`: it is your own, or the pipeline makes it.
    """
    from ser.corpora.catalogue import CORPORA
    from ser.io.intake import shelf

    root = project_root()
    table = Table(box=None)
    for heading in ("corpus", "here", "published", "speakers", "languages"):
        table.add_column(heading, no_wrap=True)
    # A long licence is cut: `info` has it whole.
    table.add_column("licence", no_wrap=True, overflow="ellipsis", max_width=15)
    table.add_column("from", no_wrap=True)
    for name in dict.fromkeys([*CORPORA, *shelf.here(root)]):
        here = "?"
        try:
            recordings, _ = shelf.count_files(root, name)
            here = str(recordings) if recordings else "no"
            corpus = corpus_here(root, name)
        except UnknownCorpus:
            table.add_row(name, here, "", "", "", "unknown", "no adapter")
        except CorpusError as error:
            table.add_row(name, here, "", "", "", "damaged", "here")
            print(printable(f"{name}: {error}"), file=sys.stderr)
        else:
            published = str(corpus.utterances or "") if name in CORPORA else ""
            speakers, languages = str(corpus.speakers or ""), ", ".join(corpus.languages)
            origin = "form" if isinstance(corpus.source, Form) else "fetch"
            table.add_row(
                *(name, here, published, speakers, languages, corpus.licence),
                origin if corpus.source else "here",
            )
    # Words in brackets are no markup here.
    Console(markup=False).print(table)


def info(name: Name) -> None:
    """Licence, citation, labels and protocols of a corpus, and how to get it."""
    from ser.io.intake import shelf

    root = project_root()
    corpus = corpus_here(root, name)
    recordings, _ = shelf.count_files(root, name)
    print_facts(
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
            "to add more" if _is_own(corpus) else "to get it": way_to_get(corpus),
        }
    )


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
    here = [n for n in shelf.here(root) if n != MADE_HERE or shelf.count_files(root, n)[1]]
    names = [name] if name else here
    if not names:
        print("No corpus is in data/raw; `ser corpus list` names those that can be had.")
    sound = [_is_sound(root, name) for name in names]
    if not all(sound):
        raise typer.Exit(SOME_FAILED)


def _is_sound(root: Path, name: str) -> bool:
    """Print what is found of a corpus; True where nothing is wrong."""
    from tqdm import tqdm

    from ser.corpora.catalogue import CORPORA
    from ser.io.intake import shelf
    from ser.io.intake.verify import verify as verify_corpus

    corpus, sound = None, True
    try:
        corpus = corpus_here(root, name)
    except UnknownCorpus:
        pass
    except CorpusError as error:
        _complain(name, [str(error)])
        sound = False
    if name not in shelf.here(root):
        way = "" if corpus is None else f" To get it: {way_to_get(corpus)}."
        _complain(name, [f"not here; `ser corpus list` names those that are.{way}"])
        return False
    _, files = shelf.count_files(root, name)
    try:
        with tqdm(total=2 * files, desc=name, unit="file", leave=False, disable=None) as bar:
            found = verify_corpus(root, name, corpus, progress=bar.update)
    except CorpusError as error:
        _complain(name, [str(error)])
        return False
    if wrong := [f"{line}." for line in (*found.damaged, *found.copies)]:
        remedy = _remedy(name, bool(found.damaged), bool(found.copies), name not in CORPORA)
        _complain(name, [*_first(wrong, "more"), remedy])
        return False
    published = {True: ", as published", False: ", not as published", None: ""}[found.as_published]
    bad = shelf.count_bad(root, name, corpus)
    unfit = f"; {bad} of them known to be unfit for training" if bad else ""
    print(f"{name}: {found.recordings} recordings, each as it came in{published}{unfit}.")
    others = [f"{RAW / name / file} is not as published." for file in found.unpublished]
    for line in _first(others, "more are not as published"):
        print(printable(f"{name}: {line}"))
    return sound


def _complain(name: str, lines: Sequence[str]) -> None:
    for line in lines:
        print(printable(f"{name}: {line}"), file=sys.stderr)


def _first(lines: Sequence[str], more: str) -> list[str]:
    """The first SHOWN lines, and one that counts the others."""
    rest = [f"and {len(lines) - SHOWN} {more}."] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *rest]


def _remedy(name: str, damaged: bool, copies: bool, is_own: bool) -> str:
    if name == MADE_HERE:
        return "delete the files named above, then `dvc repro` makes them anew."
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


def way_to_get(corpus: Corpus) -> str:
    """The command, or what to do, that brings the corpus or more of it here."""
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


def corpus_here(root: Path, name: str) -> Corpus:
    """A published corpus or the user's own; raises UnknownCorpus."""
    from ser.corpora.catalogue import corpus_named

    return corpus_named(name, root / RAW)


def print_facts(facts: Mapping[str, object]) -> None:
    for key, value in facts.items():
        print(printable(f"{key:<11} {value}"))


def _is_own(corpus: Corpus) -> bool:
    from ser.corpora.catalogue import CORPORA

    return corpus.name not in CORPORA


def _left_out(root: Path, corpus: Corpus) -> dict[str, object]:
    """What the corpus's manifest left out, by reason; without one, the known bad recordings."""
    from ser.core.utterance.fitness import counted, in_words
    from ser.io.intake import shelf

    found = shelf.left_out(root, corpus.name)
    if found is None:
        known = ", ".join(f"{name} ({why})" for name, why in corpus.known_bad.items())
        return {"known bad": known} if known else {}
    words = in_words(counted(found)) or "none"
    first = next((f" (first: {one.why})" for one in found if one.is_bad), "")
    return {"left out": f"{words}{first}"}
