"""Which of up to a million recordings may be copies of one another, by their fingerprints.

Neighbours have similar rhythms: among up to `EXACT` recordings all pairs are compared, among more
those that share a bucket of locality-sensitive hashing (Charikar 2002, random hyperplanes).
Neighbours with similar waves are candidates, which `ser.core.splits.likeness` decides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.splits.fingerprint import needed, rhythms, similarity, waves

#: Recordings up to which all pairs of rhythms are compared.
EXACT = 20_000
#: Directions of the whitened rhythms that are compared.
DIMENSIONS = 20
#: Cosine of two rhythms from which they are neighbours, among few and among many recordings. On
#: RAVDESS and nEMO all copies by codec, telephone and noise lie above 0.6, 95 % above 0.85;
#: copies cut by a quarter lie lower.
ALIKE, ALIKE_AMONG_MANY = 0.3, 0.8
#: Cosine from which neighbours among few recordings are candidates, whatever their waves: a codec
#: at 6 kbit/s shifts the part that the wave is taken from. On RAVDESS 39 pairs are as near.
NEAR = 0.9
#: How many nearest neighbours of a recording are compared; more copies are found through others.
MOST, MOST_AMONG_MANY = 32, 4
#: Hash tables, recordings that share a bucket on average, and neighbours compared in a bucket.
TABLES, BUCKET, NEIGHBOURS = 24, 16, 16
#: Rows of a block of pairs, and pairs whose waves are correlated at a time.
ROWS, PAIRS = 1_000, 2_000


def find_candidates(fingerprints: np.ndarray) -> pd.DataFrame:
    """Pairs a < b (row numbers) of fingerprints uint8 (n, LENGTH) that may be one recording.

    similarity : of their waves, see `core.splits.fingerprint`. Identical fingerprints are paired
    with the first of them, so that n copies need not be n² pairs; each copy is in some pair.
    Time and memory grow linearly beyond `EXACT` recordings; there a copy is missed where its
    rhythm was changed much (a telephone, a low bit rate) or several others are nearer.
    """
    twins = repeats(_hashes(fingerprints)).assign(similarity=1.0)
    first = np.delete(np.arange(len(fingerprints)), twins["b"])
    if len(first) < 2:
        return twins
    points = _whitened(rhythms(fingerprints[first]))
    pairs = _all_pairs(points) if len(points) <= EXACT else _hashed_pairs(points)
    likeness, enough = _compared(fingerprints, first[pairs])
    if 4 * DIMENSIONS < len(points) <= EXACT:
        enough |= np.einsum("ij,ij->i", *(points[side] for side in pairs.T)) >= NEAR
    a, b = first[pairs[enough]].T
    found = pd.DataFrame({"a": a, "b": b, "similarity": likeness[enough]})
    return pd.concat([twins, found]).sort_values(["a", "b"], ignore_index=True)


def repeats(keys: pd.Series | np.ndarray) -> pd.DataFrame:
    """Rows b whose key is that of an earlier row, with the first row a that has it."""
    codes, _ = pd.factorize(keys)
    rows = pd.Series(np.arange(len(codes)))
    first = rows.groupby(codes).transform("first")
    return pd.DataFrame({"a": first, "b": rows})[first != rows]


def _hashes(fingerprints: np.ndarray) -> np.ndarray:
    """64 bits of each fingerprint: uint64 (n,)."""
    weights = np.random.default_rng(0).integers(1, 2**63, fingerprints.shape[1], dtype=np.uint64)
    chunks = np.split(fingerprints, range(ROWS, len(fingerprints), ROWS))
    # Products and sums modulo 2⁶⁴.
    return np.concatenate([chunk.astype(np.uint64) @ weights for chunk in chunks])


def _whitened(rhythm: np.ndarray) -> np.ndarray:
    """Rhythms (n, RHYTHM) in the k ≤ DIMENSIONS directions in which they differ most.

    float32 (n, k) of unit length; the variance is the same in each direction.
    """
    centred = rhythm - rhythm.mean(axis=0, dtype=float).astype(np.float32)
    chunks = np.split(centred, range(ROWS, len(centred), ROWS))
    spread = np.zeros((rhythm.shape[1], rhythm.shape[1]))
    for chunk in chunks:
        spread += chunk.T @ chunk / len(centred)
    strength, axes = np.linalg.eigh(spread)
    kept = np.argsort(strength)[::-1][:DIMENSIONS]
    kept = kept[strength[kept] > 1e-6 * max(strength.max(), 1e-12)]
    points = centred @ (axes[:, kept] / np.sqrt(strength[kept])).astype(np.float32)
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def _all_pairs(points: np.ndarray) -> np.ndarray:
    """The nearest alike points of each point, by looking at all: pairs (n_pairs, 2)."""
    # Few recordings span few directions, in which none can be separated: all are candidates.
    few = len(points) <= 4 * DIMENSIONS
    alike, most = (-1.0, len(points)) if few else (ALIKE, MOST)
    pairs = []
    for start in range(0, len(points), ROWS):
        cosine = points[start : start + ROWS] @ points.T
        np.fill_diagonal(cosine[:, start:], -np.inf)
        close = cosine >= alike
        for crowded in np.flatnonzero(close.sum(axis=1) > most):
            close[crowded, np.argpartition(-cosine[crowded], most)[most:]] = False
        a, b = np.nonzero(close)
        pairs.append(np.stack([a + start, b], axis=1))
    return _unique(np.concatenate(pairs))


def _hashed_pairs(points: np.ndarray) -> np.ndarray:
    """The nearest alike points of each point, of those that share a bucket: pairs (n_pairs, 2)."""
    rng = np.random.default_rng(0)
    n, dimensions = points.shape
    bits = max(1, round(np.log2(n / BUCKET)))
    powers = 1 << np.arange(bits, dtype=np.int64)
    nearest = np.full((n, MOST_AMONG_MANY), -1, dtype=np.int32)
    cosines = np.full((n, MOST_AMONG_MANY), ALIKE_AMONG_MANY, dtype=np.float32)
    for _ in range(TABLES):
        planes = rng.normal(size=(dimensions, bits + 1)).astype(np.float32)
        projected = points @ planes
        bucket = (projected[:, :bits] > 0) @ powers
        order = np.lexsort((projected[:, bits], bucket))
        bucket, sorted_points = bucket[order], points[order]
        for step in range(1, NEIGHBOURS + 1):
            cosine = np.einsum("ij,ij->i", sorted_points[:-step], sorted_points[step:])
            close = (cosine > ALIKE_AMONG_MANY) & (bucket[:-step] == bucket[step:])
            here = np.flatnonzero(close)
            a, b = order[here], order[here + step]
            _remember(nearest, cosines, a, b, cosine[here])
            _remember(nearest, cosines, b, a, cosine[here])
    a, slot = np.nonzero(nearest >= 0)
    return _unique(np.stack([a, nearest[a, slot]], axis=1))


def _remember(
    nearest: np.ndarray, cosines: np.ndarray, a: np.ndarray, b: np.ndarray, cosine: np.ndarray
) -> None:
    """Put each b in place of the farthest neighbour that is known of its a, if it is nearer.

    `a` names each point once at most.
    """
    slot = cosines[a].argmin(axis=1)
    nearer = (cosine > cosines[a, slot]) & ~(nearest[a] == b[:, None]).any(axis=1)
    a, slot = a[nearer], slot[nearer]
    nearest[a, slot], cosines[a, slot] = b[nearer], cosine[nearer]


def _unique(pairs: np.ndarray) -> np.ndarray:
    """Pairs with a < b, each once, sorted."""
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _compared(fingerprints: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity of the waves of each pair, (n_pairs,), and whether it makes them candidates."""
    likeness = np.empty(len(pairs))
    enough = np.empty(len(pairs), dtype=bool)
    for start in range(0, len(pairs), PAIRS):
        chunk = slice(start, start + PAIRS)
        a, b = (waves(fingerprints[side]) for side in pairs[chunk].T)
        likeness[chunk] = similarity(a, b)
        enough[chunk] = likeness[chunk] >= needed(a, b)
    return likeness, enough
