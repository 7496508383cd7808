"""Two routes to one number: each descriptor against the librosa call of its name."""

import librosa
import numpy as np
import pytest

from ser.core.features.extract import (
    audible,
    check_waveform,
    extract,
    functional_names,
    lld,
    lld_names,
    lld_of,
    noise_floor,
    read_spectrum,
)
from ser.core.features.spectrum import centred_frames, mel_and_chroma_bank
from ser.core.utterance.waveform import resample
from ser.errors import AudioError, EmptyAudio
from ser.params import FeatureParams
from support.recordings import load_audio
from support.signals import SR, noise, tone, voice

PARAMS = FeatureParams(contrast_top_db=None)
FRAMES = {"n_fft": PARAMS.n_fft, "hop_length": PARAMS.hop_length}

SIGNALS = {
    "noise": noise(seconds=1.0),
    "quiet noise": noise(seconds=0.3, level=1e-4),
    "tone": tone(220),
    "clicks": np.where(np.arange(9000) % 1500 == 0, 0.9, 0.0).astype(np.float32),
    "voice": voice(),
    "voice, then silence": np.concatenate([voice(), np.zeros(8000, np.float32)]),
    "one window": noise(seconds=PARAMS.n_fft / SR),
}


@pytest.fixture(params=SIGNALS, scope="module")
def y(request) -> np.ndarray:
    return SIGNALS[request.param]


@pytest.fixture(scope="module")
def ours(y):
    return lld(y, params=PARAMS)


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal within 1e-4 of librosa's largest value."""
    theirs = np.atleast_2d(theirs).T
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= max(1e-4 * np.abs(theirs).max(), 1e-6)


def test_log_mel_equals_librosa(y, ours):
    mel = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=PARAMS.n_mels, **FRAMES)
    assert_equal(ours["log_mel"], librosa.power_to_db(mel))


@pytest.mark.parametrize("sr", [4_000, 16_000, 44_100])
@pytest.mark.parametrize(("n_fft", "n_mels"), [(512, 20), (1024, 64), (2048, 128)])
@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")
def test_the_filter_bank_is_librosa_s_bit_for_bit(sr, n_fft, n_mels):
    ours = mel_and_chroma_bank(sr, n_fft, n_mels, 12)[:, :n_mels]
    theirs = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)
    assert np.array_equal(ours, theirs.T)


def test_mfcc_equals_librosa(y, ours):
    theirs = librosa.feature.mfcc(y=y, sr=SR, n_mfcc=PARAMS.n_mfcc, n_mels=PARAMS.n_mels, **FRAMES)
    assert_equal(ours["mfcc"], theirs)


@pytest.mark.parametrize("order", [1, 2])
def test_delta_equals_librosa(y, ours, order):
    mfcc = librosa.feature.mfcc(y=y, sr=SR, n_mfcc=PARAMS.n_mfcc, n_mels=PARAMS.n_mels, **FRAMES)
    mode = "interp" if mfcc.shape[1] >= 9 else "nearest"
    theirs = librosa.feature.delta(mfcc, order=order, mode=mode)
    found = ours["mfcc_delta" if order == 1 else "mfcc_delta2"]
    # A difference of MFCCs is small beside them: 1e-4 of what was subtracted.
    assert np.abs(found - theirs.T).max() <= 1e-4 * max(np.abs(theirs).max(), 1.0)


def test_chroma_equals_librosa(y, ours):
    theirs = librosa.feature.chroma_stft(y=y, sr=SR, tuning=0.0, **FRAMES)
    assert_equal(ours["chroma"], theirs)


def test_spectral_contrast_equals_librosa(y, ours):
    assert_equal(ours["contrast"], librosa.feature.spectral_contrast(y=y, sr=SR, **FRAMES))


def test_spectral_contrast_is_librosa_s_above_its_floor():
    params = FeatureParams(contrast_top_db=80.0)
    y = SIGNALS["noise"]
    np.testing.assert_array_equal(
        lld(y, params=params)["contrast"], lld(y, params=PARAMS)["contrast"]
    )
    # In librosa's unit, half as many dB.
    assert lld(SIGNALS["tone"], params=params)["contrast"].max() == pytest.approx(40.0)
    assert lld(SIGNALS["tone"], params=PARAMS)["contrast"].max() > 50.0


@pytest.mark.parametrize("sr", [SR, 48_000])
def test_an_offset_changes_no_functional(sr):
    """What the filter leaves of an offset is float32's rounding, which no feature may measure."""
    params = FeatureParams()
    speech = np.round(resample(voice(), sr_in=SR, sr_out=sr) * 2**15) / 2**15
    plain, moved = (
        extract(audible((speech + offset).astype(np.float32), sr=sr, params=params), params=params)
        for offset in (0.0, 0.02)
    )
    assert plain.functionals.to_numpy() == pytest.approx(moved.functionals, rel=1e-3, abs=1e-3)


def test_rms_and_zero_crossings_equal_librosa(y, ours):
    frames = {"frame_length": PARAMS.n_fft, "hop_length": PARAMS.hop_length}
    assert_equal(ours["rms"], librosa.feature.rms(y=y, **frames))
    assert_equal(ours["zcr"], librosa.feature.zero_crossing_rate(y, **frames))


def test_real_speech_equals_librosa(real_corpora):
    for path in sorted((real_corpora / "ravdess").rglob("03-01-*.*"))[::144]:
        y = load_audio(path, sr=SR)
        ours = lld(y, params=PARAMS)
        mel = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=PARAMS.n_mels, **FRAMES)
        mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=PARAMS.n_mfcc)
        assert_equal(ours["log_mel"], librosa.power_to_db(mel))
        assert_equal(ours["mfcc"], mfcc)
        assert_equal(ours["mfcc_delta"], librosa.feature.delta(mfcc))
        assert_equal(ours["mfcc_delta2"], librosa.feature.delta(mfcc, order=2))
        assert_equal(ours["chroma"], librosa.feature.chroma_stft(y=y, sr=SR, tuning=0.0, **FRAMES))
        assert_equal(ours["contrast"], librosa.feature.spectral_contrast(y=y, sr=SR, **FRAMES))
        frames = {"frame_length": PARAMS.n_fft, "hop_length": PARAMS.hop_length}
        assert_equal(ours["rms"], librosa.feature.rms(y=y, **frames))
        assert_equal(ours["zcr"], librosa.feature.zero_crossing_rate(y, **frames))
        voiced = (ours["harmonicity"][:, 0] > 0.8) & (ours["f0"][:, 0] > 0)
        yin = librosa.yin(
            y, fmin=PARAMS.f0_min, fmax=PARAMS.f0_max, sr=SR, hop_length=160, frame_length=1024
        )
        off = np.abs(ours["f0"][voiced, 0] / yin[voiced] - 1) > 0.2
        assert off.mean() < 0.15


@pytest.mark.parametrize("f0", [70.0, 110.5, 237.0, 480.0])
def test_f0_of_a_tone_is_its_frequency(f0):
    found = lld(tone(f0), params=PARAMS)["f0"][5:-5, 0]
    assert np.abs(found / f0 - 1).max() < 0.01


def test_f0_of_a_voice_agrees_with_yin():
    y = voice(seconds=1.5)
    descriptors = lld(y, params=PARAMS)
    f0 = descriptors["f0"][:, 0]
    yin = librosa.yin(
        y, fmin=PARAMS.f0_min, fmax=PARAMS.f0_max, sr=SR, hop_length=160, frame_length=1024
    )
    voiced = (f0 > 0) & (descriptors["harmonicity"][:, 0] > 0.6)
    assert voiced.mean() > 0.7
    assert (np.abs(f0[voiced] / yin[voiced] - 1) < 0.05).mean() > 0.97


def test_f0_follows_a_glide():
    f0 = lld(voice(seconds=1.0, f0=200, glide=80), params=PARAMS)["f0"][:, 0]
    truth = 200 + 80 * np.linspace(-1, 1, len(f0))
    voiced = f0 > 0
    assert np.median(np.abs(f0[voiced] / truth[voiced] - 1)) < 0.01


@pytest.mark.parametrize("y", [noise(), np.zeros(8000, np.float32)], ids=["noise", "silence"])
def test_noise_and_silence_are_unvoiced(y):
    assert (lld(y, params=PARAMS)["f0"] > 0).mean() < 0.05


def test_a_frame_knows_nothing_of_far_samples():
    y = np.concatenate([voice(), voice(f0=220)])
    changed = y.copy()
    changed[-3000:] *= 0.5
    local = ("log_mel", "mfcc", "chroma", "rms", "zcr")
    a, b = lld(y, params=PARAMS), lld(changed, params=PARAMS)
    for group in local:
        assert np.array_equal(a[group][:50], b[group][:50])


def test_names_fit_the_columns():
    descriptors = lld(noise(), params=PARAMS)
    assert descriptors.names == lld_names(PARAMS)
    assert descriptors.values.shape[1] == len(set(descriptors.names))
    assert descriptors["mfcc_delta"].shape[1] == PARAMS.n_mfcc
    assert descriptors["f0"].shape[1] == 1


def test_extract_names_its_functionals():
    features = extract(voice(), params=PARAMS)
    assert tuple(features.functionals.index) == functional_names(PARAMS)
    assert features.functionals.dtype == np.float32
    assert {"mfcc_03_mean", "f0_p95", "log_mel_63_std"} <= set(features.functionals.index)


def test_extract_rounds_log_mel_to_half_precision():
    log_mel = extract(voice(), params=PARAMS).log_mel
    assert log_mel.dtype == np.float16
    assert log_mel.shape[1] == PARAMS.n_mels


def test_silence_at_the_ends_changes_little():
    y = voice()
    silence = noise(seconds=0.7, level=1e-5)
    plain = extract(y, params=PARAMS)
    padded = extract(np.concatenate([silence, y, silence]), params=PARAMS)
    assert abs(len(padded.log_mel) - len(plain.log_mel)) <= 12
    kept = extract(np.concatenate([silence, y, silence]), params=FeatureParams(trim_db=None))
    assert len(kept.log_mel) > len(plain.log_mel) + 100


@pytest.mark.parametrize(
    "y",
    [tone(100, level=1e-9), tone(3) * 3],
    ids=["nearly zeros", "clipped"],
)
def test_odd_but_finite_audio_has_finite_features(y):
    features = extract(y, params=PARAMS)
    assert np.isfinite(features.functionals).all()
    assert np.isfinite(features.log_mel).all()


def test_extract_does_not_change_its_input():
    y = voice()
    before = y.copy()
    extract(y, params=PARAMS)
    assert np.array_equal(y, before)


def test_digital_silence_has_no_emotion():
    with pytest.raises(EmptyAudio, match="digital silence"):
        extract(np.zeros(9000, np.float32), params=PARAMS)


def test_no_samples_is_empty_audio():
    with pytest.raises(EmptyAudio):
        extract(np.zeros(0, np.float32), params=PARAMS)


def test_less_than_a_window_is_refused_with_both_lengths():
    with pytest.raises(AudioError, match=r"lasts 0\.062 s; expected at least 0\.064 s"):
        extract(noise(seconds=0.062), params=PARAMS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad):
    y = noise()
    y[100] = bad
    with pytest.raises(AudioError, match="NaN or infinite"):
        extract(y, params=PARAMS)


def test_channels_are_refused():
    with pytest.raises(AudioError, match=r"mono\(\)"):
        check_waveform(np.zeros((2, 4000), np.float32), params=PARAMS)


@pytest.mark.parametrize("gain", [1.0, 1e-3, 0.1, 5.0])
def test_features_do_not_tell_how_far_away_the_microphone_was(gain):
    rng = np.random.default_rng(0)
    y = np.convolve(rng.normal(0, 0.05, 30_000), np.ones(8) / 8).astype(np.float32)
    params = FeatureParams()
    here, there = (extract(g * y, params=params) for g in (1.0, gain))
    np.testing.assert_allclose(there.functionals, here.functionals, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(there.log_mel, here.log_mel, atol=0.1)
    as_recorded = extract(gain * y, params=FeatureParams(level_db=None))
    if gain != 1.0:
        assert abs(as_recorded.log_mel.mean() - here.log_mel.mean()) > 1


@pytest.mark.parametrize("sr", [SR, 44_100, 48_000])
@pytest.mark.parametrize("added", ["offset", "rumble"])
def test_what_microphones_add_below_speech_changes_no_features(sr, added):
    quiet = np.zeros(SR // 2, np.float32)
    y = resample(np.concatenate([quiet, voice(), quiet]), sr_in=SR, sr_out=sr)
    y += noise(seconds=y.size / SR, level=1e-4)[: y.size]
    t = np.arange(y.size) / sr
    below = {"offset": 0.05, "rumble": 0.02 * np.sin(2 * np.pi * 30 * t + 1)}[added]
    clean, spoilt = (
        extract(audible(each.astype(np.float32), sr=sr, params=PARAMS), params=PARAMS)
        for each in (y, y + below)
    )
    assert clean.log_mel.shape == spoilt.log_mel.shape
    np.testing.assert_allclose(spoilt.log_mel, clean.log_mel, atol=0.5)


def test_a_constant_is_no_speech():
    with pytest.raises(EmptyAudio, match="constant"):
        extract(audible(np.full(SR, 0.2, np.float32), sr=SR, params=PARAMS), params=PARAMS)


@pytest.mark.parametrize("sr", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("n_fft", [400, 1024])
@pytest.mark.parametrize("n_chroma", [6, 12, 24])
def test_the_chroma_bank_is_librosa_s(sr, n_fft, n_chroma):
    bank = mel_and_chroma_bank(sr, n_fft, 20, n_chroma)[:, 20:]
    expected = librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=0.0)
    assert np.array_equal(bank, expected.T)


def test_the_noise_floor_is_what_white_noise_adds_on_average():
    params = FeatureParams(noise_floor_db=10.0, top_db=None)
    y, rng = voice(), np.random.default_rng(0)
    level = np.sqrt(np.mean(np.square(y))) * 10 ** (-10 / 20)
    frames = {"n_fft": params.n_fft, "hop_length": params.hop_length}
    noisy = [
        read_spectrum(
            centred_frames(y + level * rng.standard_normal(y.size).astype(np.float32), **frames),
            params=params,
        ).mel_and_chroma[10:-10, : params.n_mels]
        for _ in range(300)
    ]
    own = read_spectrum(centred_frames(y, **frames), params=params)
    floored = lld_of(y, own, params=params, floor=noise_floor(y, params=params))["log_mel"][10:-10]
    np.testing.assert_allclose(floored, 10 * np.log10(np.mean(noisy, axis=0)), atol=1.5)
    assert np.abs(floored - 10 * np.log10(np.mean(noisy, axis=0))).mean() < 0.25


def test_with_a_noise_floor_faint_noise_changes_functionals_less_and_the_log_mel_as_much():
    y, hiss = voice(), noise(seconds=0.8, level=0.001)

    def change(noise_floor_db: float | None) -> tuple[float, float]:
        params = FeatureParams(noise_floor_db=noise_floor_db)
        one, other = (extract(x, params=params) for x in (y, y + hiss))
        columns = [name for name in one.functionals.index if name.startswith("modulation")]
        functionals = np.abs(one.functionals[columns] - other.functionals[columns]).mean()
        return float(functionals), float(np.abs(one.log_mel - other.log_mel).mean())

    (with_floor, log_mel), (without, same) = change(30.0), change(None)
    assert with_floor < without / 2
    assert log_mel == same
