"""What counts how much in a training: corpora, and augmented versions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def corpus_weights(corpus: np.ndarray) -> np.ndarray:
    """Weights (n,) with mean 1, so that the utterances of each corpus, (n,), weigh alike together.

    >>> corpus_weights(np.array(["a", "a", "a", "b"])).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    _, place, counts = np.unique(corpus, return_inverse=True, return_counts=True)
    weights: np.ndarray = len(corpus) / (len(counts) * counts[place])
    return weights


def training_weights(
    n: int, *, corpus: np.ndarray | None, shares: Sequence[float] | None
) -> np.ndarray | None:
    """Weights of n recordings and then of each of their versions; None: all weigh alike.

    corpus : of the recordings and of all versions, or None; shares : of the recordings and of each
    version, or None.

    >>> training_weights(2, corpus=None, shares=(2.0, 1.0)).tolist()
    [2.0, 2.0, 1.0, 1.0]
    """
    weights = None if corpus is None else corpus_weights(corpus)
    if shares is None:
        return weights
    own = np.repeat(np.asarray(shares, dtype=np.float64), n)
    return own if weights is None else own * weights


def epoch_order(n: int, corpus: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Rows of one epoch in random order, (n,); with `corpus`, (n,), by turns of each corpus.

    Then all corpora have equally many rows, together n or a few more: those of a small corpus come
    several times, those of a large one not all.
    """
    if corpus is None:
        return rng.permutation(n)
    rows = [np.flatnonzero(corpus == name) for name in np.unique(corpus)]
    each = -(-n // len(rows))
    return np.stack([_drawn(own, each, rng) for own in rows], axis=1).ravel()


def by_turns(groups: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The elements of all groups by turns, equally many of each: those of a short one repeated.

    >>> [int(x[0]) for x in by_turns([[np.array([1]), np.array([2])], [np.array([9])]])]
    [1, 9, 2, 9]
    """
    longest = max(map(len, groups))
    return [own[i % len(own)] for i in range(longest) for own in groups]


def rank_within(values: np.ndarray, corpus: np.ndarray | None) -> np.ndarray:
    """The place, (n,), of each value among those of its corpus; among all where it is None."""
    rank = np.empty(len(values), dtype=np.int64)
    names = [None] if corpus is None else np.unique(corpus)
    for name in names:
        rows = np.arange(len(values)) if corpus is None else np.flatnonzero(corpus == name)
        rank[rows[np.argsort(values[rows], kind="stable")]] = np.arange(len(rows))
    return rank


def _drawn(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows in random order; none comes twice more often than another one."""
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(rounds)[:count]
