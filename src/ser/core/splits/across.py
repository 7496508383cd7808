"""One split of several corpora: some are trained on, another one is tested. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.splits.assign import choose_dev
from ser.core.utterance.emotions import LabelRule, classes_of, select
from ser.errors import LeakageError, ParamsError


@dataclass(frozen=True)
class Common:
    """Utterances of the emotions that training corpora and the test corpus have in common.

    table : the manifest's rows, under their merged emotions. merged : utterances by
    `calm → neutral`. dropped : utterances by corpus and (merged) emotion.
    """

    table: pd.DataFrame
    emotions: tuple[str, ...]
    merged: dict[str, int]
    dropped: dict[str, dict[str, int]]


def common(manifest: pd.DataFrame, *, train: Sequence[str], test: str, rule: LabelRule) -> Common:
    """The rows of the corpora `train` and `test` whose emotion both sides have, after `rule`.

    An emotion counts as trained on where any corpus of `train` has it. Raises ParamsError where
    fewer than two emotions are left.
    """
    table = manifest[manifest["corpus"].isin([*train, test])].reset_index(drop=True)
    before = table["emotion"]
    # What the rule drops is counted under its own name.
    after = select(before, LabelRule(merge=rule.merge))
    kept = select(before, rule).notna()
    tested = table["corpus"] == test
    sides = [classes_of(after[kept & own]) for own in (~tested, tested)]
    emotions = classes_of(set(sides[0]) & set(sides[1]))
    if len(emotions) < 2:
        found = f"{', '.join(emotions)} alone" if emotions else "no emotion"
        trained, uttered = (", ".join(side) or "none" for side in sides)
        raise ParamsError(
            f"{' + '.join(train)} and {test} have {found} in common; expected two or more. "
            f"Trained on would be {trained}; tested {uttered}. Merge emotions into common ones: "
            "--merge OLD=NEW."
        )
    kept &= after.isin(emotions)
    merged = (before + " → " + after)[kept & (before != after)].value_counts(sort=False)
    dropped: dict[str, dict[str, int]] = {}
    for corpus, emotion in zip(table.loc[~kept, "corpus"], after[~kept], strict=True):
        of_corpus = dropped.setdefault(corpus, {})
        of_corpus[emotion] = of_corpus.get(emotion, 0) + 1
    return Common(
        table.assign(emotion=after)[kept].reset_index(drop=True),
        emotions,
        {str(pair): int(n) for pair, n in merged.items()},
        dropped,
    )


def across(table: pd.DataFrame, *, test: str, dev_fraction: float, seed: int) -> pd.DataFrame:
    """`table` with `split` and `fold`: the corpus `test` is tested, the others are trained on.

    dev_fraction : of the utterances of the training corpora, speakers whole.
    Raises LeakageError where a speaker of `test` speaks in another corpus, ParamsError where there
    are fewer than two training speakers.
    """
    tested = table["corpus"] == test
    _check_people(table, tested)
    speakers = table.loc[~tested, "speaker"]
    if speakers.nunique() < 2:
        raise ParamsError(
            f"The training corpora have {speakers.nunique()} speaker(s) with the common emotions; "
            "at least 2 are needed, one of them for dev. Add a corpus to --train."
        )
    dev = choose_dev(table[~tested], dev_fraction, np.random.default_rng([seed, 1]))
    in_dev = ~tested & table["speaker"].isin(dev)
    split = np.select([tested, in_dev], ["test", "dev"], default="train")
    folds = table.assign(split=split, fold=1)
    _check_trained(folds)
    return folds


def _check_people(table: pd.DataFrame, tested: pd.Series) -> None:
    trained_on, tested_on = (set(table.loc[own, "speaker"]) for own in (~tested, tested))
    shared = sorted(trained_on & tested_on)
    if shared:
        first = shared[0]
        corpora = " and ".join(table.loc[table["speaker"] == first, "corpus"].unique())
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        raise LeakageError(
            f"Speaker {first}{more} speaks in {corpora}: no model may be trained on a speaker "
            "whom it is tested on. Choose another --test, or leave that corpus out of --train."
        )


def _check_trained(folds: pd.DataFrame) -> None:
    by_split = folds.groupby("split")["emotion"].unique()
    unseen = sorted({*by_split["dev"], *by_split["test"]} - set(by_split["train"]))
    if unseen:
        raise ParamsError(
            f"Only dev speakers utter {', '.join(unseen)}, no training speaker does: the corpora "
            "have too few speakers of it. Leave it out with --labels, or add a corpus to --train."
        )
