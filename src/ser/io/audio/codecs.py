"""Speech through real encoders and decoders, in memory: what a lossy file or a call makes of it.

libsndfile has MP3 (LAME), Opus, Vorbis, GSM 6.10, mu-law and IMA ADPCM; AMR is FFmpeg's, by the
extra `formats`, where that was built with OpenCORE's encoder.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import soundfile

from ser.core.utterance.formats import MP3_RATES
from ser.core.utterance.waveform import resample
from ser.errors import AudioError

#: Rates that libsndfile's encoders take.
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
#: Of telephony; its codecs take no other. AMR's frames last 20 ms.
TELEPHONE_SR, AMR_FRAME = 8_000, 160
AMR_ENCODER, AMR_DECODER = "libopencore_amrnb", "amrnb"
#: libsndfile's Opus encoder has this many bits a second at compression level 0 and at 1.
OPUS_BITS = (256_000, 6_000)
#: As much as a codec may be driven: none clips speech of its own.
PEAK = 0.9


@dataclass(frozen=True)
class Codec:
    """through : y (n_samples,) within ±1 and its rate, to those decoded again.

    missing : why this machine lacks it; "" where it is here.
    """

    name: str
    through: Callable[[np.ndarray, int], tuple[np.ndarray, int]]
    missing: Callable[[], str]


def transcode(codec: Codec, y: np.ndarray, *, sr: int) -> tuple[np.ndarray, int]:
    """Mono y (n_samples,) at `sr` Hz encoded and decoded: float32, and its rate.

    Louder than full scale it is turned down first, and up again after: a codec would clip it.
    Raises AudioError where this machine lacks the codec.
    """
    if why := codec.missing():
        raise AudioError(f"is to be coded as {codec.name}, but {why}", "an encoder")
    peak = float(np.abs(y).max(initial=0.0))
    gain = np.float32(1.0 if peak <= PEAK else PEAK / peak)
    decoded, rate = codec.through(np.asarray(y * gain, dtype=np.float32), sr)
    return np.asarray(decoded / gain, dtype=np.float32), rate


def _sndfile(
    y: np.ndarray,
    sr: int,
    *,
    container: str,
    subtype: str,
    rates: tuple[int, ...] | None = None,
    **how: Any,
) -> tuple[np.ndarray, int]:
    """Through libsndfile, at the least of `rates` that keeps all of y's band."""
    rate = sr if rates is None else next((r for r in rates if r >= sr), rates[-1])
    file = io.BytesIO()
    soundfile.write(
        file,
        resample(y, sr_in=sr, sr_out=rate),
        rate,
        format=container,
        subtype=subtype,
        **how,
    )
    file.seek(0)
    decoded, rate = soundfile.read(file, dtype="float32")
    return np.asarray(decoded, dtype=np.float32), rate


def _lacks(container: str, subtype: str) -> str:
    if subtype in soundfile.available_subtypes(container):
        return ""
    return f"this libsndfile ({soundfile.__libsndfile_version__}) has no {subtype} in {container}"


def _amr(y: np.ndarray, sr: int, *, bits: int) -> tuple[np.ndarray, int]:
    import av

    line = resample(y, sr_in=sr, sr_out=TELEPHONE_SR)
    samples = np.clip(np.round(line * 32767), -32768, 32767).astype(np.int16)
    samples = np.pad(samples, (0, -samples.size % AMR_FRAME))
    encoder: Any = av.CodecContext.create(AMR_ENCODER, "w")
    encoder.sample_rate, encoder.layout, encoder.format = TELEPHONE_SR, "mono", "s16"
    encoder.bit_rate = bits
    decoder: Any = av.CodecContext.create(AMR_DECODER, "r")
    decoder.sample_rate, decoder.layout = TELEPHONE_SR, "mono"

    def packets() -> Iterator[Any]:
        for start in range(0, samples.size, AMR_FRAME):
            part = samples[None, start : start + AMR_FRAME]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = TELEPHONE_SR, start
            yield from encoder.encode(frame)
        yield from encoder.encode(None)

    decoded = [frame.to_ndarray()[0] for packet in packets() for frame in decoder.decode(packet)]
    joined = np.concatenate(decoded)
    if joined.dtype == np.int16:
        joined = joined / np.float32(32768)
    return np.asarray(joined[: line.size], dtype=np.float32), TELEPHONE_SR


@lru_cache(maxsize=1)
def _lacks_amr() -> str:
    try:
        import av
        from av.codec import Codec as Known
    except ImportError:
        return "the extra formats is not installed"
    try:
        Known(AMR_ENCODER, "w")
        Known(AMR_DECODER, "r")
    except (ValueError, av.FFmpegError):
        return f"this FFmpeg was built without {AMR_ENCODER}"
    return ""


def _of_sndfile(name: str, container: str, subtype: str, **how: Any) -> Codec:
    return Codec(
        name,
        partial(_sndfile, container=container, subtype=subtype, **how),
        partial(_lacks, container, subtype),
    )


def mp3(kbits: int) -> Codec:
    """LAME at a constant rate; above 48 kHz of sampling it is brought down to that."""
    # libsndfile maps compression levels to rates linearly: 320 kbit/s to 32, of 24 kHz and
    # below 160 to 8.
    return Codec(f"MP3 {kbits} kbit/s", partial(_mp3, kbits=kbits), partial(_lacks, "MP3", MP3))


MP3 = "MPEG_LAYER_III"


def _mp3(y: np.ndarray, sr: int, *, kbits: int) -> tuple[np.ndarray, int]:
    rate = next((r for r in MP3_RATES if r >= sr), MP3_RATES[-1])
    high, low = (320, 32) if rate >= 32_000 else (160, 8)
    level = float(np.clip((high - kbits) / (high - low), 0.0, 0.99))
    return _sndfile(
        *(y, sr),
        container="MP3",
        subtype=MP3,
        rates=MP3_RATES,
        compression_level=level,
        bitrate_mode="CONSTANT",
    )


def opus(kbits: int) -> Codec:
    """libopus at about so many kbit/s."""
    high, low = OPUS_BITS
    level = float(np.clip((high - 1000 * kbits) / (high - low), 0.0, 0.99))
    return _of_sndfile(
        f"Opus {kbits} kbit/s", "OGG", "OPUS", rates=OPUS_RATES, compression_level=level
    )


def amr(kbits: float) -> Codec:
    """AMR narrow band, at one of its eight rates: 4.75 to 12.2 kbit/s."""
    return Codec(f"AMR {kbits:g} kbit/s", partial(_amr, bits=round(1000 * kbits)), _lacks_amr)


VORBIS = _of_sndfile("Vorbis", "OGG", "VORBIS", compression_level=0.8)
GSM = _of_sndfile("GSM 6.10", "WAV", "GSM610", rates=(TELEPHONE_SR,))
ADPCM = _of_sndfile("IMA ADPCM", "WAV", "IMA_ADPCM")
MU_LAW = _of_sndfile("mu-law", "WAV", "ULAW")
