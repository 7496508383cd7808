"""How far an utterance is from the training speech. Pure.

The Mahalanobis distance in the principal components of the training embeddings and the distance
outside those components; both are 1 on average for training utterances, and weigh alike. The limit
comes from speakers held out of the fit, since unseen voices are farther than known ones.
Lee et al. (2018), "A simple unified framework for detecting out-of-distribution samples".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from ser.errors import BundleError, TableError

#: Number of principal components, and of groups of speakers that are held out in turn.
COMPONENTS, GROUPS = 20, 5
#: Percentiles at which the held-out distances are kept.
PERCENTILES = np.linspace(0.0, 100.0, 1001)
#: Columns that vary less than this, in their own unit, are not scaled.
LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Space:
    """Where training embeddings lie.

    mean, scale : (d,) of each column; components : (d, k) directions of standardised columns;
    spread : (k,) deviation along each; rest : root mean square outside all of them.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    spread: np.ndarray
    rest: float

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Self:
        """The space of embeddings (n, d)."""
        mean, scale = embeddings.mean(axis=0), embeddings.std(axis=0)
        scale = np.where(scale > LEAST_SCALE, scale, 1.0)
        standard = (embeddings - mean) / scale
        # At most half of a small space, so that something lies outside.
        k = max(1, min(COMPONENTS, min(standard.shape) // 2))
        # Imported here: serving, which does not need it, starts sooner.
        from sklearn.utils.extmath import randomized_svd

        _, singular, rows = randomized_svd(standard, k, random_state=0)
        components = rows.T
        beyond = standard - standard @ components @ rows
        return cls(
            mean,
            scale,
            components,
            spread=np.maximum(singular / np.sqrt(len(standard)), LEAST_SCALE),
            rest=max(float(np.sqrt(np.square(beyond).sum(axis=1).mean())), LEAST_SCALE),
        )

    def distance(self, embeddings: np.ndarray) -> np.ndarray:
        """How far embeddings (n, d) lie, (n,); infinite where one is not finite."""
        standard = (np.asarray(embeddings, dtype=np.float64) - self.mean) / self.scale
        finite = np.isfinite(standard).all(axis=1)
        standard = np.where(finite[:, None], standard, 0.0)
        along = standard @ self.components
        beyond = np.square(standard - along @ self.components.T).sum(axis=1) / self.rest**2
        within = np.square(along / self.spread).mean(axis=1)
        return np.where(finite, np.sqrt((within + beyond) / 2), np.inf)


@dataclass(frozen=True)
class Novelty:
    """space : of all training embeddings; held_out : distances at `PERCENTILES` of utterances
    from spaces without their speakers."""

    space: Space
    held_out: np.ndarray

    @classmethod
    def of(
        cls, embeddings: np.ndarray, *, speaker: np.ndarray, distance: np.ndarray | None = None
    ) -> Self:
        """Fit it to training embeddings (n, d) of speakers (n,), who weigh alike.

        distance : (n,), of `held_out_distances`, where they are known already.
        Raises TableError as that does.
        """
        if distance is None:
            distance = held_out_distances(embeddings, speaker=speaker)
        _, place, counts = np.unique(speaker, return_inverse=True, return_counts=True)
        order = np.argsort(distance)
        weight = (1.0 / counts[place])[order]
        reached = (np.cumsum(weight) - weight / 2) / weight.sum()
        held_out = np.interp(PERCENTILES / 100, reached, distance[order])
        return cls(Space.of(np.asarray(embeddings, dtype=np.float64)), held_out)

    def distance(self, embeddings: np.ndarray) -> np.ndarray:
        """Distances (n,) of embeddings (n, d): about 1 for training utterances."""
        return self.space.distance(embeddings)

    def limit(self, percentile: float) -> float:
        """The distance within which `percentile` % of unseen speakers' utterances lie."""
        return float(np.interp(percentile, PERCENTILES, self.held_out))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Float32 and float64 arrays by name, for safetensors."""
        space = self.space
        return {
            "mean": space.mean,
            "scale": space.scale,
            "components": np.ascontiguousarray(space.components, dtype=np.float32),
            "spread": space.spread,
            "rest": np.array([space.rest]),
            "held_out": self.held_out,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Inverse of `to_arrays`; raises BundleError where arrays are not as expected."""
        d, k = (arrays[name].size if name in arrays else 0 for name in ("mean", "spread"))
        expected = {
            "mean": (d,),
            "scale": (d,),
            "components": (d, k),
            "spread": (k,),
            "rest": (1,),
            "held_out": PERCENTILES.shape,
        }
        found = {name: array.shape for name, array in arrays.items()}
        if found != expected:
            raise BundleError(
                f"The novelty has arrays of shape {found}; expected mean and scale (d,), "
                f"components (d, k), spread (k,), rest (1,), held_out {PERCENTILES.shape}. "
                "Train the model again."
            )
        finite = all(np.isfinite(array).all() for array in arrays.values())
        if not finite or min(arrays[name].min() for name in ("scale", "spread", "rest")) <= 0:
            raise BundleError(
                "The novelty holds values that are not finite, or a scale that is not positive. "
                "Train the model again."
            )
        parts = {name: arrays[name] for name in ("mean", "scale", "components", "spread")}
        return cls(Space(**parts, rest=float(arrays["rest"][0])), arrays["held_out"])


def held_out_distances(embeddings: np.ndarray, *, speaker: np.ndarray) -> np.ndarray:
    """Distances (n,) of training embeddings (n, d) from spaces without their speakers, (n,).

    Raises TableError below two speakers, or where a value is not finite.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    names, place = np.unique(speaker, return_inverse=True)
    if names.size < 2:
        raise TableError(
            f"Found {names.size} training speaker(s); novelty needs at least 2. Add speakers."
        )
    if not np.isfinite(embeddings).all():
        raise TableError("An embedding holds NaN or infinite values. Run `featurize` again.")
    distance = np.empty(len(embeddings))
    for group in range(min(GROUPS, names.size)):
        out = place % GROUPS == group
        distance[out] = Space.of(embeddings[~out]).distance(embeddings[out])
    return distance
