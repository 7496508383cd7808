"""Speaker-independent splits into train, dev and test.

A test speaker is in no other split. Neither is a dev speaker, except in the one published
protocol (tess-cross) that has a single training speaker.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ser.core.splits.balance import Shares
from ser.core.utterance.tables import SPLITS
from ser.errors import ParamsError
from ser.params.protocols import PROTOCOLS, PUBLISHED, Published

#: Number of seeded draws, of which the best balanced one is taken.
DRAWS = 64
#: A split's share of the utterances is far from the fraction asked for if it lies below FAR_BELOW
#: times, or above FAR_ABOVE times the fraction plus FAR_BEYOND.
FAR_BELOW, FAR_ABOVE, FAR_BEYOND = 0.5, 1.5, 0.05


def assign(
    manifest: pd.DataFrame,
    *,
    protocol: str,
    fold: int,
    folds: int,
    test_fraction: float,
    dev_fraction: float,
    seed: int,
) -> pd.DataFrame:
    """The manifest with `split` and `fold`; rows keep their order.

    fold : from 1. For `holdout` it numbers independent draws.
    folds : number of folds, `grouped-kfold` only.
    test_fraction : of all utterances, as nearly as whole speakers allow; `holdout` only.
    dev_fraction : of the utterances (published protocols: speakers or sentences) outside test.
    Raises ParamsError where the protocol does not fit the corpus.
    """
    ids = manifest["speaker"]
    speakers = sorted(ids.unique())
    rng = np.random.default_rng([seed, fold])
    dev: set[str] = set()
    published = PUBLISHED.get(protocol)
    if published:
        _check_fold(protocol, fold, len(published.folds))
        _check_people(protocol, published, manifest)
        test = published.test_speakers(fold)
    elif protocol == "leave-one-speaker-out":
        _check_fold(protocol, fold, len(speakers))
        test = {speakers[fold - 1]}
    elif protocol == "grouped-kfold":
        _check_fold(protocol, fold, folds)
        test = _groups(manifest, folds, np.random.default_rng(seed))[fold - 1]
    elif protocol == "holdout":
        test, dev = _hold_out(manifest, test_fraction, dev_fraction, rng)
    else:
        raise ParamsError(f"split.protocol is {protocol!r}; known are {', '.join(PROTOCOLS)}.")
    rest = ~ids.isin(test)
    if published and published.dev == "sentences drawn":
        in_dev = manifest["sentence"].isin(_draw_sentences(manifest[rest], dev_fraction, rng))
    else:
        if ids[rest].nunique() < 2:
            raise ParamsError(
                f"{protocol} fold {fold} leaves {ids[rest].nunique()} speaker(s) of "
                f"{len(speakers)} for train and dev; at least 2 are needed. Add speakers."
            )
        if published and published.dev == "next fold":
            dev = published.test_speakers(fold % len(published.folds) + 1)
        elif published:
            dev = _draw(manifest[rest], dev_fraction, rng)
        elif protocol != "holdout":
            dev = choose_dev(manifest[rest], dev_fraction, rng)
        in_dev = ids.isin(dev)
    split = np.select([~rest, in_dev], ["test", "dev"], default="train")
    assigned = manifest.assign(split=split, fold=fold)
    _check_classes(assigned)
    return assigned


def shares_dev_speakers(protocol: str) -> bool:
    """True where train and dev may have a speaker in common."""
    published = PUBLISHED.get(protocol)
    return published is not None and published.dev == "sentences drawn"


def share_warnings(
    folds: pd.DataFrame,
    *,
    protocol: str,
    folds_asked: int,
    test_fraction: float,
    dev_fraction: float,
) -> list[str]:
    """A line for each split whose share of the utterances is far from what was asked for."""
    if protocol in PUBLISHED:
        return []
    corpora = folds.groupby("corpus")["split"].unique()
    lines = [
        f"{corpus} has too few speakers: none of them is in {split}."
        for corpus, given in corpora.items()
        for split in SPLITS
        if len(corpora) > 1 and split not in given and protocol != "leave-one-speaker-out"
    ]
    shares = folds["split"].value_counts(normalize=True)
    test = {"holdout": test_fraction, "grouped-kfold": 1 / folds_asked}.get(
        protocol, float(shares["test"])
    )
    asked = {"train": (1 - test) * (1 - dev_fraction), "dev": (1 - test) * dev_fraction}
    for split, fraction in {**asked, "test": test}.items():
        share = float(shares[split])
        if not FAR_BELOW * fraction <= share <= FAR_ABOVE * fraction + FAR_BEYOND:
            said = folds["speaker"].value_counts(normalize=True)
            lines.append(
                f"{split} holds {share:.0%} of the utterances, {fraction:.0%} were asked for: "
                f"speakers stay whole, there are {len(said)}, and {said.index[0]} alone has "
                f"{said.iloc[0]:.0%}."
            )
    return lines


def _check_classes(folds: pd.DataFrame) -> None:
    trained = set(folds.loc[folds["split"] == "train", "emotion"])
    for split in ("dev", "test"):
        unseen = sorted(set(folds.loc[folds["split"] == split, "emotion"]) - trained)
        if unseen:
            raise ParamsError(
                f"{', '.join(unseen)} occurs in {split} but no training speaker utters it; "
                "every tested emotion needs training utterances. Choose another split.fold, "
                "drop it with data.labels, or add speakers."
            )


def _check_fold(protocol: str, fold: int, folds: int) -> None:
    if not 1 <= fold <= folds:
        raise ParamsError(f"split.fold is {fold}; {protocol} has folds 1 to {folds}.")


def _check_people(protocol: str, published: Published, manifest: pd.DataFrame) -> None:
    others = sorted(set(manifest["speaker"]) - published.speakers)
    if others:
        corpora = ", ".join(sorted(set(manifest.loc[manifest["speaker"].isin(others), "corpus"])))
        raise ParamsError(
            f"split.protocol {protocol} is defined for {published.people} alone, but data.corpora "
            f"holds {corpora}. Set data.corpora: [{published.people}], or split.protocol: holdout."
        )
    missing = sorted(published.speakers - set(manifest["speaker"]))
    if missing:
        names = [speaker.partition("/")[2] for speaker in missing]
        raise ParamsError(
            f"{protocol} needs all {len(published.speakers)} speakers; {published.people} here "
            f"lacks {', '.join(names)}. Add the whole corpus, or set split.protocol: holdout."
        )


def _hold_out(
    manifest: pd.DataFrame, test_fraction: float, dev_fraction: float, rng: np.random.Generator
) -> tuple[set[str], set[str]]:
    """Speakers of test and of dev."""
    ids = manifest["speaker"]
    test = _draw(manifest, test_fraction, rng) if ids.nunique() > 1 else set()
    rest = manifest[~ids.isin(test)]
    if rest["speaker"].nunique() < 2:
        return test, set()
    dev = _draw(rest, dev_fraction, rng)
    left = 1 - test_fraction
    shares = Shares(manifest, [left * (1 - dev_fraction), left * dev_fraction, test_fraction])
    _, dev, test = shares.settle([set(ids) - test - dev, dev, test], rng)
    return test, dev


def choose_dev(manifest: pd.DataFrame, fraction: float, rng: np.random.Generator) -> set[str]:
    """Speakers of dev, from the rows outside test."""
    dev = _draw(manifest, fraction, rng)
    shares = Shares(manifest, [1 - fraction, fraction])
    return shares.settle([set(manifest["speaker"]) - dev, dev], rng)[1]


def _draw(manifest: pd.DataFrame, fraction: float, rng: np.random.Generator) -> set[str]:
    """Speakers drawn evenly over the sexes: of `DRAWS` draws the one with the best balance."""
    sexes, labels = _by_speaker(manifest)
    count = min(max(1, round(fraction * len(sexes))), len(sexes) - 1)
    draws = ([_dealt(sexes, rng)[:count]] for _ in range(DRAWS))
    return _most_balanced(draws, labels)[0]


def _groups(manifest: pd.DataFrame, folds: int, rng: np.random.Generator) -> list[set[str]]:
    """Speakers in `folds` groups of even size, corpora, labels and sexes."""
    sexes, labels = _by_speaker(manifest)
    if folds > len(sexes):
        raise ParamsError(
            f"split.folds is {folds}, but there are {len(sexes)} speakers; grouped-kfold needs "
            "one a fold. Lower split.folds."
        )
    dealt = (_dealt(sexes, rng) for _ in range(DRAWS))
    drawn = _most_balanced(([order[k::folds] for k in range(folds)] for order in dealt), labels)
    return Shares(manifest, [1 / folds] * folds, rotates=True).settle(drawn, rng)


def _by_speaker(manifest: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """Sex of each speaker, and utterances of each emotion, (n_speakers, n_emotions)."""
    ids = manifest["speaker"]
    return manifest.groupby(ids)["sex"].first(), pd.crosstab(ids, manifest["emotion"])


def _dealt(sexes: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """Row numbers of all speakers in random order, the sexes spread evenly over it."""
    order = rng.permutation(len(sexes))
    sex = sexes.to_numpy(str)[order]
    place = np.empty(len(order))
    for value in np.unique(sex):
        members = np.flatnonzero(sex == value)
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return order[np.argsort(place, kind="stable")]


def _most_balanced(draws: Iterable[list[np.ndarray]], labels: pd.DataFrame) -> list[set[str]]:
    """The draw whose groups' shares of emotions come closest to those of all utterances."""
    counts = labels.to_numpy(float)
    overall = counts.sum(axis=0) / counts.sum()

    def distance(groups: list[np.ndarray]) -> float:
        parts = [counts[group].sum(axis=0) for group in groups]
        return sum(float(np.abs(part / part.sum() - overall).sum()) for part in parts)

    names = labels.index.to_numpy(str)
    best = min(draws, key=distance)
    return [{str(name) for name in names[group]} for group in best]


def _draw_sentences(manifest: pd.DataFrame, fraction: float, rng: np.random.Generator) -> set[str]:
    sentences = sorted(manifest["sentence"].unique())
    count = min(max(1, round(fraction * len(sentences))), len(sentences) - 1)
    return {str(sentence) for sentence in rng.choice(sentences, size=count, replace=False)}
