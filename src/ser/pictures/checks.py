"""Clips whose label may be wrong, and clips that are like no others; by cleanlab.

Northcutt, Jiang, Chuang (2021), "Confident learning: estimating uncertainty in dataset labels".
Each corpus is looked at by itself: what a label means differs between them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.metrics import recall_score

from ser.core.corpus.distributions import odd_measures
from ser.core.corpus.plane import by_speaker, components
from ser.core.utterance.tables import is_known
from ser.extras import need
from ser.output import count_of
from ser.pictures.posteriors import OutOfSample, out_of_sample

#: Clips that an emotion needs to be looked at, and neighbours that tell how far a clip lies.
LEAST_CLIPS, NEIGHBOURS = 5, 10
#: How labels are checked, in a sentence.
METHOD = (
    "Linear discriminants on functionals standardised by speaker answer each clip that they were "
    "not trained on: in one cross-validation they have no clip of the speaker, in the other the "
    "speaker's other clips; the mean of both posteriors, calibrated, is compared with the label by "
    "cleanlab."
)


@dataclass(frozen=True)
class Labelling:
    """What was found of one corpus's labels.

    uar : of the models on the labels as they are; flagged : clips that confident learning takes
    for mislabelled, an estimate; pairs : how many were given as what and look like what.
    """

    corpus: str
    uar: float
    chance: float
    clips: int
    flagged: int
    pairs: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Checks:
    """labels : as `table`, with the columns that `check_labels` adds; labelling : by corpus.

    notes : a line each, why something was not checked.
    """

    table: pd.DataFrame
    labelling: tuple[Labelling, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def mislabelled(self) -> pd.DataFrame:
        """Labelled clips, the most doubtful label first."""
        checked = self.table[self.table["label_quality"].notna()]
        return checked.sort_values("label_quality", kind="stable")

    @property
    def outlying(self) -> pd.DataFrame:
        """Clips, the least typical one first."""
        checked = self.table[self.table["typicality"].notna()]
        return checked.sort_values("typicality", kind="stable")


def check(clips: pd.DataFrame, functionals: np.ndarray, *, seed: int) -> Checks:
    """The clips with label_quality, flagged, looks_like, p_looks_like, typicality and odd.

    clips : manifest's columns and measures'; functionals : (n, d) in the same order.
    label_quality : posterior of the given label; flagged : by confident learning; looks_like : the
    most probable emotion, and its posterior. typicality : in 0 to 1, by the distance to the nearest
    neighbours. odd : measures that stand out. NaN or "" where there was nothing to compare.
    Raises SerError where cleanlab is not installed.
    """
    need("insight", "cleanlab")
    table = clips.assign(
        label_quality=np.nan,
        flagged=False,
        looks_like="",
        p_looks_like=np.nan,
        typicality=np.nan,
        odd="",
    )
    notes: list[str] = []
    labelling: list[Labelling] = []
    for corpus, own in clips.groupby("corpus", sort=False):
        x = functionals[own.index]
        found = check_labels(own, x, seed=seed, notes=notes)
        if found is not None:
            columns, summary = found
            table.loc[columns.index, columns.columns] = columns
            labelling.append(summary)
        table.loc[own.index, "typicality"] = typicality(x)
        table.loc[own.index, "odd"] = ["; ".join(one) for one in odd_measures(own)]
        if len(own) <= NEIGHBOURS:
            notes.append(
                f"{corpus}: {count_of(len(own), 'clip')}, too few to say which are outlying."
            )
    return Checks(table, tuple(labelling), tuple(notes))


def check_labels(
    own: pd.DataFrame, functionals: np.ndarray, *, seed: int, notes: list[str]
) -> tuple[pd.DataFrame, Labelling] | None:
    """One corpus's labels compared with posteriors: columns of the checked rows, and a summary.

    None, and a note, where fewer than two emotions have `LEAST_CLIPS` clips.
    """
    corpus = own["corpus"].iloc[0]
    count = own.loc[is_known(own["emotion"]), "emotion"].value_counts()
    enough = count.index[count >= LEAST_CLIPS]
    if len(enough) < 2:
        notes.append(
            f"{corpus}: labels are not checked, which takes two emotions of {LEAST_CLIPS} clips "
            f"each; found {', '.join(f'{e} {n}' for e, n in count.items()) or 'no labels'}."
        )
        return None
    if few := sorted(set(count.index) - set(enough)):
        notes.append(f"{corpus}: too few clips to check the label {', '.join(few)}.")
    chosen = own["emotion"].isin(enough).to_numpy()
    rows = own[chosen]
    emotion = rows["emotion"].to_numpy(str)
    speaker = rows["speaker"].to_numpy(str)
    found = out_of_sample(
        by_speaker(functionals[chosen], speaker),
        emotion,
        speaker,
        # Copies of one recording would vouch for each other.
        rows["audio_sha256"].to_numpy(str),
        seed=seed,
    )
    return _judged(rows, emotion, found)


def _judged(
    rows: pd.DataFrame, emotion: np.ndarray, found: OutOfSample
) -> tuple[pd.DataFrame, Labelling]:
    classes, posteriors = np.asarray(found.classes), found.posteriors
    label = np.searchsorted(classes, emotion)
    usable = np.isfinite(posteriors).all(axis=1)
    quality, flagged = np.full(len(rows), np.nan), np.zeros(len(rows), bool)
    quality[usable] = need("insight", "cleanlab.rank").get_label_quality_scores(
        label[usable], posteriors[usable], method="self_confidence"
    )
    if len(np.unique(label[usable])) == len(classes):
        flagged[usable] = need("insight", "cleanlab.filter").find_label_issues(
            label[usable], posteriors[usable], n_jobs=1
        )
    safe = np.where(usable[:, None], posteriors, 0.0)
    predicted = classes[safe.argmax(axis=1)]
    columns = pd.DataFrame(
        {
            "label_quality": quality,
            "flagged": flagged,
            "looks_like": np.where(usable, predicted, ""),
            "p_looks_like": np.where(usable, safe.max(axis=1), np.nan),
        },
        index=rows.index,
    )
    pairs = Counter(zip(map(str, emotion[flagged]), map(str, predicted[flagged]), strict=True))
    summary = Labelling(
        corpus=str(rows["corpus"].iloc[0]),
        uar=float(recall_score(emotion[usable], predicted[usable], average="macro")),
        chance=1 / len(classes),
        clips=int(usable.sum()),
        flagged=int(flagged.sum()),
        pairs=tuple((a, b, n) for (a, b), n in pairs.most_common()),
    )
    return columns, summary


def typicality(functionals: np.ndarray) -> np.ndarray:
    """How near the nearest neighbours of each clip are, (n,) in 0 to 1 by cleanlab; NaN for few.

    Euclidean distance in the principal components of the functionals (n, d): an angle says nothing
    of how far noise lies.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(functionals) <= NEIGHBOURS:
        return np.full(len(functionals), np.nan)
    points = components(functionals)
    # Each clip is the nearest one to itself.
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="euclidean").fit(points)
    scorer = need("insight", "cleanlab.outlier").OutOfDistribution({"knn": neighbours})
    return np.asarray(scorer.score(features=points), dtype=np.float64)
