"""What a person reads of a corpus that came in: how much, what is unfit for training, what next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ser.corpora.base import Corpus
from ser.output import count_of, one_line, printable
from ser.project import RAW

if TYPE_CHECKING:
    from ser.io.intake.ingest import Ingested


def track_and_report(
    root: Path, corpus: Corpus, ingested: Ingested, details: Iterable[str] = ()
) -> None:
    """Put the corpus in data/raw under DVC, and print what came in."""
    from ser.io.intake import dvc

    dest = RAW / corpus.name
    dvc.add(root, dest)
    new = "" if ingested.added == ingested.total else f" ({ingested.added} of them new)"
    print(f"{count_of(ingested.total, 'recording')}{new} in {dest}, tracked by {dest}.dvc.")
    for line in details:
        print(printable(line))
    _print_unfit(root, dest, corpus, ingested.new)
    print(f"Next: set data.corpora: [{corpus.name}] in params.yaml, then `make run`.")


def _print_unfit(root: Path, dest: Path, corpus: Corpus, files: Sequence[str]) -> None:
    """Decode recordings in parallel; print which are unfit for training and why, if any.

    dest : the corpus's folder, relative to the project. files : relative to it.
    """
    from ser.core.utterance.fitness import MENDABLE, counted, in_words
    from ser.corpora.catalogue import list_recordings
    from ser.io.intake.exclusion import named, not_read, way_out
    from ser.params import load_params
    from ser.stages.manifest import find_unfit, needs_of

    new = [PurePath(file) for file in files]
    known = not_read(dest, corpus, new)
    params = load_params(root / "params.yaml")
    labels = corpus.label(root / dest, list_recordings(root / dest, corpus))
    found = find_unfit(
        root,
        dest,
        {file: labels[file] for file in new if file in labels and file not in known},
        needs=needs_of(params.features),
        doing=f"check {dest.name}",
    )
    bad = [*known.values(), *found]
    if not bad:
        return
    print(f"Unfit for training: {in_words(counted(bad))}, of {len(files)} recordings.")
    print("\n".join(f"  {one_line(line)}" for line in named(bad)))
    if known:
        print("Known bad recordings of a published corpus are left out without a rule.")
    # Recordings that can be restored never drop out; their lines have the remedy.
    bad = [one for one in found if one.reason not in MENDABLE]
    if way := way_out(bad, of=len(labels), data=params.data):
        print(f"The pipeline stops at {'the others' if known else 'them'}. {one_line(way)}")
