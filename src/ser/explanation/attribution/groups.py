"""Functionals by group, so that thousands of them can be read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

#: A group and the names of its functionals; the first pattern that matches decides. The last ones
#: are of openSMILE's sets, eGeMAPS and ComParE.
GROUPS = {
    "MFCC": r"mfcc\d|mfcc_\d|mfcc_sma\[",
    "MFCC deltas": r"mfcc_(delta|sma_de)",
    "chroma": r"chroma_",
    "spectral contrast": r"contrast_",
    "log-mel": r"log_mel_|audSpec_",
    "energy": r"rms_|loudness|equivalentSoundLevel|pcm_RMSenergy|audspec|audSpecRasta",
    "zero crossings": r"zcr_|pcm_zcr",
    "F0": r"f0_|F0|voiced_fraction|voicing|VoicedSegments|Mean(Unv|V)oicedSegment|StddevUnvoiced"
    r"|StddevVoiced",
    "harmonicity": r"harmonicity|HNR|logHNR",
    "MFCC covariances": r"movement_",
    "modulation": r"modulation_",
    "voice quality": r"jitter|shimmer|logRelF0",
    "formants": r"F[1-3](frequency|bandwidth|amplitude)",
    "spectral shape": r"spectral|alphaRatio|hammarberg|slope\w*\d|pcm_fftMag",
}
OTHER = "other functionals"


@lru_cache(maxsize=8)
def groups_of(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Places of the functionals `names` of each group that occurs, in the order of `GROUPS`.

    >>> {group: places.tolist() for group, places in groups_of(("f0_mean", "rms_std", "x")).items()}
    {'energy': [1], 'F0': [0], 'other functionals': [2]}
    """
    found = np.array([group_of(name) for name in names])
    return {
        group: np.flatnonzero(found == group) for group in (*GROUPS, OTHER) if group in set(found)
    }


def group_of(name: str) -> str:
    """
    >>> group_of("mfcc_03_mean"), group_of("mfcc_delta2_03_std"), group_of("F0final_sma_amean")
    ('MFCC', 'MFCC deltas', 'F0')
    """
    # Formants are named after F0's fashion: what is more precise goes first.
    for group in ("formants", *GROUPS):
        if re.match(GROUPS[group], name):
            return group
    return OTHER


def sums(values: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The sum of values (n,) of functionals by group."""
    return {group: float(values[at].sum()) for group, at in groups_of(tuple(names)).items()}
