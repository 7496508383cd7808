"""When the answer is a reason instead of an emotion. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ser.params import AbstentionParams

Reason = Literal["no_speech", "too_short", "too_long", "clipped", "out_of_domain", "unsure"]

#: So many samples in a row within this share of the extreme are a flat top. Unclipped sound peaks
#: in one or two samples; the share allows for dither of 16 bits.
FLAT_SAMPLES, FLAT_SHARE = 3, 0.005


@dataclass(frozen=True)
class Abstention:
    """reason : for programs; detail : a sentence with what was found and what was expected."""

    reason: Reason
    detail: str


def clipped_share(y: np.ndarray) -> float:
    """The share of samples of y (n_samples,) in flat tops at either extreme.

    y : as decoded. Clipping leaves runs at the largest and smallest value, which resampling, mixing
    channels or a lossy codec smooths: clipping before such a step is not found. A constant is all
    clipped; silence is not.
    """
    if y.size == 0 or not y.any():
        return 0.0
    flat = 0
    for side in (y, -y):
        top = side.max()
        if top > 0:
            flat += _in_runs(side >= top * (1 - FLAT_SHARE), at_least=FLAT_SAMPLES)
    return flat / y.size


def decide(
    params: AbstentionParams,
    *,
    seconds: float | None = None,
    speech_seconds: float | None = None,
    clipped: float = 0.0,
    novelty: float | None = None,
    confidence: float = 1.0,
) -> Abstention | None:
    """The first reason not to answer, or None; what is left out is not checked.

    In this order: too short, too long, no speech, clipped, out of domain, unsure.

    seconds : of the recording; speech_seconds : of speech in it; clipped : see `clipped_share`.
    novelty : distance over the limit, `Novelty.distance / Novelty.limit(max_novelty_percentile)`.
    confidence : the calibrated posterior of the most probable emotion.
    """
    least = params.min_speech_seconds
    if seconds is not None and seconds < least:
        return Abstention(
            "too_short", f"The recording lasts {seconds:.2f} s; at least {least:g} s are needed."
        )
    most = params.max_seconds
    if seconds is not None and most is not None and seconds > most:
        return Abstention(
            "too_long",
            f"The recording lasts {seconds:.1f} s: too long for one utterance, which lasts up to "
            f"{most:g} s. Cut it into utterances.",
        )
    if speech_seconds == 0:
        return Abstention("no_speech", f"No speech was found; at least {least:g} s are needed.")
    if speech_seconds is not None and speech_seconds < least:
        return Abstention(
            "too_short", f"{speech_seconds:.2f} s of speech; at least {least:g} s are needed."
        )
    if clipped > params.max_clipped_share:
        return Abstention(
            "clipped",
            f"{clipped:.1%} of the samples are clipped; at most {params.max_clipped_share:.1%} "
            "may be. Record at a lower level.",
        )
    percentile = params.max_novelty_percentile
    if novelty is not None and percentile is not None and novelty > 1:
        return Abstention(
            "out_of_domain",
            f"Too different from the training speech: novelty {novelty:.1f}, limit 1.0 "
            f"({_ordinal(percentile)} percentile of unseen speakers).",
        )
    if confidence < params.min_confidence:
        return Abstention(
            "unsure",
            f"The most probable emotion has {confidence:.0%}; at least "
            f"{params.min_confidence:.0%} are needed.",
        )
    return None


def _in_runs(flags: np.ndarray, *, at_least: int) -> int:
    """How many True of flags (n,) are in runs of that length or more."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int(lengths[lengths >= at_least].sum())


def _ordinal(number: float) -> str:
    """
    >>> [_ordinal(n) for n in (99.0, 91, 92, 93, 11, 99.5)]
    ['99th', '91st', '92nd', '93rd', '11th', '99.5th']
    """
    last = 0 if number % 1 or number % 100 in (11, 12, 13) else int(number % 10)
    return f"{number:g}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
