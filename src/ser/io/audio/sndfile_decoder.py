"""WAV, AIFF, FLAC, Ogg and MP3 by libsndfile, read once from start to end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile

from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import CorruptAudio
from ser.io.audio.containers import Container, check_end
from ser.io.audio.limits import Limits
from ser.io.audio.mixing import Recording, mix_all
from ser.io.audio.mpeg import after_tags, whole_mp3
from ser.io.audio.riff import whole_riff
from ser.io.audio.source import Bytes, View
from ser.io.audio.structure import another, broken, damaged, flac_in_ogg, longer, ogg_end

#: Samples (per channel) at a time.
BLOCK, PLAIN_BLOCK = 2**13, 2**16
PLAIN = (Container.WAV, Container.AIFF)
#: From here on, libsndfile's number of samples means that it is unknown.
UNKNOWN = 2**62
#: Where FLAC's STREAMINFO has the number of samples, and how it is packed.
FLAC_TOTAL = slice(18, 26)
FLAC_TOTAL_BITS = 36
#: How a FLAC begins, with and without blocks after its STREAMINFO.
FLAC_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")


class _Forward(soundfile.SoundFile):
    """soundfile seeks after every block, which changes MP3 samples and breaks unknown lengths."""

    def seekable(self) -> bool:
        return False


def decode(data: Bytes, *, container: Container, limits: Limits) -> Recording:
    """The recording, its channels mixed; raises as `blocks`, and as `mix` does."""
    return mix_all(blocks(data, container=container, limits=limits))


def blocks(
    data: Bytes, *, container: Container, limits: Limits
) -> Iterator[tuple[np.ndarray, int]]:
    """Samples (n_samples, n_channels) as they are decoded, each block with their rate.

    Raises CorruptAudio where libsndfile cannot decode the bytes, where some are missing or where
    they hold another number of samples than they say; RefusedAudio and EmptyAudio as `limits` do.
    """
    view, promised = _prepared(data, container, limits)
    try:
        with _Forward(view) as file:
            if promised is None and file.frames < UNKNOWN:
                promised = file.frames
            limits.check_header(sr=file.samplerate, channels=file.channels, n_samples=promised)
            # libsndfile's number of an MP3's samples may be wrong by a frame.
            expected = None if container is Container.MP3 else promised
            size = min(promised or 1, PLAIN_BLOCK) if container in PLAIN else BLOCK
            read = _blocks(file, size=size, expected=expected)
            for block in limits.counted(read, sr=file.samplerate):
                yield block, file.samplerate
    except CorruptAudio:
        if container is Container.FLAC and (end := _second_flac(data)):
            raise another(f"FLAC behind the first, which ends at byte {end}") from None
        raise
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise CorruptAudio(
            f"cannot be decoded ({_reason(error)})", AUDIO_FORMATS, "Convert it, or leave it out."
        ) from error


def _prepared(data: Bytes, container: Container, limits: Limits) -> tuple[View, int | None]:
    """What libsndfile reads in full, and how many samples FLAC's header promises.

    Raises CorruptAudio where the container is not whole, or another recording follows; FLAC is
    checked while it is decoded.
    """
    match container:
        case Container.MP3:
            return whole_mp3(data, limits), None
        case Container.FLAC:
            return _endless_flac(data)
        case Container.OGG:
            check_end(data, ogg_end(data))
            flac = flac_in_ogg(data)
            return _endless_flac(flac) if flac else (View(data), None)
    return whole_riff(data), None


def _endless_flac(data: Bytes) -> tuple[View, int | None]:
    """A FLAC whose header leaves the length open, so that all is decoded, and what it stated."""
    start, end = after_tags(data), len(data)
    if data[end - 128 : end - 125] == b"TAG":
        end -= 128
    head = data[start : start + FLAC_TOTAL.stop]
    stated = int.from_bytes(head[FLAC_TOTAL], "big")
    total = stated % 2**FLAC_TOTAL_BITS
    head = head[: FLAC_TOTAL.start] + (stated - total).to_bytes(8, "big")
    return View(data, start=start + len(head), stop=end, head=head), total or None


def _second_flac(data: Bytes) -> int | None:
    """Where another FLAC begins behind the first one."""
    found = (data.find(start, after_tags(data) + 1) for start in FLAC_STARTS)
    return min((at for at in found if at > 0), default=None)


def _blocks(file: soundfile.SoundFile, *, size: int, expected: int | None) -> Iterator[np.ndarray]:
    """Blocks (n_samples, n_channels), float32; CorruptAudio unless they are `expected` in all."""
    n_samples, sr = 0, file.samplerate
    of = "" if expected is None else f" of {expected / sr:.2f} s"
    while n_samples < file.frames:
        try:
            block = file.read(out=np.empty((size, file.channels), dtype=np.float32))
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise damaged(
                f", or breaks off after {n_samples / sr:.2f} s{of} ({_reason(error)})"
            ) from error
        if len(block) == 0:
            break
        n_samples += len(block)
        yield block
    if expected is not None and n_samples < expected:
        raise broken(f"{n_samples / sr:.2f} s{of}")
    if expected is not None and n_samples > expected:
        raise longer(n_samples / sr, stated=expected / sr)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error)
    return text.splitlines()[0].removeprefix("Error : ").rstrip(". ")
