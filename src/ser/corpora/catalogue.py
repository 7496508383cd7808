"""All corpora by name, and the listing of one on disk."""

from __future__ import annotations

from pathlib import Path, PurePath

from ser.corpora.base import Corpus, Labels, is_audio
from ser.corpora.ravdess import RAVDESS
from ser.corpora.synthetic import SYNTHETIC
from ser.errors import MissingCorpus, UnknownCorpus

CORPORA = {corpus.name: corpus for corpus in (SYNTHETIC, RAVDESS)}


def corpus_named(name: str) -> Corpus:
    """The corpus of that name; raises UnknownCorpus naming the known ones."""
    if name not in CORPORA:
        raise UnknownCorpus(
            f"No corpus is called {name!r}; known are {', '.join(CORPORA)}. Name one of these."
        )
    return CORPORA[name]


def check_present(root: Path, names: tuple[str, ...]) -> None:
    """Raise UnknownCorpus or MissingCorpus unless each corpus is in data/raw or is made there."""
    for name in names:
        corpus = corpus_named(name)
        if corpus is not SYNTHETIC and not (root / "data" / "raw" / name).is_dir():
            raise MissingCorpus(
                f"data.corpora names {name}, but data/raw/{name} does not exist. "
                f"Add it with `ser corpus add {name} PATH`."
            )


def label_files(folder: Path, corpus: Corpus) -> dict[PurePath, Labels]:
    """The corpus's recordings under `folder`, by relative path in sorted order.

    Raises MissingCorpus where there are none, CorpusError for a name that does not fit.
    """
    if not folder.is_dir():
        raise MissingCorpus(f"{folder} is not a folder; expected the recordings of {corpus.name}.")
    files = sorted(
        relative
        for path in folder.rglob("*")
        if is_audio(path)
        and path.is_file()
        and corpus.belongs(relative := PurePath(path.relative_to(folder).as_posix()))
    )
    if not files:
        raise MissingCorpus(
            f"{folder} holds no recordings; expected those of {corpus.name} "
            f"({corpus.utterances} files)."
        )
    return corpus.label(folder, files)
