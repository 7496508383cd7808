"""WAV, AIFF, FLAC, Ogg and MP3 by libsndfile, read once from start to end."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import soundfile

from ser.corpora.base import AUDIO_FORMATS
from ser.errors import CorruptAudio
from ser.io.containers import Container, wav_data
from ser.io.limits import Limits
from ser.io.mpeg import census, tag_end, with_length

#: Samples (per channel) at a time. Uncompressed ones come in one piece, as long as it is sane.
BLOCK, LARGE_BLOCK = 2**13, 2**22
PLAIN = (Container.WAV, Container.AIFF)
#: From here on, libsndfile's number of samples means that it does not know.
UNKNOWN = 2**62
#: Where FLAC's STREAMINFO has the number of samples, and how it is packed.
FLAC_TOTAL = slice(18, 26)
FLAC_TOTAL_BITS = 36


class _Forward(soundfile.SoundFile):
    """soundfile seeks after every block, which changes MP3 samples and breaks unknown lengths."""

    def seekable(self) -> bool:
        return False


class _Bytes(io.BytesIO):
    """Damaged headers make libsndfile seek before the start; it must fail, but not loudly."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def decode(
    data: bytes, *, container: Container, name: str, limits: Limits
) -> tuple[np.ndarray, int]:
    """Samples (n_samples, n_channels), float32, and their rate in Hz.

    Raises CorruptAudio where libsndfile cannot decode the bytes, or where they hold another
    number of samples than they say; RefusedAudio and EmptyAudio as `limits` do.
    """
    data, promised = _prepared(data, container)
    try:
        with _Forward(_Bytes(data)) as file:
            if promised is None and file.frames < UNKNOWN:
                promised = file.frames
            limits.check_header(
                sr=file.samplerate, channels=file.channels, n_samples=promised, name=name
            )
            # What libsndfile says of an MP3 is right but for a frame at the end.
            expected = None if container is Container.MP3 else promised
            size = min(promised or 1, LARGE_BLOCK) if container in PLAIN else BLOCK
            blocks = _blocks(file, size=size, expected=expected, name=name)
            return limits.gather(blocks, sr=file.samplerate, name=name), file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise CorruptAudio(
            f"{name} cannot be decoded ({_reason(error)}); expected {AUDIO_FORMATS}. "
            "Convert it, or leave it out."
        ) from error


def _prepared(data: bytes, container: Container) -> tuple[bytes, int | None]:
    """What libsndfile reads in full, and how many samples FLAC's header promises (0: unknown)."""
    if container is Container.MP3:
        return with_length(data, census(data)), None
    if container is Container.WAV:
        chunk = wav_data(data)
        if chunk and data[chunk[0] - 4 : chunk[0]] == bytes(4) and chunk[1]:
            # libsndfile takes the length 0 of a WAV from a pipe at its word.
            return data[: chunk[0] - 4] + b"\xff" * 4 + data[chunk[0] :], None
    if container is Container.FLAC:
        return _endless_flac(data)
    return data, None


def _endless_flac(data: bytes) -> tuple[bytes, int | None]:
    """A FLAC that leaves its length open, so that all of it is decoded, and what it said."""
    data = data[tag_end(data) :]
    if data[-128:-125] == b"TAG":
        data = data[:-128]
    stated = int.from_bytes(data[FLAC_TOTAL], "big")
    total = stated % 2**FLAC_TOTAL_BITS
    stated -= total
    opened = data[: FLAC_TOTAL.start] + stated.to_bytes(8, "big") + data[FLAC_TOTAL.stop :]
    return opened, total or None


def _blocks(
    file: soundfile.SoundFile, *, size: int, expected: int | None, name: str
) -> Iterator[np.ndarray]:
    """Blocks (n_samples, n_channels), float32; CorruptAudio unless they are `expected` in all."""
    n_samples, sr = 0, file.samplerate
    of = "" if expected is None else f" of {expected / sr:.2f} s"
    while n_samples < file.frames:
        try:
            block = file.read(out=np.empty((size, file.channels), dtype=np.float32))
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise CorruptAudio(
                f"{name} is damaged, or breaks off after {n_samples / sr:.2f} s{of} "
                f"({_reason(error)}). Fetch it again, or leave it out."
            ) from error
        if len(block) == 0:
            break
        n_samples += len(block)
        yield block
    if expected is not None and n_samples < expected:
        raise CorruptAudio(
            f"{name} breaks off after {n_samples / sr:.2f} s{of}. Fetch it again, or leave it out."
        )
    if expected is not None and n_samples > expected:
        raise CorruptAudio(
            f"{name} goes on for {n_samples / sr:.2f} s, but says that it lasts "
            f"{expected / sr:.2f} s. Export it again, or leave it out."
        )


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error)
    return text.splitlines()[0].removeprefix("Error : ").rstrip(". ")
