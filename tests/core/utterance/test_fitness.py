"""What is unfit for training is named as such, and speech is not."""

import numpy as np
import pytest

from ser.core.features.extract import prepared
from ser.core.utterance.fitness import Needs, reason_of, unfit
from ser.core.utterance.formats import is_audio
from ser.core.utterance.waveform import RUMBLE_HZ, mono, resample
from ser.errors import AudioError, CorruptAudio
from ser.io.audio.read import read_recording
from ser.params import FeatureParams
from support.recordings import SR, syllables
from support.unfit import lsb, waveforms

WINDOW = 1024 / 16_000
NEEDS = Needs(WINDOW)


def reason(y, sr=SR):
    found = unfit(np.asarray(y, dtype=np.float32), sr=sr, needs=NEEDS)
    return found and found[0]


def of_one_channel():
    """Those of `waveforms` that show their reason without a second channel."""
    return {name: (why, y) for name, (why, y) in waveforms().items() if y.ndim == 1}


@pytest.mark.parametrize("name", of_one_channel())
def test_what_holds_no_speech_is_unfit(name):
    expected, y = waveforms()[name]
    assert reason(y) == expected


def tone(hz, amplitude, *, sr=SR, seconds=2.0, phase=0.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr + phase)


@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("sr", [8_000, 48_000])
@pytest.mark.parametrize(
    ("hz", "amplitude"),
    [(12, 0.9), (25, 0.3), (30, 0.1), (30, 0.3), (40, 0.1), (50, 0.1), (50, 0.9)],
)
def test_rumble_alone_is_unfit_and_speech_in_it_is_fit(hz, amplitude, sr, phase):
    y = tone(hz, amplitude, sr=sr, phase=phase)
    assert reason(y, sr) in ("noise", "rumble")
    y[sr : 2 * sr] += 0.1 * syllables(sr=sr, rng=np.random.default_rng(3)) / 2**15
    assert reason(y, sr) is None


def test_what_counts_as_rumble_is_what_the_features_filter_off():
    assert FeatureParams().high_pass_hz == RUMBLE_HZ
    hum = np.float32(tone(60, 0.1))
    assert unfit(hum, sr=SR, needs=NEEDS) is None
    assert unfit(hum, sr=SR, needs=Needs(WINDOW, cutoff_hz=100.0))[0] == "rumble"


def test_soft_offset_coarse_and_wide_speech_is_fit():
    rng = np.random.default_rng(3)
    y = syllables(rng=rng) / 2**15
    assert reason(y) is None
    assert reason(np.round(y * 0.003 * 2**15) / 2**15) is None
    assert reason(y * 0.5 + 0.4) is None
    assert reason(np.round(y * 2**7) / 2**7) is None
    assert reason(mono(np.stack([y, np.zeros_like(y)], axis=1))) is None
    assert reason(mono(np.stack([y, np.roll(y, 8)], axis=1))) is None
    # A word in a minute of room noise, after a click.
    quiet = lsb(60 * SR, steps=2)
    quiet[0] = 0.9
    quiet[40 * SR : 41 * SR] += 0.05 * y
    assert reason(quiet) is None


@pytest.mark.parametrize("sr", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_no_recording_that_passes_is_refused_by_the_features_for_its_length(sr):
    for n in range(int(WINDOW * sr) - 3, int(WINDOW * sr) + 4):
        y = np.sin(np.arange(n) * 900 / sr).astype(np.float32)
        if reason(y, sr) is None:
            assert resample(y, sr_in=sr, sr_out=16_000).size >= 1024


def test_what_the_features_refuse_is_unfit():
    for expected, y in of_one_channel().values():
        try:
            prepared(y.astype(np.float32), params=FeatureParams())
        except AudioError:
            assert reason(y) == expected


def test_an_unreadable_disk_is_no_fault_of_the_recording(tmp_path):
    with pytest.raises(AudioError) as caught:
        read_recording(tmp_path / "absent.wav")
    assert reason_of(caught.value) == "no access"
    assert reason_of(CorruptAudio("x")) == "damaged"


def test_no_published_recording_of_speech_is_unfit(real_corpora):
    """Every 40th of RAVDESS and nEMO; all 2,954 were looked at when the limits were chosen."""
    files = [
        path
        for name in ("ravdess", "nemo")
        for path in sorted((real_corpora / name).rglob("*"))[::40]
        if is_audio(path)
    ]
    assert len(files) > 30
    for path in files:
        recording, _ = read_recording(path)
        assert unfit(recording.y, sr=recording.sr, needs=NEEDS) is None, path
