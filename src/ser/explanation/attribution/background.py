"""What an utterance is compared with: the average training utterance, from the bundle alone."""

from __future__ import annotations

import numpy as np

from ser.bundle import Bundle
from ser.core.features.extract import functional_names
from ser.core.uncertainty.novelty import Space
from ser.errors import BundleError

#: Pairs of utterances that are drawn around the average one.
PAIRS = 2


def space_of(bundle: Bundle) -> Space:
    """Where the training functionals lie; raises BundleError where the bundle has no novelty."""
    if bundle.novelty is None:
        raise BundleError(
            "The bundle has no statistics of its training functionals (novelty.safetensors), which "
            "an utterance is compared with. Train on two speakers or more."
        )
    return bundle.novelty.space


def drawn(space: Space, *, seed: int = 0, pairs: int = PAIRS) -> np.ndarray:
    """Functionals (2 · pairs, d) of training-like utterances, each with its mirror image.

    The pairs' mean is the training mean exactly: a linear model's average answer is that for the
    average utterance.
    """
    rng = np.random.default_rng(seed)
    along = rng.standard_normal((pairs, space.spread.size)) * space.spread
    beyond = rng.standard_normal((pairs, space.mean.size)) * np.sqrt(_rest(space))
    deviation = (along @ space.components.T + beyond) * space.scale
    return np.concatenate([space.mean + deviation, space.mean - deviation])


def _rest(space: Space) -> np.ndarray:
    """Variance (d,) of each standardised functional outside the components."""
    inside: np.ndarray = np.square(space.components * space.spread).sum(axis=1)
    return np.maximum(1.0 - inside, 0.0)


def novelty_shares(space: Space, functionals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each functional adds to the squared distance `Space.distance` of functionals (d,).

    Returns two (d,): of these functionals, which add up to the squared distance, and of an average
    training utterance, which add up to 1.
    """
    standard = (functionals.astype(np.float64) - space.mean) / space.scale
    along = standard @ space.components
    beyond = np.square(standard - along @ space.components.T) / space.rest**2
    # A component's share in a functional's deviation; the shares of one component add up to it.
    within = standard * (space.components @ (along / space.spread**2)) / space.spread.size
    usual_within = np.square(space.components).sum(axis=1) / space.spread.size
    return (within + beyond) / 2, (usual_within + _rest(space) / space.rest**2) / 2


def average_log_mel(bundle: Bundle, log_mel: np.ndarray) -> np.ndarray:
    """A log-mel of the shape of `log_mel` (n_frames, n_mels) that says nothing, dB.

    The mean spectrum of the training speech in every frame, at the utterance's own level; one level
    in all bands where the bundle does not have that spectrum.
    """
    level = log_mel.mean(dtype=np.float64)
    spectrum = np.zeros(log_mel.shape[1])
    features = bundle.features
    if bundle.novelty is not None and (features.functionals, features.log_mel) == ("ser", "ser"):
        names = functional_names(features)
        at = [names.index(f"log_mel_{band:02d}_mean") for band in range(features.n_mels)]
        spectrum = bundle.novelty.space.mean[at]
    frame = (spectrum - spectrum.mean() + level).astype(np.float32)
    return np.tile(frame, (len(log_mel), 1))
