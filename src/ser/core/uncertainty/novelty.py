"""How far an utterance is from the training speech. Pure.

The Mahalanobis distance in the principal components of the training embeddings, and beside it
what lies outside those components; each is 1 for what was trained on, and both weigh alike. What
is far is read from speakers held out of the fit, for unseen voices are further than known ones.
Lee et al. (2018), "A simple unified framework for detecting out-of-distribution samples".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from ser.errors import BundleError, TableError

#: Components of the principal axes, and groups of speakers that are held out in turn.
COMPONENTS, GROUPS = 20, 5
#: Percentiles at which the held-out distances are kept.
PERCENTILES = np.linspace(0.0, 100.0, 1001)
#: Columns that vary less than this, in their own unit, are left as they are.
LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Space:
    """Where training embeddings lie.

    mean, scale : (d,) of each column; components : (d, k) directions of standardised columns;
    spread : (k,) deviation along each; rest : root of the mean square beyond all of them.
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
        # Half of a small space at most, so that there is a beyond.
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
    """space : of all training embeddings; held_out : distances of unseen speakers' utterances
    at `PERCENTILES`, from spaces without them."""

    space: Space
    held_out: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, *, speaker: np.ndarray) -> Self:
        """Learn from training embeddings (n, d) and their speakers (n,), who weigh alike.

        Raises TableError below two speakers, or where a value is not finite.
        """
        embeddings = np.asarray(embeddings, dtype=np.float64)
        names, place, counts = np.unique(speaker, return_inverse=True, return_counts=True)
        if names.size < 2:
            raise TableError(
                f"{names.size} speakers cannot tell how far an unseen one is; train on at least 2."
            )
        if not np.isfinite(embeddings).all():
            raise TableError("An embedding holds NaN or infinite values. Run `featurize` again.")
        distance = np.empty(len(embeddings))
        for group in range(min(GROUPS, names.size)):
            out = place % GROUPS == group
            distance[out] = Space.of(embeddings[~out]).distance(embeddings[out])
        order = np.argsort(distance)
        weight = (1.0 / counts[place])[order]
        reached = (np.cumsum(weight) - weight / 2) / weight.sum()
        held_out = np.interp(PERCENTILES / 100, reached, distance[order])
        return cls(Space.of(embeddings), held_out)

    def distance(self, embeddings: np.ndarray) -> np.ndarray:
        """(n,) of embeddings (n, d): about 1 for what was trained on."""
        return self.space.distance(embeddings)

    def limit(self, percentile: float) -> float:
        """The distance within which that share, in percent, of unseen speakers' utterances lie."""
        return float(np.interp(percentile, PERCENTILES, self.held_out))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` reads: float32 and float64 arrays by name, for safetensors."""
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
        """Raises BundleError where arrays are not those of `to_arrays`."""
        names = {*(field.name for field in fields(Space)), "held_out"}
        if set(arrays) != names:
            raise BundleError(
                f"The novelty holds {', '.join(sorted(arrays)) or 'nothing'}; expected "
                f"{', '.join(sorted(names))}. Train the model again."
            )
        d, k = arrays["mean"].size, arrays["spread"].size
        expected = {
            "mean": (d,),
            "scale": (d,),
            "components": (d, k),
            "spread": (k,),
            "rest": (1,),
            "held_out": PERCENTILES.shape,
        }
        for name, shape in expected.items():
            value = arrays[name]
            if value.shape != shape or not np.isfinite(value).all():
                raise BundleError(
                    f"The novelty's {name} has shape {value.shape} or is not finite; expected "
                    f"finite {shape}. Train the model again."
                )
        if min(arrays[name].min() for name in ("scale", "spread", "rest")) <= 0:
            raise BundleError("The novelty has a scale that is not positive. Train again.")
        space = Space(
            arrays["mean"],
            arrays["scale"],
            arrays["components"],
            arrays["spread"],
            float(arrays["rest"][0]),
        )
        return cls(space, arrays["held_out"])
