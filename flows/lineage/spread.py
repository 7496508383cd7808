"""How far scores lie apart when nothing but the seed of the training differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flows.request import Request
from ser.files import read_json
from ser.project import METRICS


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


def spread_text(scores: Sequence[float]) -> str:
    """
    >>> spread_text([0.68, 0.7, 0.69])
    '0.680 to 0.700 over 3 seeds, standard deviation 0.010'
    """
    deviation = np.std(scores, ddof=1)
    return (
        f"{min(scores):.3f} to {max(scores):.3f} over {len(scores)} seeds, "
        f"standard deviation {deviation:.3f}"
    )
