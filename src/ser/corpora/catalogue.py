"""All corpora by name, and the listing of one on disk."""

from __future__ import annotations

import difflib
import os
from pathlib import Path, PurePath

from ser.corpora.base import Corpus, Labelled
from ser.corpora.listing import list_folder
from ser.corpora.own.shelf import ADAPTER, CARD_FILE, is_own_name, own_corpus
from ser.corpora.published.cremad import CREMAD
from ser.corpora.published.emodb import EMODB
from ser.corpora.published.iemocap import IEMOCAP
from ser.corpora.published.ravdess import RAVDESS, RAVDESS_SONG
from ser.corpora.published.savee import SAVEE
from ser.corpora.published.tess import TESS
from ser.corpora.synthetic.speak import SYNTHETIC
from ser.errors import CorpusError, MissingCorpus, UnknownCorpus

CORPORA = {
    corpus.name: corpus
    for corpus in (SYNTHETIC, RAVDESS, RAVDESS_SONG, CREMAD, TESS, SAVEE, EMODB, IEMOCAP)
}


def corpus_named(name: str, raw: Path | None = None) -> Corpus:
    """The corpus of that name, one of the catalogue or the user's own in `raw`/NAME.

    Raises UnknownCorpus naming the known ones.
    """
    if name in CORPORA:
        return CORPORA[name]
    if raw is not None and is_own_name(name) and (raw / name / CARD_FILE).is_file():
        return own_corpus(raw / name)
    known = [*CORPORA, *(own_names(raw) if raw else [])]
    close = difflib.get_close_matches(name, known, n=1)
    raise UnknownCorpus(
        f"No corpus is called {name!r}; known are {', '.join(known)}. "
        f"{f'Did you mean {close[0]}?' if close else 'Name one of these.'} Your own recordings "
        f"come in with `ser corpus add {ADAPTER} PATH --name NAME`."
    )


def own_names(raw: Path) -> list[str]:
    """The user's own corpora in `raw`, sorted."""
    return sorted(
        card.parent.name
        for card in raw.glob(f"*/{CARD_FILE}")
        if is_own_name(card.parent.name) and card.parent.name not in CORPORA
    )


def check_own_name(name: str) -> None:
    """Raise CorpusError unless a user's own corpus may have that name."""
    if name in CORPORA or not is_own_name(name):
        raise CorpusError(
            f"An own corpus cannot be called {name!r}: small letters, digits, - and _ are "
            f"allowed, {', '.join([*CORPORA, ADAPTER])} are taken. Choose another --name."
        )


def check_present(root: Path, names: tuple[str, ...], *, key: str = "data.corpora") -> None:
    """Raise UnknownCorpus or MissingCorpus unless each corpus is in data/raw or synthesised.

    key : the parameter that names them.
    """
    raw = root / "data" / "raw"
    for name in names:
        corpus = corpus_named(name, raw)
        if corpus is not SYNTHETIC and not (raw / name).is_dir():
            raise MissingCorpus(
                f"{key} names {name}, but data/raw/{name} does not exist. "
                f"Get it: `ser corpus info {name}` shows how; `ser corpus add {name} PATH` takes "
                "your copy."
            )


def label_files(folder: Path, corpus: Corpus) -> Labelled:
    """Labels of the corpus's recordings under `folder`, by relative path in sorted order.

    Raises as `list_recordings` does, and CorpusError for a name that does not fit.
    """
    return corpus.label(folder, list_recordings(folder, corpus))


def list_recordings(folder: Path, corpus: Corpus) -> list[PurePath]:
    """The corpus's recordings, relative to `folder`, sorted, whether it labels them or not.

    Raises MissingCorpus where there are none, CorpusError for a name that is not UTF-8.
    """
    if not os.path.isdir(folder):
        raise MissingCorpus(f"{folder} is not a folder; expected the recordings of {corpus.name}.")
    found = list_folder(folder, corpus.belongs)
    if not found.recordings:
        raise MissingCorpus(
            f"{folder} holds no recordings{found.but}; expected those of {corpus.name} "
            f"({corpus.utterances} files)."
        )
    return list(found.recordings)
