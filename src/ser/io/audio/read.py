"""Recordings in: a path or bytes become mono samples."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser.core.utterance.segments import Segment
from ser.errors import AudioError, ChangedAudio
from ser.io.audio import sndfile_decoder
from ser.io.audio.containers import Container, sniff
from ser.io.audio.limits import Limits
from ser.io.audio.mixing import Recording
from ser.io.audio.source import Bytes, FileBytes

#: Recordings of a corpus, one utterance each; 4 GiB is as much as a WAV can name. Published
#: corpora stay below: IEMOCAP's longest utterance lasts 34 s.
CORPUS = Limits(max_bytes=4 * 2**30, max_seconds=300.0)
#: Recordings of a corpus that hold several utterances.
LONG = Limits(max_bytes=4 * 2**30, max_seconds=4 * 3600.0)
#: Containers that libsndfile does not read.
BY_FFMPEG = (Container.MP4, Container.AAC, Container.WEBM)
#: Files up to this many bytes are read at once: what is hashed is then what is decoded.
AT_ONCE = 2**24


def decode(data: Bytes, *, limits: Limits = CORPUS) -> Recording:
    """The recording that a file's bytes hold; the format is taken from them.

    Blocks are mixed down as they are decoded: no more is held than the result. Raises EmptyAudio
    without bytes or samples, RefusedAudio beyond `limits`, CancellingAudio where the channels
    cancel, MissingDecoder for M4A, AAC and WebM where PyAV is not installed, CorruptAudio for
    anything else than one whole recording of finite samples in a known format.
    """
    container, decoder = _decoder_of(data, limits)
    return decoder.decode(data, container=container, limits=limits)


def decode_blocks(data: Bytes, *, limits: Limits) -> Iterator[tuple[np.ndarray, int]]:
    """Samples (n_samples, n_channels) as `decode` comes by them, each block with their rate.

    Of a recording that is too long to be held. Raises as `decode`, at the block concerned; samples
    may lie beyond ±1 and not be finite, and channels may cancel.
    """
    container, decoder = _decoder_of(data, limits)
    return decoder.blocks(data, container=container, limits=limits)


def read_recording(path: Path, *, limits: Limits = CORPUS) -> tuple[Recording, str]:
    """A file decoded, and the SHA-256 of its bytes; raises as `decode`, AudioError if unread."""
    with opened(path, limits=limits) as data:
        return decode(data, limits=limits), _sha256(data)


def load_mono(source: Path | bytes) -> tuple[np.ndarray, int]:
    """Mono float32 samples of a path or a file's bytes, and their rate; raises as `decode`."""
    if isinstance(source, Path):
        with opened(source) as data:
            recording = decode(data)
    else:
        recording = decode(source)
    return recording.y, recording.sr


def load_segments(
    path: Path, segments: Sequence[Segment], *, sha256: str
) -> list[tuple[np.ndarray, int]]:
    """`load_mono` of several segments of a file, which is decoded once.

    A segment is cut at the file's own rate: its samples are those of the same segment in a file of
    its own. Raises ChangedAudio unless the file's bytes still hash to `sha256`.
    """
    limits = limits_of(segments)
    with opened(path, limits=limits) as data:
        found = _sha256(data)
        if found != sha256:
            raise ChangedAudio(
                f"has SHA-256 {found[:12]}…, but the manifest recorded {sha256[:12]}…: its bytes "
                "changed",
                remedy="Restore the file, or take the change in with `dvc repro -f manifest`.",
            )
        recording = decode(data, limits=limits)
    y, sr = recording.y, recording.sr
    return [(y[segment.samples(sr=sr)], sr) for segment in segments]


def limits_of(segments: Sequence[Segment]) -> Limits:
    """What a recording may be that holds these utterances."""
    return CORPUS if all(segment.is_whole for segment in segments) else LONG


def stated_seconds(path: Path) -> float | None:
    """How long a recording is by its header, for progress alone; None where that is unknown."""
    if not path.is_file():
        return None
    try:
        # soundfile refuses a path whose name is no UTF-8; it takes the bytes.
        header = soundfile.info(os.fsencode(path))
    except (soundfile.SoundFileError, RuntimeError):
        return None
    return header.frames / header.samplerate if header.frames < sndfile_decoder.UNKNOWN else None


def audio_sha256(recording: Recording) -> str:
    """SHA-256 over the sampling rate and the mono float32 samples at it, little-endian.

    A clip has one in any lossless container.
    """
    # A float format may hold -0.0 where an integer one holds 0; the sum has one zero.
    samples = (recording.y + np.float32(0)).astype("<f4", copy=False)
    digest = hashlib.sha256(recording.sr.to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(samples).data)
    return digest.hexdigest()


@contextmanager
def opened(path: Path, *, limits: Limits = CORPUS) -> Iterator[Bytes]:
    """The bytes of a file, of a large one as they are asked for; AudioError if it is unreadable."""
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise AudioError(
                "is no regular file, but a pipe, socket or device",
                "a recording",
                "Save what it gives in a file, or leave it out.",
            )
        limits.check_bytes(status.st_size)
        with path.open("rb") as file:
            whole = FileBytes(file.fileno())
            yield whole if len(whole) > AT_ONCE else file.read()
    except AudioError as error:
        raise error.of(path) from error
    except OSError as error:
        raise AudioError(
            f"cannot be read ({error.strerror})", "an audio file there", file=str(path)
        ) from error


def _decoder_of(data: Bytes, limits: Limits) -> tuple[Container, Any]:
    limits.check_bytes(len(data))
    container = sniff(data)
    if container in BY_FFMPEG:
        from ser.io.audio import av_decoder

        return container, av_decoder
    return container, sndfile_decoder


def _sha256(data: Bytes) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(data), AT_ONCE):
        digest.update(data[start : start + AT_ONCE])
    return digest.hexdigest()
