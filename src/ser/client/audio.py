"""Recordings and live samples as the server takes them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ser.client.errors import bad_input

#: Hz of a stream, and the bytes of one sample.
STREAM_SR, SAMPLE_BYTES = 16_000, 2
#: Seconds of audio in a message.
FRAME_SECONDS = 0.1
#: Full scale of 16 bits.
FULL_SCALE = 2**15

#: A file's path, a file's bytes, a file that is open for bytes, or samples and their rate in Hz.
Recording = str | os.PathLike[str] | bytes | bytearray | IO[bytes] | tuple[np.ndarray, int]
#: Int16 or float32 samples, (n_samples,) or (n_samples, n_channels), or s16le bytes.
Chunk = np.ndarray | bytes | bytearray | memoryview


def file_bytes(recording: Recording) -> bytes:
    """The bytes of a file that holds the recording; raises ClientError where it cannot be read.

    Samples, float32 or int16, (n_samples,) or (n_samples, n_channels), become a WAV without loss.
    """
    if isinstance(recording, bytes | bytearray):
        return bytes(recording)
    if isinstance(recording, tuple):
        return _wav(*recording)
    if isinstance(recording, str | os.PathLike):
        try:
            return Path(recording).read_bytes()
        except OSError as error:
            raise bad_input(
                f"{os.fspath(recording)} cannot be read ({error.strerror})", "a recording there"
            ) from error
    data = recording.read()
    if not isinstance(data, bytes):
        raise bad_input("The file was opened for text", "one opened for bytes", 'Open it as "rb".')
    return data


def _wav(y: np.ndarray, sr: int) -> bytes:
    y = np.asarray(y)
    if y.ndim not in (1, 2) or y.dtype not in (np.int16, np.float32, np.float64):
        raise bad_input(
            f"The samples are {y.dtype} of shape {y.shape}",
            "int16 or float32, (n_samples,) or (n_samples, n_channels)",
        )
    kind, y = (1, y.astype("<i2")) if y.dtype == np.int16 else (3, y.astype("<f4"))
    channels, width = (1 if y.ndim == 1 else y.shape[1]), y.dtype.itemsize
    data = y.tobytes()
    fmt = struct.pack(
        "<HHIIHH", kind, channels, sr, sr * channels * width, channels * width, 8 * width
    )
    head = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


class Frames:
    """Chunks of any size in, messages of the stream out: s16le, interleaved, whole samples."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._width = SAMPLE_BYTES * channels
        self._size = round(FRAME_SECONDS * STREAM_SR) * self._width
        self._rest = b""

    def of(self, chunk: Chunk) -> Iterator[bytes]:
        """The messages of the next chunk; half a sample waits for the next one.

        Raises ClientError for samples of another type or shape.
        """
        data = self._rest + self._bytes(chunk)
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        for start in range(0, whole, self._size):
            yield data[start : min(start + self._size, whole)]

    def check_end(self) -> None:
        """Raises ClientError where the last chunk ended within a sample."""
        if self._rest:
            raise bad_input(
                f"The audio ends with {len(self._rest)} bytes",
                f"a multiple of {self._width}: s16le, {self._channels} interleaved",
            )

    def _bytes(self, chunk: Chunk) -> bytes:
        if not isinstance(chunk, np.ndarray):
            return bytes(chunk)
        columns = 1 if chunk.ndim == 1 else chunk.shape[-1]
        if chunk.ndim not in (1, 2) or (chunk.ndim == 2 and columns != self._channels):
            raise bad_input(
                f"A chunk has shape {chunk.shape}",
                f"(n_samples, {self._channels}), or interleaved samples (n,)",
                "Name the number of channels (channels=2).",
            )
        if chunk.dtype == np.int16:
            return chunk.astype("<i2").tobytes()
        if chunk.dtype in (np.float32, np.float64):
            return int16_of(chunk).astype("<i2").tobytes()
        raise bad_input(f"A chunk is of {chunk.dtype}", "int16, or float32 within ±1")


def int16_of(y: np.ndarray) -> np.ndarray:
    """Floats within ±1 as int16, of the same shape; beyond, the nearest there is.

    >>> int16_of(np.array([0.5, -1.0, 1.0])).tolist()
    [16384, -32768, 32767]
    """
    scaled = np.round(np.asarray(y, dtype=np.float64) * FULL_SCALE)
    if not np.isfinite(scaled).all():
        raise bad_input("A chunk holds NaN or infinite samples", "finite ones")
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
