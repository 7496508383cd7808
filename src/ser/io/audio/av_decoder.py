"""M4A, AAC and WebM by FFmpeg through PyAV, which the extra `formats` installs.

FFmpeg reads playlists, scripts and references to other files. Nothing of that is reachable
here: bytes only, the container forced, protocols and further files refused, audio codecs only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import CorruptAudio, EmptyAudio, MissingDecoder
from ser.io.audio.containers import Container, check_end
from ser.io.audio.limits import Limits
from ser.io.audio.mixing import Recording, mix_all
from ser.io.audio.mpeg import adts_end
from ser.io.audio.source import Bytes, View
from ser.io.audio.structure import check_mp4, check_webm, damaged

DEMUXERS = {Container.MP4: "mov", Container.WEBM: "matroska", Container.AAC: "aac"}
CODECS = "aac,alac,opus,libopus,vorbis,libvorbis,flac,mp3,mp3float,ac3,eac3"
PCM = "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be"
OPTIONS = {
    "protocol_whitelist": "none",
    "codec_whitelist": f"{CODECS},{PCM}",
    "enable_drefs": "0",
}
#: FFmpeg's clock, in ticks a second.
TICKS = 1_000_000


def decode(data: Bytes, *, container: Container, limits: Limits) -> Recording:
    """The first audio stream, its channels mixed; raises as `blocks`, and as `mix` does."""
    return mix_all(blocks(data, container=container, limits=limits))


def blocks(
    data: Bytes, *, container: Container, limits: Limits
) -> Iterator[tuple[np.ndarray, int]]:
    """Samples (n_samples, n_channels) as they are decoded, each block with their rate.

    Encoder delay and edit lists are cut as FFmpeg does. Raises MissingDecoder without PyAV,
    CorruptAudio where bytes are missing, FFmpeg cannot decode them or another recording follows,
    RefusedAudio and EmptyAudio as `limits` do.
    """
    _check_whole(data, container, limits)
    try:
        import av
    except ImportError as error:
        raise MissingDecoder(
            f"is {container}, which PyAV decodes, and PyAV is not installed",
            remedy="Run `pip install 'ser-platform[formats]'`, or convert it to FLAC.",
        ) from error
    try:
        with av.open(
            View(data),
            format=DEMUXERS[container],
            options=OPTIONS,
            metadata_errors="ignore",
            io_open=_refuse,
        ) as file:
            if not file.streams.audio:
                raise EmptyAudio("holds no audio", "speech", "Leave it out.")
            stream = file.streams.audio[0]
            if stream.codec_context is None:
                raise CorruptAudio(
                    "holds audio of a codec that is not read",
                    "AAC, ALAC or Opus",
                    "Convert it, or leave it out.",
                )
            if stream.rate and container is not Container.AAC:
                seconds = _seconds(file, stream)
                n_samples = None if seconds is None else round(seconds * stream.rate)
                limits.check_header(sr=stream.rate, channels=stream.channels, n_samples=n_samples)
            frames = _frames(file, stream)
            first = next(frames, None)
            if first is None:
                raise EmptyAudio("holds no samples", "speech", "Leave it out.")
            # The rate of HE-AAC is twice the header's.
            rate, channels = first.sample_rate, first.layout.nb_channels
            limits.check_header(sr=rate, channels=channels, n_samples=None)
            read = _blocks(chain([first], frames), sr=rate, channels=channels)
            for block in limits.counted(read, sr=rate):
                yield block, rate
    except (av.FFmpegError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CorruptAudio(
            f"cannot be decoded ({reason})", AUDIO_FORMATS, "Convert it, or leave it out."
        ) from error


def _check_whole(data: Bytes, container: Container, limits: Limits) -> None:
    """FFmpeg passes over what is missing.

    A WebM of unknown size, as browsers record it, ends where its bytes end.
    """
    match container:
        case Container.MP4:
            check_mp4(data)
        case Container.WEBM:
            check_webm(data)
        case Container.AAC:
            check_end(data, adts_end(data, limits))


def _seconds(file: Any, stream: Any) -> float | None:
    """How long the recording is by its header; None where it does not say."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if file.duration is None else file.duration / TICKS


def _frames(file: Any, stream: Any) -> Iterator[Any]:
    for packet in file.demux(stream):
        if packet.is_corrupt:
            raise damaged(" within a packet")
        yield from packet.decode()


def _blocks(frames: Iterable[Any], *, sr: int, channels: int) -> Iterator[np.ndarray]:
    """Each frame as (n_samples, n_channels), float32, full scale at ±1 as libsndfile has it."""
    for frame in frames:
        if (frame.sample_rate, frame.layout.nb_channels) != (sr, channels):
            raise CorruptAudio(
                f"changes from {sr} Hz and {channels} channels to {frame.sample_rate} Hz and "
                f"{frame.layout.nb_channels} within",
                remedy="Cut it there.",
            )
        y = frame.to_ndarray()
        y = y.T if frame.format.is_planar else y.reshape(-1, channels)
        if y.dtype == np.uint8:
            yield (y.astype(np.float32) - 128) / 128
        elif y.dtype.kind == "i":
            yield y.astype(np.float32) / np.float32(2 ** (8 * y.dtype.itemsize - 1))
        else:
            yield y.astype(np.float32)


def _refuse(url: str, flags: int, options: dict[str, str]) -> None:
    raise ValueError("it refers to another file")
