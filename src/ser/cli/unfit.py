"""Recordings that came in and are unfit for training: named at once, with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from ser.corpora.base import Corpus


def say_unfit(root: Path, dest: Path, corpus: Corpus, files: Sequence[str]) -> None:
    """Decode recordings in parallel; print which are unfit and why, nothing where none is.

    dest : the corpus's folder, relative to the project. files : relative to it.
    """
    from ser.core.utterance.fitness import MENDABLE, counted, in_words
    from ser.corpora.catalogue import list_recordings
    from ser.io.intake.exclusion import named, not_read, way_out
    from ser.output import one_line
    from ser.params import load_params
    from ser.stages.manifest import find_unfit, needs_of

    known = not_read(dest, corpus, [PurePath(file) for file in files])
    new = [path for file in files if (path := PurePath(file)) not in known]
    params = load_params(root / "params.yaml")
    labels = corpus.label(root / dest, list_recordings(root / dest, corpus))
    found = find_unfit(
        root,
        dest,
        {path: labels[path] for path in new if path in labels},
        needs=needs_of(params.features),
        doing=f"check {dest.name}",
    )
    bad = [*known.values(), *found]
    if not bad:
        return
    print(f"Unfit for training: {in_words(counted(bad))}, of {len(files)} recordings.")
    print("\n".join(f"  {one_line(line)}" for line in named(bad)))
    if known:
        print("What is known bad of a published corpus is left out by itself.")
    # What is not the recordings' fault never drops out; its line has the remedy.
    bad = [one for one in found if one.reason not in MENDABLE]
    if way := way_out(bad, of=len(labels), data=params.data):
        print(f"The pipeline stops at {'the others' if known else 'them'}. {one_line(way)}")
