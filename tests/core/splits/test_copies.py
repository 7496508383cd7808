"""Planted copies are found among many, and nothing else."""

import numpy as np
import pytest

from ser.core.splits import copies
from ser.core.splits.copies import find_candidates
from ser.core.splits.fingerprint import LENGTH, RHYTHM


def random_fingerprints(n: int, rng: np.random.Generator) -> np.ndarray:
    prints = rng.integers(0, 256, (n, LENGTH), dtype=np.uint8)
    prints[:, RHYTHM], prints[:, RHYTHM + 1] = 0, 127
    # Rhythms of speech resemble one another: a common shape and some of one's own.
    shape = rng.integers(60, 100, RHYTHM)
    prints[:, :RHYTHM] = np.clip(shape + rng.normal(0, 12, (n, RHYTHM)), 0, 255)
    return prints


def copied(prints: np.ndarray, rng: np.random.Generator, *, flipped: float) -> np.ndarray:
    """Other codings: a rhythm that is off a little, and a share of the wave's signs flipped."""
    result = prints.copy()
    moved = result[:, :RHYTHM] + rng.normal(0, 3, (len(prints), RHYTHM))
    result[:, :RHYTHM] = np.clip(moved, 0, 255)
    noise = np.packbits(rng.random((len(prints), 8 * (LENGTH - RHYTHM - 2))) < flipped, axis=1)
    result[:, RHYTHM + 2 :] ^= noise
    return result


@pytest.mark.parametrize(("n", "exact"), [(1_500, 20_000), (3_000, 100), (8_000, 100)])
def test_planted_copies_are_found_and_next_to_nothing_else(monkeypatch, n, exact):
    """Both by all pairs and by hashing."""
    monkeypatch.setattr(copies, "EXACT", exact)
    rng = np.random.default_rng(3)
    prints = random_fingerprints(n, rng)
    originals = rng.choice(n, 50, replace=False)
    everything = np.concatenate([prints, copied(prints[originals], rng, flipped=0.15)])
    found = find_candidates(everything)
    expected = {(int(a), n + i) for i, a in enumerate(originals)}
    pairs = set(zip(found["a"], found["b"], strict=True))
    assert pairs >= expected
    # Candidates: their samples would be compared, which is worth the while for a few.
    assert len(pairs - expected) <= 3


def test_thousands_of_equal_recordings_are_a_chain_of_pairs():
    rng = np.random.default_rng(4)
    prints = random_fingerprints(6_000, rng)
    prints[500:5_500] = prints[500]
    found = find_candidates(prints)
    assert set(found["b"]) == set(range(501, 5_500))
    assert (found["a"] == 500).all()


def test_hundreds_of_nearly_equal_recordings_are_all_in_some_pair():
    rng = np.random.default_rng(5)
    prints = random_fingerprints(1_500, rng)
    prints[:300] = copied(np.repeat(prints[:1], 300, axis=0), rng, flipped=0.05)
    found = find_candidates(prints)
    assert set(found["a"]) | set(found["b"]) == set(range(300))
    assert len(found) < 300 * copies.MOST


@pytest.mark.parametrize("n", [0, 1, 2, 5, 60])
def test_few_recordings_are_compared_too(n):
    rng = np.random.default_rng(6)
    prints = random_fingerprints(n, rng)
    everything = np.concatenate([prints, copied(prints[:1], rng, flipped=0.1)])
    found = find_candidates(everything)
    assert list(zip(found["a"], found["b"], strict=True)) == ([(0, n)] if n else [])


def test_the_answer_does_not_depend_on_chance():
    rng = np.random.default_rng(7)
    prints = random_fingerprints(500, rng)
    prints = np.concatenate([prints, copied(prints[:40], rng, flipped=0.2)])
    assert find_candidates(prints).equals(find_candidates(prints))
