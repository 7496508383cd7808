"""Labels that are swapped on purpose, and how many of them `ser plot` lists first.

In the embedded corpus, and in RAVDESS and nEMO below the folder that SER_CORPORA names, some labels
are replaced by others; clips are ranked by cleanlab's quality of their label. The top tenth of a
ranking by chance holds a tenth of the replaced labels.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from cleanlab.rank import get_label_quality_scores

from benchmarks import page
from ser.core.corpus.choice import sample
from ser.core.corpus.plane import by_speaker
from ser.params import FeatureParams, Params
from ser.pictures.posteriors import out_of_sample
from ser.pictures.sources import Source, functionals_of, of_folder
from ser.project import RAW
from ser.stages import synthesize

#: The share of the labels that are replaced, and the share of the list that is looked at.
PLANTED, LOOKED_AT = 0.05, 0.10
FAULTS = {"single": "single labels", "speaker": "all of a speaker's clips of one emotion"}
KINDS = {
    "plain": "speaker unknown, features as they are",
    "unknown": "speaker unknown, features by speaker",
    "known": "speaker known, features by speaker",
    "both": "both, as `ser plot` does",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sample", type=int, help="utterances of each corpus, drawn at random")
    options = parser.parse_args()
    rows = []
    with TemporaryDirectory() as folder:
        for source in sources(Path(folder)):
            table = source.table
            if options.sample:
                table = sample(table, options.sample, seed=7)
            # A copy under another label would be no planted fault.
            table = table.drop_duplicates("audio_sha256").reset_index(drop=True)
            functionals = functionals_of(source, table, FeatureParams())[0].to_numpy()
            for fault in FAULTS:
                for kind, found in measured(table, functionals, fault, options.seeds).items():
                    shares = [share for share, _ in found]
                    rows.append(
                        [
                            f"{source.name} ({len(table)})",
                            FAULTS[fault],
                            KINDS[kind],
                            float(np.mean([right for _, right in found])),
                            float(np.mean(shares)),
                            f"{min(shares):.2f} to {max(shares):.2f}",
                        ]
                    )
    head = ["corpus", "replaced", "posteriors", "accuracy", "in the top tenth", "over seeds"]
    body = (
        f"{PLANTED:.0%} of the labels are replaced by other emotions of the corpus, or, of 15 % of "
        "the speakers, all labels of one emotion by another one; clips are ranked by the posterior "
        "of their label. *Accuracy* is the models' on the true labels.\n\n" + page.table(head, rows)
    )
    page.write("mislabelled", title="Replaced labels that are found", body=body)


def sources(folder: Path) -> Iterator[Source]:
    """The embedded corpus and those that are here."""
    synthesize.run(folder, Params())
    yield of_folder(folder / RAW / "synthetic", FeatureParams(), {})
    corpora = Path(os.environ.get("SER_CORPORA", ""))
    for name, described in (("ravdess", {}), ("nemo", {"table": Path("data.tsv")})):
        if os.environ.get("SER_CORPORA") and (corpora / name).is_dir():
            yield of_folder(corpora / name, FeatureParams(), described)


def measured(
    table: pd.DataFrame, functionals: np.ndarray, fault: str, seeds: int
) -> dict[str, list[tuple[float, float]]]:
    """By kind of posteriors, for each seed: the share of the replaced labels found, accuracy."""
    true = table["emotion"].to_numpy(str)
    speaker, ids = table["speaker"].to_numpy(str), table["audio_sha256"].to_numpy(str)
    result: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        given = planted(true, speaker, fault, np.random.default_rng(seed))
        wrong = np.flatnonzero(given != true)
        plain = out_of_sample(functionals, given, speaker, ids, seed=7)
        found = out_of_sample(by_speaker(functionals, speaker), given, speaker, ids, seed=7)
        by_kind = {
            "plain": plain.by_unknown,
            "unknown": found.by_unknown,
            "known": found.by_known,
            "both": found.posteriors,
        }
        classes = np.asarray(found.classes)
        label = np.searchsorted(classes, given)
        for kind, values in by_kind.items():
            quality = get_label_quality_scores(label, values, method="self_confidence")
            top = np.argsort(quality, kind="stable")[: round(LOOKED_AT * len(true))]
            right = float((classes[values.argmax(axis=1)] == true).mean())
            result[kind].append((float(np.isin(wrong, top).mean()), right))
    return result


def planted(
    true: np.ndarray, speaker: np.ndarray, fault: str, rng: np.random.Generator
) -> np.ndarray:
    """The labels (n,) with some replaced."""
    given, classes = true.copy(), np.unique(true)
    if fault == "single":
        for row in rng.choice(len(true), round(PLANTED * len(true)), replace=False):
            given[row] = rng.choice(classes[classes != true[row]])
        return given
    names = np.unique(speaker)
    for name in rng.choice(names, max(1, round(0.15 * len(names))), replace=False):
        one, other = rng.choice(classes, 2, replace=False)
        given[(speaker == name) & (true == one)] = other
    return given


if __name__ == "__main__":
    main()
