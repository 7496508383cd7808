"""Recordings in: a path or bytes become samples, mono and at the rate that is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.core.segments import WHOLE, Segment
from ser.core.waveform import mono, resample
from ser.errors import AudioError, ChangedAudio, CorruptAudio
from ser.io import sndfile_decoder
from ser.io.containers import Container, check_whole, sniff
from ser.io.limits import Limits

#: Recordings of a corpus; 4 GiB is as much as a WAV can name.
CORPUS = Limits(max_bytes=4 * 2**30, max_seconds=4 * 3600.0)
#: Recordings of a corpus that hold several utterances.
LONG = Limits(max_bytes=4 * 2**30, max_seconds=4 * 3600.0)
#: What a stranger sends to a server.
UPLOAD = Limits(max_bytes=25 * 2**20, max_seconds=300.0)
#: What libsndfile does not read.
BY_FFMPEG = (Container.MP4, Container.AAC, Container.WEBM)


@dataclass(frozen=True)
class Recording:
    """Decoded samples.

    y : float32 (n_samples, n_channels), finite, within ±1.
    clipped : how many samples lay beyond ±1 and were set to it.
    """

    y: np.ndarray
    sr: int
    clipped: int = 0

    @property
    def seconds(self) -> float:
        return len(self.y) / self.sr


@dataclass(frozen=True)
class Probe:
    """What a recording is, without its samples.

    sha256 : of the bytes.
    audio_sha256 : `audio_sha256` of what is decoded: one for a clip in any lossless container.
    """

    seconds: float
    sha256: str
    audio_sha256: str


def decode(data: bytes, *, name: str, limits: Limits = CORPUS) -> Recording:
    """The recording that a file's bytes hold; the format is taken from them, `name` for errors.

    Raises EmptyAudio without bytes or samples, RefusedAudio beyond `limits`, MissingDecoder for
    M4A, AAC and WebM where PyAV is not installed, CorruptAudio for anything else than a whole
    recording of finite samples in a known format.
    """
    limits.check_bytes(len(data), name)
    container = sniff(data, name)
    check_whole(data, container, name)
    if container in BY_FFMPEG:
        from ser.io import av_decoder

        y, sr = av_decoder.decode(data, container=container, name=name, limits=limits)
    else:
        y, sr = sndfile_decoder.decode(data, container=container, name=name, limits=limits)
    low, high = y.min(), y.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CorruptAudio(f"{name} holds samples that are not finite. Export it again.")
    if low >= -1 and high <= 1:
        return Recording(y, sr)
    clipped = int(np.count_nonzero(np.abs(y) > 1))
    return Recording(np.clip(y, -1, 1), sr, clipped)


def read_recording(path: Path, *, limits: Limits = CORPUS) -> tuple[Recording, str]:
    """A file decoded, and the SHA-256 of its bytes; raises as `decode`, AudioError if unread."""
    data = read_bytes(path, limits=limits)
    return decode(data, name=str(path), limits=limits), hashlib.sha256(data).hexdigest()


def load_audio(
    source: Path | bytes, *, sr: int, name: str | None = None, limits: Limits = CORPUS
) -> np.ndarray:
    """Mono float32 samples of a recording, resampled to `sr` Hz; raises as `read_recording`.

    source, name : as `load_mono` has them.
    """
    y, sr_in = load_mono(source, name=name, limits=limits)
    return resample(y, sr_in=sr_in, sr_out=sr)


def load_mono(
    source: Path | bytes, *, name: str | None = None, limits: Limits = CORPUS
) -> tuple[np.ndarray, int]:
    """Mono float32 samples of a recording and their rate; raises as `read_recording`.

    source : a path, or a file's bytes; `name` is how errors call the bytes.
    """
    if isinstance(source, Path):
        name, source = name or str(source), read_bytes(source, limits=limits)
    recording = decode(source, name=name or "audio", limits=limits)
    return mono(recording.y), recording.sr


def load_verified(path: Path, *, sr: int, sha256: str, segment: Segment = WHOLE) -> np.ndarray:
    """`load_audio` of a file whose bytes must still hash to `sha256`; else ChangedAudio."""
    (y,) = load_segments(path, [segment], sr=sr, sha256=sha256)
    return y


def load_segments(
    path: Path, segments: Sequence[Segment], *, sr: int, sha256: str
) -> list[np.ndarray]:
    """`load_verified` of several segments of a file, which is decoded once.

    A segment is cut at the file's own rate and then resampled: its samples are those of the same
    segment in a file of its own.
    """
    y, sr_in = load_mono(_verified(path, sha256), name=str(path), limits=limits_of(segments))
    return [resample(y[segment.samples(sr=sr_in)], sr_in=sr_in, sr_out=sr) for segment in segments]


def limits_of(segments: Sequence[Segment]) -> Limits:
    """What a recording may be that holds these utterances."""
    return CORPUS if all(segment.is_whole for segment in segments) else LONG


def _verified(path: Path, sha256: str) -> bytes:
    data = read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ChangedAudio(
            f"{path} has SHA-256 {found[:12]}…, but the manifest recorded {sha256[:12]}…: its "
            "bytes changed. Restore the file, or take the change in with `dvc repro -f manifest`."
        )
    return data


def probe(path: Path, *, limits: Limits = CORPUS) -> Probe:
    """Duration and hashes of a file that decodes; raises as `read_recording`, which see for y."""
    recording, sha256 = read_recording(path, limits=limits)
    return Probe(recording.seconds, sha256, audio_sha256(recording))


def audio_sha256(recording: Recording) -> str:
    """SHA-256 over the sampling rate and the mono float32 samples at it, little-endian."""
    # A float format may hold -0.0 where an integer one holds 0; the sum has one zero.
    samples = (mono(recording.y) + np.float32(0)).astype("<f4", copy=False)
    digest = hashlib.sha256(recording.sr.to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(samples).data)
    return digest.hexdigest()


def read_bytes(path: Path, *, limits: Limits = CORPUS) -> bytes:
    try:
        limits.check_bytes(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}); expected an audio file there."
        ) from error
