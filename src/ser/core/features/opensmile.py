"""openSMILE's functionals, which the field compares with: an optional feature set.

eGeMAPSv02: Eyben et al. (2016), IEEE TAC 7(2): 190-202. ComParE_2016: Schuller et al. (2016),
Interspeech, 2001-2005. openSMILE itself is free for research only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ser.errors import ParamsError

#: Names in `features.functionals` -> openSMILE's.
SETS = {"egemaps": "eGeMAPSv02", "compare": "ComParE_2016"}


def smile_functionals(y: np.ndarray, *, sr: int, name: str) -> np.ndarray:
    """Functionals of y (n_samples,): float32 (88,) for egemaps, (6373,) for compare; finite.

    Raises ParamsError where openSMILE is not installed.
    """
    values = _smile(name).process_signal(y, sr).to_numpy(np.float32)[0]
    # A statistic over no frame, such as the jitter of a whisper, is undefined there.
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def smile_names(name: str) -> tuple[str, ...]:
    """Names of what `smile_functionals` returns, openSMILE's own."""
    return tuple(_smile(name).feature_names)


@lru_cache(maxsize=2)
def _smile(name: str) -> Any:
    try:
        import opensmile
    except ImportError as error:
        raise ParamsError(
            f"features.functionals is {name}, which needs openSMILE. Install it with "
            "`pip install 'ser-platform[egemaps]'`, or set features.functionals: ser."
        ) from error
    return opensmile.Smile(
        feature_set=getattr(opensmile.FeatureSet, SETS[name]),
        feature_level=opensmile.FeatureLevel.Functionals,
        num_workers=1,
    )
