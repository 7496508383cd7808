import hashlib

import numpy as np
import pytest
import soundfile

from ser.errors import AudioError, ChangedAudio, CorruptAudio, EmptyAudio
from ser.io.audio import load_audio, load_verified, probe

SR = 16_000


@pytest.fixture
def speech() -> np.ndarray:
    """One second, two tones that fade in."""
    t = np.arange(SR) / SR
    return (0.3 * t * (np.sin(2 * np.pi * 220 * t) + np.sin(2 * np.pi * 1400 * t))).astype("f4")


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of `b` and `a` at the lag that fits best: lossy coders shift by some milliseconds."""
    lags = np.correlate(b, a, mode="full")
    return float(lags.max() / np.sqrt(np.dot(a, a) * np.dot(b, b)))


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16")],
)
def test_lossless_formats_give_the_same_samples(tmp_path, speech, name, subtype):
    soundfile.write(tmp_path / name, speech, SR, subtype=subtype)
    np.testing.assert_allclose(load_audio(tmp_path / name, sr=SR), speech, atol=1 / 2**15)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_lossy_formats_stay_close(tmp_path, speech, name):
    soundfile.write(tmp_path / name, speech, SR)
    assert correlation(speech, load_audio(tmp_path / name, sr=SR)) > 0.95


def test_bytes_and_path_give_the_same_samples(tmp_path, speech):
    path = tmp_path / "a.flac"
    soundfile.write(path, speech, SR)
    np.testing.assert_array_equal(load_audio(path.read_bytes(), sr=SR), load_audio(path, sr=SR))


def test_stereo_is_mixed_down_and_48_khz_resampled(tmp_path, speech):
    t = np.arange(48_000) / 48_000
    tone = 0.2 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, 0.5 * tone], axis=1), 48_000)
    y = load_audio(tmp_path / "a.wav", sr=SR)
    assert y.shape == (SR,)
    assert y.dtype == np.float32
    expected = 0.15 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    np.testing.assert_allclose(y[800:-800], expected[800:-800], atol=2e-3)


def test_empty_and_corrupt_files_are_named(tmp_path, speech):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is no audio" * 50)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), SR)
    for name, error in [
        ("empty.wav", EmptyAudio),
        ("text.wav", CorruptAudio),
        ("none.wav", EmptyAudio),
        ("missing.wav", AudioError),
    ]:
        for read in (lambda path: load_audio(path, sr=SR), probe):
            with pytest.raises(error, match=name):
                read(tmp_path / name)


def test_samples_that_are_not_finite_are_refused(tmp_path, speech):
    speech[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", speech, SR, subtype="FLOAT")
    with pytest.raises(CorruptAudio, match="not finite"):
        load_audio(tmp_path / "nan.wav", sr=SR)


def test_absurd_headers_are_refused(tmp_path, speech):
    soundfile.write(tmp_path / "slow.wav", speech, 1)
    soundfile.write(tmp_path / "wide.wav", np.zeros((100, 9)), SR)
    with pytest.raises(AudioError, match="1 samples a second"):
        load_audio(tmp_path / "slow.wav", sr=SR)
    with pytest.raises(AudioError, match="9 channels"):
        load_audio(tmp_path / "wide.wav", sr=SR)


def test_one_flipped_bit_is_noticed(tmp_path, speech):
    path = tmp_path / "a.wav"
    soundfile.write(path, speech, SR)
    recorded = hashlib.sha256(path.read_bytes()).hexdigest()
    load_verified(path, sr=SR, sha256=recorded)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChangedAudio, match=r"a\.wav has SHA-256"):
        load_verified(path, sr=SR, sha256=recorded)


def test_probe_reads_duration_and_hash(tmp_path, speech):
    soundfile.write(tmp_path / "a.wav", speech, SR)
    found = probe(tmp_path / "a.wav")
    assert found.seconds == 1.0
    assert found.sha256 == hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()
