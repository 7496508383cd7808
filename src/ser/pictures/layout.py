"""A map of clips: near each other where their functionals are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ser.core.corpus.plane import PCA_AXES, by_speaker, components
from ser.extras import need

Kind = Literal["umap", "pca"]
#: Clips below which neighbourhoods say nothing, and clips that a map has at most.
LEAST_CLIPS, MOST_CLIPS = 30, 5_000


@dataclass(frozen=True)
class Map:
    """points : (n, 2), of the clips at `rows` (n,). axes : what the two axes are called."""

    points: np.ndarray
    rows: np.ndarray
    axes: tuple[str, str]
    method: str


def layout(
    functionals: np.ndarray,
    *,
    speaker: np.ndarray | None,
    kind: Kind = "umap",
    seed: int,
) -> Map:
    """A map of functionals (n, d), standardised by speaker (n,) where given.

    Of more than `MOST_CLIPS` clips some are drawn; below `LEAST_CLIPS`, and with kind pca, the axes
    are principal components. McInnes, Healy, Melville (2018), "UMAP". The same clips and seed give
    the same map on one machine. Raises SerError where umap-learn is not installed.
    """
    rows = np.arange(len(functionals))
    if len(rows) > MOST_CLIPS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_CLIPS, replace=False))
    values = functionals[rows]
    if speaker is not None:
        values = by_speaker(values, speaker[rows])
    shown = f"{len(rows)} of {len(functionals)} clips" if len(rows) < len(functionals) else ""
    if kind == "pca" or len(rows) < LEAST_CLIPS:
        points = components(values, most=2)
        # One clip has one component.
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
        return Map(points, rows, PCA_AXES, ", ".join(filter(None, ["PCA", shown])))
    umap = need("insight", "umap")
    # With a fixed seed UMAP works on one thread.
    made = umap.UMAP(random_state=seed, n_jobs=1).fit_transform(components(values))
    return Map(
        np.asarray(made, dtype=np.float64),
        rows,
        ("UMAP 1", "UMAP 2"),
        ", ".join(filter(None, ["UMAP of 50 principal components, 15 neighbours", shown])),
    )
