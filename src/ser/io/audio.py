"""Recordings in: a path or bytes become mono samples at the rate that is asked for."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import soundfile

from ser.core.waveform import mono, resample
from ser.errors import AudioError, ChangedAudio, CorruptAudio, EmptyAudio

MIN_SR, MAX_SR = 8_000, 192_000
MAX_CHANNELS = 8
#: Seconds; a longer file is refused from its header, before a sample is decoded.
MAX_SECONDS = 4 * 3600.0


def load_audio(source: Path | bytes, *, sr: int, name: str | None = None) -> np.ndarray:
    """Mono float32 samples of a WAV, FLAC, OGG or MP3 recording, resampled to `sr` Hz.

    source : a path, or a file's bytes; `name` is how errors call the bytes.
    Raises EmptyAudio without samples, CorruptAudio where the bytes cannot be decoded or hold
    non-finite samples, AudioError beyond the limits of this module.
    """
    data = read_bytes(source) if isinstance(source, Path) else source
    name = name or (str(source) if isinstance(source, Path) else "audio")
    if not data:
        raise EmptyAudio(f"{name} is empty (0 bytes); expected a WAV, FLAC, OGG or MP3 recording.")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, name)
            y, sr_in = file.read(dtype="float32", always_2d=True), file.samplerate
            promised = file.frames
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise CorruptAudio(
            f"{name} cannot be decoded ({_reason(error)}); expected a WAV, FLAC, OGG or MP3 "
            "recording. Convert it, or leave it out."
        ) from error
    if len(y) == 0:
        raise EmptyAudio(f"{name} holds no samples; expected speech. Leave it out.")
    if len(y) < promised:
        raise CorruptAudio(
            f"{name} breaks off after {len(y) / sr_in:.2f} s of {promised / sr_in:.2f} s. "
            "Fetch it again, or leave it out."
        )
    if not np.isfinite(y).all():
        raise CorruptAudio(f"{name} holds samples that are not finite. Export it again.")
    return resample(mono(y), sr_in=sr_in, sr_out=sr)


def load_verified(path: Path, *, sr: int, sha256: str) -> np.ndarray:
    """`load_audio` of a file whose bytes must still hash to `sha256`; else ChangedAudio."""
    data = read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ChangedAudio(
            f"{path} has SHA-256 {found[:12]}…, but the manifest recorded {sha256[:12]}…: its "
            "bytes changed. Restore the file, or take the change in with `dvc repro -f manifest`."
        )
    return load_audio(data, sr=sr, name=str(path))


def probe(path: Path) -> tuple[float, str]:
    """Duration in seconds, from the header, and SHA-256 of the bytes; raises as load_audio."""
    data = read_bytes(path)
    if not data:
        raise EmptyAudio(f"{path} is empty (0 bytes); expected a recording. Remove or restore it.")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, str(path))
            seconds = file.frames / file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise CorruptAudio(
            f"{path} cannot be decoded ({_reason(error)}); expected a WAV, FLAC, OGG or MP3 "
            "recording. Remove or restore it."
        ) from error
    return seconds, hashlib.sha256(data).hexdigest()


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}); expected an audio file there."
        ) from error


def _check_header(file: soundfile.SoundFile, name: str) -> None:
    if not MIN_SR <= file.samplerate <= MAX_SR:
        raise AudioError(
            f"{name} says {file.samplerate} samples a second; {MIN_SR} to {MAX_SR} are read. "
            "Resample it."
        )
    if file.channels > MAX_CHANNELS:
        raise AudioError(
            f"{name} has {file.channels} channels; up to {MAX_CHANNELS} are read. Mix it down."
        )
    if file.frames == 0:
        raise EmptyAudio(f"{name} holds no samples; expected speech. Leave it out.")
    if file.frames / file.samplerate > MAX_SECONDS:
        raise AudioError(
            f"{name} lasts {file.frames / file.samplerate / 3600:.1f} h by its header; up to "
            f"{MAX_SECONDS / 3600:.0f} h are read. Cut it."
        )


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error)
    return text.splitlines()[0].rstrip(". ")
