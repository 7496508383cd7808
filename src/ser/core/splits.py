"""Speaker-independent protocols: who is trained on, who is chosen on, who is tested on.

`assign` gives every utterance a split; no speaker ever stands in two. Published folds are
Luna-Jiménez et al. 2021 (RAVDESS, five folds) and
EmoBox, Ma et al. 2024 (RAVDESS, six folds).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.tables import SPLITS, speaker_ids
from ser.errors import LeakageError, ParamsError

#: Test actors of each fold.
RAVDESS_FOLDS: dict[str, tuple[tuple[int, ...], ...]] = {
    "ravdess-luna5": (
        (2, 5, 14, 15, 16),
        (3, 6, 7, 13, 18),
        (10, 11, 12, 19, 20),
        (8, 17, 21, 23, 24),
        (1, 4, 9, 22),
    ),
    "ravdess-emobox6": (
        (1, 11, 20, 21),
        (4, 10, 12, 14),
        (8, 9, 19, 23),
        (3, 5, 7, 24),
        (2, 15, 16, 18),
        (6, 13, 17, 22),
    ),
}
#: How many seeded draws compete for the best label balance.
DRAWS = 64


def assign(
    manifest: pd.DataFrame,
    *,
    protocol: str,
    fold: int,
    test_fraction: float,
    dev_fraction: float,
    seed: int,
) -> pd.DataFrame:
    """The manifest with `split` and `fold`; rows keep their order.

    fold : from 1. For `holdout` it numbers independent draws.
    test_fraction : of all speakers, `holdout` only.
    dev_fraction : of the speakers that the test leaves over.
    Raises ParamsError where the protocol does not fit the corpus, LeakageError where a
    speaker would stand in two splits.
    """
    ids = speaker_ids(manifest)
    speakers = sorted(ids.unique())
    rng = np.random.default_rng([seed, fold])
    if protocol in RAVDESS_FOLDS:
        test = _ravdess_test(manifest, protocol, fold)
    elif protocol == "leave-one-speaker-out":
        _check_fold(protocol, fold, len(speakers))
        test = {speakers[fold - 1]}
    elif protocol == "holdout":
        _check_fold(protocol, fold, None)
        test = _draw(manifest, ids, test_fraction, rng)
    else:
        raise ParamsError(
            f"split.protocol is {protocol!r}; known are holdout, leave-one-speaker-out, "
            f"{', '.join(RAVDESS_FOLDS)}."
        )
    rest = ~ids.isin(test)
    if ids[rest].nunique() < 2:
        raise ParamsError(
            f"{protocol} fold {fold} leaves {ids[rest].nunique()} speaker(s) of {len(speakers)} "
            "for train and dev; at least 2 are needed. Add speakers."
        )
    dev = _draw(manifest[rest], ids[rest], dev_fraction, rng)
    split = np.select([ids.isin(test), ids.isin(dev)], ["test", "dev"], default="train")
    folds = manifest.assign(split=split, fold=fold)
    check_disjoint(folds)
    _check_classes(folds)
    return folds


def check_disjoint(folds: pd.DataFrame) -> None:
    """Raise LeakageError if a speaker or a recording's bytes stand in more than one split."""
    splits_of = folds.assign(id=speaker_ids(folds)).groupby("id")["split"].unique()
    shared = splits_of[splits_of.map(len) > 1]
    if not shared.empty:
        where = " and ".join(s for s in SPLITS if s in shared.iloc[0])
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        raise LeakageError(
            f"Speaker {shared.index[0]}{more} stands in {where}; each speaker belongs to one "
            "split. Mend the speaker labels, or the protocol."
        )
    copies = folds[folds.groupby("sha256")["split"].transform("nunique") > 1]
    if not copies.empty:
        same = copies.loc[copies["sha256"] == copies["sha256"].iloc[0], ["file", "split"]]
        where = " and ".join(f"{file} ({split})" for file, split in same.to_numpy())
        raise LeakageError(
            f"One recording under several names stands in several splits: {where}. Remove a copy."
        )


def _check_classes(folds: pd.DataFrame) -> None:
    trained = set(folds.loc[folds["split"] == "train", "emotion"])
    for split in ("dev", "test"):
        unseen = sorted(set(folds.loc[folds["split"] == split, "emotion"]) - trained)
        if unseen:
            raise ParamsError(
                f"{unseen[0]} occurs in {split} but no training speaker utters it; every tested "
                "emotion needs training utterances. Choose another split.fold or add speakers."
            )


def _check_fold(protocol: str, fold: int, folds: int | None) -> None:
    if fold < 1 or (folds is not None and fold > folds):
        known = "from 1" if folds is None else f"1 to {folds}"
        raise ParamsError(f"split.fold is {fold}; {protocol} has folds {known}.")


def _ravdess_test(manifest: pd.DataFrame, protocol: str, fold: int) -> set[str]:
    others = sorted(set(manifest["corpus"]) - {"ravdess"})
    if others:
        raise ParamsError(
            f"split.protocol {protocol} is defined for ravdess alone, but data.corpora holds "
            f"{', '.join(others)}. Set data.corpora: [ravdess], or split.protocol: holdout."
        )
    folds = RAVDESS_FOLDS[protocol]
    _check_fold(protocol, fold, len(folds))
    wanted = {f"{actor:02d}" for actor in sum(folds, ())}
    missing = sorted(wanted - set(manifest["speaker"]))
    if missing:
        raise ParamsError(
            f"{protocol} needs all 24 actors; ravdess here lacks {', '.join(missing)}. "
            "Add the whole corpus, or set split.protocol: holdout."
        )
    return {f"ravdess/{actor:02d}" for actor in folds[fold - 1]}


def _draw(
    manifest: pd.DataFrame, ids: pd.Series, fraction: float, rng: np.random.Generator
) -> set[str]:
    """Draw speakers, even over the sexes; of `DRAWS` draws the one with the labels' balance."""
    sexes = manifest.groupby(ids)["sex"].first()
    labels = pd.crosstab(ids, manifest["emotion"])
    overall = labels.sum() / labels.to_numpy().sum()
    count = min(max(1, round(fraction * len(sexes))), len(sexes) - 1)
    best: set[str] = set()
    best_distance = np.inf
    for _ in range(DRAWS):
        chosen = _even_draw(sexes, count, rng)
        part = labels.loc[sorted(chosen)].sum()
        distance = float((part / part.sum() - overall).abs().sum())
        if distance < best_distance:
            best, best_distance = chosen, distance
    return best


def _even_draw(sexes: pd.Series, count: int, rng: np.random.Generator) -> set[str]:
    """`count` speakers, taken in turn from the sexes' shuffled lists, larger list first."""
    queues = [list(rng.permutation(sorted(group.index))) for _, group in sexes.groupby(sexes)]
    chosen: list[str] = []
    while len(chosen) < count:
        queues = sorted((q for q in queues if q), key=len, reverse=True)
        for queue in queues[: count - len(chosen)]:
            chosen.append(str(queue.pop()))
    return set(chosen)
