from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import soundfile

from ser.core.utterance.waveform import resample
from ser.errors import AudioError
from ser.io.audio import codecs

SR = 16_000
NARROW = (codecs.GSM, codecs.amr(12.2), codecs.amr(4.75))
WIDE = (
    *(codecs.mp3(32), codecs.mp3(64), codecs.opus(24), codecs.opus(12)),
    *(codecs.VORBIS, codecs.ADPCM, codecs.MU_LAW),
)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Like speech: pulses of a gliding pitch through three formants, in syllables, 2 s."""
    time = np.arange(2 * SR) / SR
    y = np.diff(np.floor(np.cumsum(130 + 30 * np.sin(2 * np.pi * 1.3 * time)) / SR), prepend=0)
    for hertz, width in ((500, 80), (1500, 120), (2500, 160)):
        pole = np.exp(-np.pi * width / SR)
        turn = -2 * pole * np.cos(2 * np.pi * hertz / SR)
        y = scipy.signal.lfilter([1], [1, turn, pole**2], y)
    y = y * np.sin(2 * np.pi * 1.5 * time) ** 2
    return (0.3 * y / np.abs(y).max()).astype(np.float32)


def likeness(y: np.ndarray, decoded: np.ndarray, sr: int) -> float:
    """Largest correlation of the two over lags up to 0.1 s: decoders delay."""
    there = resample(y, sr_in=SR, sr_out=sr)
    n, most = min(there.size, decoded.size), sr // 10
    spectrum = np.fft.rfft(decoded[:n], 2 * n) * np.conj(np.fft.rfft(there[:n], 2 * n))
    lags = np.fft.irfft(spectrum)[: most + 1]
    return float(lags.max() / (np.linalg.norm(there[:n]) * np.linalg.norm(decoded[:n])))


@pytest.mark.parametrize("codec", [*WIDE, *NARROW], ids=lambda codec: codec.name)
def test_a_codec_leaves_the_speech_and_loses_something(speech, codec):
    if codec.missing():
        pytest.skip(codec.missing())
    decoded, sr = codecs.transcode(codec, speech, sr=SR)
    assert decoded.dtype == np.float32
    assert decoded.size / sr == pytest.approx(speech.size / SR, abs=0.15)
    assert likeness(speech, decoded, sr) > (0.9 if codec in WIDE else 0.7)
    again, _ = codecs.transcode(codec, speech, sr=SR)
    assert np.array_equal(decoded, again)
    n = min(decoded.size, speech.size)
    assert sr != SR or not np.array_equal(decoded[:n], speech[:n])


@pytest.mark.parametrize("codec", NARROW, ids=lambda codec: codec.name)
def test_a_telephone_s_codec_has_a_telephone_s_rate(speech, codec):
    if codec.missing():
        pytest.skip(codec.missing())
    assert codecs.transcode(codec, speech, sr=SR)[1] == 8000


def test_fewer_bits_lose_more(speech):
    def loss(codec: codecs.Codec) -> float:
        decoded, sr = codecs.transcode(codec, speech, sr=SR)
        return 1 - likeness(speech, decoded, sr)

    assert loss(codecs.opus(12)) > loss(codecs.opus(64))
    if not codecs.amr(12.2).missing():
        assert loss(codecs.amr(4.75)) > loss(codecs.amr(12.2))


def test_speech_beyond_full_scale_is_not_clipped_by_the_codec(speech):
    soft, sr = codecs.transcode(codecs.MU_LAW, speech, sr=SR)
    loud, _ = codecs.transcode(codecs.MU_LAW, 100 * speech, sr=SR)
    assert likeness(speech, loud, sr) > 0.99
    assert np.abs(loud).max() == pytest.approx(100 * np.abs(soft).max(), rel=0.1)


@pytest.mark.parametrize("sr", [8_000, 11_025, 44_100, 48_000, 96_000])
def test_any_rate_is_taken(speech, sr):
    y = resample(speech, sr_in=SR, sr_out=sr)
    for codec in (codecs.mp3(64), codecs.opus(24), codecs.GSM):
        decoded, rate = codecs.transcode(codec, y, sr=sr)
        assert decoded.size / rate == pytest.approx(2, abs=0.15)


def test_a_codec_that_this_machine_lacks_says_what_is_missing(speech, monkeypatch):
    monkeypatch.setattr(soundfile, "available_subtypes", lambda container: {})
    assert "has no GSM610 in WAV" in codecs.GSM.missing()
    with pytest.raises(AudioError, match="has no GSM610"):
        codecs.transcode(codecs.GSM, speech, sr=SR)
