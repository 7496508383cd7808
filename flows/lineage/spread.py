"""How far scores lie apart when nothing but the seed of the training differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t

from flows.request import Request
from ser.files import read_json
from ser.project import METRICS

#: By which equal scores may differ.
ROUNDING = 1e-9


def measure(
    tree: Path,
    seed: int,
    seeds: int,
    *,
    first: float,
    run: Callable[[str], object],
) -> list[float]:
    """Test UAR of `seed`, which is `first`, and of as many more seeds, trained in `tree`.

    The split and the features stay: only `train` and `evaluate` run again. run : runs a stage.
    """
    scores = [first]
    for other in range(seed + 1, seed + 1 + seeds):
        Request({"seed": other}).write(tree)
        for stage in ("train", "evaluate"):
            run(stage)
        scores.append(float(read_json(tree / METRICS)["test"]["uar"]))
    Request({"seed": seed}).write(tree)
    return scores


def prediction_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Bounds within which the score of one more seed lies with 95 % probability (Student's t).

    >>> low, high = prediction_interval([0.68, 0.70, 0.69])
    >>> round(low, 3), round(high, 3)
    (0.64, 0.74)
    """
    n = len(scores)
    margin = t.ppf(0.975, n - 1) * np.std(scores, ddof=1) * np.sqrt(1 + 1 / n)
    # A model without chance has one score, up to the rounding of a mean.
    return float(np.mean(scores) - margin - ROUNDING), float(np.mean(scores) + margin + ROUNDING)


def spread_text(scores: Sequence[float]) -> str:
    """
    >>> spread_text([0.68, 0.70, 0.69])
    '3 seeds gave 0.680 to 0.700; one more lies between 0.640 and 0.740 with 95 % probability'
    """
    low, high = prediction_interval(scores)
    return (
        f"{len(scores)} seeds gave {min(scores):.3f} to {max(scores):.3f}; one more lies between "
        f"{low:.3f} and {high:.3f} with 95 % probability"
    )
