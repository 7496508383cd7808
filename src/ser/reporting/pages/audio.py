"""Recordings inside a page."""

from __future__ import annotations

import io
from base64 import b64encode

import numpy as np

from ser.core.utterance.formats import MP3_RATES

#: Of libsndfile's MP3: 0 is the best and largest, 1 the smallest. Speech at 16 kHz: about 3 kB/s.
COMPRESSION = 0.7


def audio_uri(y: np.ndarray, sr: int, *, compression: float = COMPRESSION) -> str:
    """A data URI of samples y, (n_samples,) or (n_samples, n_channels), for <audio>.

    MP3, which every browser plays; rates that MP3 lacks are resampled. Samples beyond ±1 are
    brought into range: a page is for listening.
    """
    import soundfile
    import soxr

    y = np.asarray(y, dtype=np.float32)
    if sr not in MP3_RATES:
        wanted = next((rate for rate in MP3_RATES if rate >= sr), MP3_RATES[-1])
        y, sr = soxr.resample(y, sr, wanted), wanted
    peak = float(np.abs(y).max(initial=0.0))
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        y / peak if peak > 1 else y,
        sr,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=compression,
    )
    return f"data:audio/mpeg;base64,{b64encode(buffer.getvalue()).decode()}"
