"""The sound of a long recording in a page: coded block by block, within so many bytes."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

#: Hz of the sound in a page.
SR = 16_000
#: kbit/s by the number of channels; the first that fits is taken, one throughout, so that players
#: seek exactly.
BIT_RATES = {1: (40, 16), 2: (64, 32)}
#: kbit/s between which libsndfile spreads its levels of compression at this rate.
MOST_RATE, LEAST_RATE = 160, 8
#: Bytes of a frame that has room for LAME to say by how much it delays, and samples of that delay.
#: Where it cannot say so, players do not take it back.
LEAST_TAGGED, DELAY = 180, 1105
#: Base64 takes four characters for three bytes.
BASE64 = 4 / 3

Blocks = Iterable[tuple[np.ndarray, int]]


@dataclass(frozen=True)
class Sound:
    """A recording in a page. uri : a data URI, or None; note : what is said of it, or why there is
    none."""

    uri: str | None = None
    note: str | None = "The recording is not in this page. Choose it to listen; it stays here."


def sound_of(blocks: Blocks, *, seconds: float, most_megabytes: float = 60.0) -> Sound:
    """The sound of a recording as MP3, coarser or left out where it would be too large.

    blocks : (n_samples, n_channels) of any sizes, each with the rate, as a decoder gives them; they
    are not held. seconds : of the recording. More than two channels are mixed.
    """
    given = iter(blocks)
    first, sr = next(given)
    channels = first.shape[1] if first.shape[1] in BIT_RATES else 1
    rates = BIT_RATES[channels]
    room = most_megabytes * 1e6 / BASE64 * 8 / 1000
    rate = next((rate for rate in rates if rate * seconds <= room), None)
    if rate is None:
        return Sound(
            None,
            f"The recording would make this page larger than {most_megabytes:.0f} MB, so it is not "
            "in it. Choose it to listen; it stays here.",
        )
    samples = (_mixed(block, channels) for block, _ in chain([(first, sr)], given))
    uri = _mp3(samples, sr=sr, channels=channels, kilobits=rate)
    return Sound(
        uri,
        None
        if rate == rates[0]
        else "The sound in this page is coarse. Choose the recording for its own.",
    )


def _mixed(block: np.ndarray, channels: int) -> np.ndarray:
    if block.shape[1] == channels:
        return block
    mean: np.ndarray = block.mean(axis=1, keepdims=True)
    return mean


def _mp3(blocks: Iterator[np.ndarray], *, sr: int, channels: int, kilobits: int) -> str:
    import soundfile

    buffer = io.BytesIO()
    options: dict[str, Any] = {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "CONSTANT",
        "compression_level": (MOST_RATE - kilobits) / (MOST_RATE - LEAST_RATE),
    }
    frame_bytes = 72 * 1000 * kilobits // SR
    skip = DELAY if frame_bytes < LEAST_TAGGED else 0
    with soundfile.SoundFile(buffer, "w", SR, channels, **options) as file:
        for block in _resampled(blocks, sr=sr, channels=channels):
            file.write(np.clip(block[skip:], -1, 1))
            skip = max(0, skip - len(block))
    return f"data:audio/mpeg;base64,{b64encode(buffer.getbuffer()).decode()}"


def _resampled(blocks: Iterator[np.ndarray], *, sr: int, channels: int) -> Iterator[np.ndarray]:
    if sr == SR:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(sr, SR, channels, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(np.ascontiguousarray(block, dtype=np.float32))
    yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)
