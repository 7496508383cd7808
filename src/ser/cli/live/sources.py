"""Where live samples come from: a recording at the pace of speech, a microphone, a pipe."""

from __future__ import annotations

import math
import os
import select
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import soxr

from ser.cli.live.recorders import RecorderError, installed_recorder, recording, sounddevice
from ser.client.audio import STREAM_SR as SR
from ser.client.audio import int16_of
from ser.errors import AudioError, CorruptAudio
from ser.io.audio.limits import ANY_LENGTH
from ser.io.audio.read import decode_blocks, opened

#: Samples of a chunk (0.1 s), and of the most that is taken at once from what waits (2 s).
CHUNK, MOST = SR // 10, 2 * SR
#: Seconds between two looks at whether the source was stopped.
LOOK_SECONDS = 0.1
#: dB of digital silence, and below.
SILENCE_DB = -96.0
MICROPHONE, STDIN = "microphone", "-"
#: How files begin that are no raw samples.
HEADERS = (b"RIFF", b"fLaC", b"OggS", b"FORM")


class Source(ABC):
    """Iterates over chunks of int16 (n_samples, n_channels) at 16 kHz, until it ends or is stopped.

    name : what it is called in lines. position : samples that were taken. levels : of the last
    chunk, in dB re full scale, for each channel.
    """

    def __init__(self, name: str, channels: int) -> None:
        self.name, self.channels = name, channels
        self.position, self.levels = 0, (SILENCE_DB,) * channels
        self.stopped = False

    def stop(self) -> None:
        """End it after the chunk that is under way, at most 0.1 s later."""
        self.stopped = True

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self._chunks():
            if self.stopped:
                return
            if len(chunk):
                self.position += len(chunk)
                self.levels = tuple(map(_level_db, chunk.T))
                yield chunk

    @abstractmethod
    def _chunks(self) -> Iterator[np.ndarray]: ...

    def _raw(self, descriptor: int, most: int) -> Iterator[np.ndarray]:
        """Chunks of raw s16le, channels interleaved, of what is there: at most so many samples.

        Raises AudioError for a file with a header.
        """
        rest, width, is_first = b"", 2 * self.channels, True
        while not self.stopped:
            if not select.select([descriptor], [], [], LOOK_SECONDS)[0]:
                continue
            data = os.read(descriptor, most * width)
            if not data:
                # A recorder that is ended may leave half a sample.
                return
            rest += data
            if is_first and rest[:4] in HEADERS:
                raise AudioError(
                    f"begins with {rest[:4]!r}, as a file does",
                    "raw s16le samples at 16 kHz",
                    "Let the recorder write raw samples (`arecord -t raw`), or name the file.",
                    file="stdin" if self.name == STDIN else self.name,
                )
            is_first = is_first and len(rest) < 4
            whole = len(rest) - len(rest) % width
            yield np.frombuffer(rest[:whole], "<i2").reshape(-1, self.channels)
            rest = rest[whole:]


class FileSource(Source):
    """A recording of any length, in any format that is read.

    channels : 1 for the mix, 2 for a party each, None for what the file has. fast : as fast as it
    is taken; else at the pace of speech, and what has become due meanwhile comes at once. Raises
    AudioError.
    """

    def __init__(self, path: Path, *, channels: int | None, fast: bool) -> None:
        blocks = _blocks(path)
        first, sr = next(blocks)
        found = first.shape[1]
        if (channels or found) > found or (channels != 1 and found > 2):
            raise AudioError(
                f"has {found} channels",
                "2, a party each" if channels else "1 or 2, a party each",
                "Leave --call and --channels out.",
                file=str(path),
            )
        super().__init__(str(path), channels or found)
        self._blocks, self._sr, self._fast = chain([(first, sr)], blocks), sr, fast

    def _chunks(self) -> Iterator[np.ndarray]:
        chunks = _cut(self._resampled())
        return chunks if self._fast else self._paced(chunks)

    def _resampled(self) -> Iterator[np.ndarray]:
        resampler = soxr.ResampleStream(self._sr, SR, self.channels, dtype="float32", quality="HQ")
        for block, _ in self._blocks:
            if not np.isfinite(block).all():
                raise CorruptAudio("holds NaN or infinite samples", "finite ones", file=self.name)
            y = block if self.channels > 1 else block.mean(axis=1, dtype=np.float32)[:, None]
            if self._sr == SR:
                yield int16_of(y)
            else:
                yield int16_of(resampler.resample_chunk(np.ascontiguousarray(y)))
        if self._sr != SR:
            rest = np.zeros((0, self.channels), dtype=np.float32)
            yield int16_of(resampler.resample_chunk(rest, last=True))

    def _paced(self, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        start, end = time.monotonic(), 0
        waiting: list[np.ndarray] = []
        for chunk in chunks:
            waiting.append(chunk)
            end += len(chunk)
            ahead = start + end / SR - time.monotonic()
            if ahead <= 0 and sum(map(len, waiting)) < MOST:
                continue
            time.sleep(max(0.0, ahead))
            yield np.concatenate(waiting)
            waiting.clear()
        if waiting:
            yield np.concatenate(waiting)


class PipeSource(Source):
    """Raw samples from a pipe, as `_raw` takes them.

    fast : take chunks of 0.1 s, however much waits.
    """

    def __init__(self, descriptor: int, *, channels: int, fast: bool) -> None:
        super().__init__(STDIN, channels)
        self._descriptor, self._most = descriptor, CHUNK if fast else MOST

    def _chunks(self) -> Iterator[np.ndarray]:
        return self._raw(self._descriptor, self._most)


class ProgramSource(Source):
    """A microphone, by the first program that is installed; raises RecorderError."""

    def __init__(self, *, channels: int, device: str | None) -> None:
        super().__init__(MICROPHONE, channels)
        self._device, self._recorder = device, installed_recorder()
        self.by = self._recorder.program

    def _chunks(self) -> Iterator[np.ndarray]:
        with recording(self._recorder, channels=self.channels, device=self._device) as out:
            yield from self._raw(out.fileno(), MOST)


class PackageSource(Source):
    """A microphone, by the package sounddevice; raises RecorderError."""

    by = "sounddevice"

    def __init__(self, package: object, *, channels: int, device: str | None) -> None:
        super().__init__(MICROPHONE, channels)
        self._package, self._device = package, device

    def _chunks(self) -> Iterator[np.ndarray]:
        package = self._package
        named = self._device
        device = int(named) if named and named.isdigit() else named
        try:
            with package.RawInputStream(  # type: ignore[attr-defined]
                samplerate=SR, channels=self.channels, dtype="int16", device=device
            ) as microphone:
                while not self.stopped:
                    data, _ = microphone.read(max(CHUNK, min(microphone.read_available, MOST)))
                    yield np.frombuffer(bytes(data), np.int16).reshape(-1, self.channels)
        except (package.PortAudioError, ValueError) as error:  # type: ignore[attr-defined]
            raise RecorderError(
                f"sounddevice records nothing ({error}); expected a microphone. Name another with "
                "--device; `python -m sounddevice` lists them."
            ) from error


def microphone(*, channels: int, device: str | None) -> PackageSource | ProgramSource:
    """By the first of what is installed; raises RecorderError, which says what to install."""
    if package := sounddevice():
        return PackageSource(package, channels=channels, device=device)
    return ProgramSource(channels=channels, device=device)


def standard_input(*, channels: int, fast: bool) -> PipeSource:
    """Raises AudioError where nothing is piped."""
    if sys.stdin.isatty():
        raise AudioError(
            "is the keyboard",
            "raw s16le samples at 16 kHz",
            "Pipe a recorder: `arecord -q -t raw -f S16_LE -r 16000 | ser stream -`.",
            file="stdin",
        )
    return PipeSource(sys.stdin.fileno(), channels=channels, fast=fast)


def _blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    with opened(path, limits=ANY_LENGTH) as data:
        yield from decode_blocks(data, limits=ANY_LENGTH)


def _cut(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples, CHUNK at a time."""
    rest = next(blocks, None)
    for block in blocks:
        assert rest is not None
        rest = np.concatenate([rest, block])
        whole = len(rest) - len(rest) % CHUNK
        yield from rest[:whole].reshape(-1, CHUNK, rest.shape[1])
        rest = rest[whole:]
    if rest is not None:
        yield from (rest[i : i + CHUNK] for i in range(0, len(rest), CHUNK))


def _level_db(y: np.ndarray) -> float:
    """
    >>> round(_level_db(np.array([16384, -16384], np.int16)), 1)
    -6.0
    """
    power = float(np.mean(np.square(y, dtype=np.float64))) / 2**30
    return max(SILENCE_DB, 10 * math.log10(power)) if power else SILENCE_DB
