"""Changes of a waveform: they do what they say, by another route."""

import numpy as np
import pytest
import scipy.signal

from ser.core.distortion import bands, noises, rooms
from ser.errors import AudioError
from support.signals import noise, tone, voice

SR = 16_000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def level_db(y: np.ndarray, low: float, high: float, *, sr: int = SR) -> float:
    """dB of y between two frequencies."""
    hertz, power = scipy.signal.welch(y, sr, nperseg=2048)
    return float(10 * np.log10(power[(hertz >= low) & (hertz <= high)].mean()))


CHANGES = {
    "band": lambda y: bands.band_passed(y, sr=SR, low_hz=300, high_hz=3400),
    "rate": lambda y: bands.at_rate(y, sr=SR, rate=8000),
    "mu-law": bands.mu_law,
    "telephone": lambda y: bands.telephone(y, sr=SR),
    "tilt": lambda y: bands.tilted(y, sr=SR, db_per_octave=3),
    "room": lambda y: rooms.reverberated(
        y, response=rooms.impulse_response(sr=SR, rt60_seconds=0.4, drr_db=0, rng=rng())
    ),
    "noise": lambda y: noises.mixed(y, noise(), sr=SR, snr_db=10),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("n", [1, 100, 11_003])
def test_as_many_samples_finite_float32_and_the_input_stays(change, n):
    y = noise(seconds=1.0)[:n]
    before = y.copy()
    changed = change(y)
    assert changed.shape == y.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.array_equal(y, before)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_silence_stays_nearly_silent(change):
    assert np.abs(change(np.zeros(4000, np.float32))).max() < 1e-3


def test_a_telephone_passes_speech_and_nothing_else():
    y = noise(seconds=4.0)
    heard = bands.telephone(y, sr=SR)
    assert level_db(heard, 500, 3000) == pytest.approx(level_db(y, 500, 3000), abs=0.5)
    assert level_db(heard, 4500, 7500) < level_db(y, 4500, 7500) - 40
    assert level_db(heard, 20, 120) < level_db(y, 20, 120) - 25


def test_edges_of_a_band_are_3_db_down():
    y = noise(seconds=30.0)
    heard = bands.band_passed(y, sr=SR, low_hz=400, high_hz=3000)
    for edge in (400, 3000):
        near = (edge * 0.985, edge * 1.015)
        assert level_db(heard, *near) - level_db(y, *near) == pytest.approx(-3, abs=0.5)


@pytest.mark.parametrize(("low", "high"), [(0, 3000), (300, 8000), (3000, 300)])
def test_edges_that_are_none_are_refused(low, high):
    with pytest.raises(AudioError):
        bands.band_passed(tone(220), sr=SR, low_hz=low, high_hz=high)


def test_mu_law_has_so_many_steps_and_its_error_follows_the_level():
    y = np.linspace(-1, 1, 100_001, dtype=np.float32)
    assert len(np.unique(bands.mu_law(y))) == 256
    assert len(np.unique(bands.mu_law(y, bits=6))) == 64
    for level in (0.9, 0.1, 0.01):
        sine = tone(440, seconds=1, level=level)
        error = bands.mu_law(sine) - sine
        snr = 20 * np.log10(sine.std() / error.std())
        assert 28 < snr < 42


def test_mu_law_clips_what_lies_beyond():
    assert np.abs(bands.mu_law(np.array([-3.0, 3.0], np.float32))).max() <= 1


@pytest.mark.parametrize("slope", [-6.0, 3.0])
def test_a_tilt_is_so_many_db_an_octave_and_none_at_1_khz(slope):
    y = noise(seconds=20.0)
    heard = bands.tilted(y, sr=SR, db_per_octave=slope)
    for hertz, octaves in ((500, -1), (1000, 0), (4000, 2)):
        near = (hertz * 0.97, hertz * 1.03)
        change = level_db(heard, *near) - level_db(y, *near)
        assert change == pytest.approx(slope * octaves, abs=0.3)


@pytest.mark.parametrize(("rt60", "drr"), [(0.3, 6.0), (0.8, -3.0)])
def test_a_room_decays_and_reflects_as_asked(rt60, drr):
    response = rooms.impulse_response(sr=SR, rt60_seconds=rt60, drr_db=drr, rng=rng())
    tail = response[1:].astype(np.float64)
    assert 10 * np.log10(response[0] ** 2 / np.square(tail).sum()) == pytest.approx(drr, abs=0.01)
    # Schroeder's integral falls by 5 to 25 dB along a line of 60 dB in RT60.
    left = 10 * np.log10(np.cumsum(np.square(tail)[::-1])[::-1] / np.square(tail).sum())
    time = np.arange(tail.size) / SR
    inside = (left < -5) & (left > -25)
    slope = np.polyfit(time[inside], left[inside], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.1)


def test_damping_takes_treble_from_the_reflections():
    bright, dull = (
        rooms.impulse_response(sr=SR, rt60_seconds=0.5, drr_db=0, rng=rng(), damping_hz=hertz)
        for hertz in (None, 1000.0)
    )
    change = [level_db(dull[1:], *band) - level_db(bright[1:], *band)
              for band in ((4000, 7000), (100, 500))]  # fmt: skip
    assert change[0] < change[1] - 10


def test_a_room_is_convolution_and_its_direct_sound_comes_at_once():
    y, response = voice(), np.array([0.1, 0.0, 1.0, 0.5], np.float32)
    heard = rooms.reverberated(y, response=response)
    expected = np.convolve(y, response)[2 : 2 + y.size]
    np.testing.assert_allclose(heard, expected, atol=1e-6)


@pytest.mark.parametrize("snr_db", [-5.0, 20.0])
def test_noise_lies_so_far_below_the_speech_however_long_the_pauses(snr_db):
    speech = voice()
    paused = np.concatenate([speech, np.zeros(3 * speech.size, np.float32)])
    for y in (speech, paused):
        added = noises.mixed(y, noise(), sr=SR, snr_db=snr_db) - y
        snr = 20 * np.log10(noises.active_rms(speech, sr=SR) / added.std())
        assert snr == pytest.approx(snr_db, abs=0.6)


def test_the_active_level_of_a_steady_tone_is_its_level():
    assert noises.active_rms(tone(440), sr=SR) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("colour", noises.COLOURS)
def test_colours_fall_as_they_are_named(colour):
    slope = noises.COLOURS[colour]
    y = noises.coloured(60 * SR, sr=SR, db_per_octave=slope, rng=rng())
    change = level_db(y, 1900, 2100) - level_db(y, 237, 263)
    assert change == pytest.approx(3 * slope, abs=0.5)


SOUNDS = {
    "pink": lambda n, rng: noises.coloured(n, sr=SR, db_per_octave=-3, rng=rng),
    "babble": lambda n, rng: noises.babble(
        n, sr=SR, rng=rng, voices=[voice(f0=f0) for f0 in (100, 150, 220)]
    ),
    "music": lambda n, rng: noises.music(n, sr=SR, rng=rng),
    "hum": lambda n, rng: noises.hum(n, sr=SR, rng=rng),
    "coughs": lambda n, rng: noises.coughs(n, sr=SR, rng=rng),
}


@pytest.mark.parametrize("make", SOUNDS.values(), ids=SOUNDS)
def test_sounds_are_as_long_as_asked_of_one_level_and_made_by_the_chance_handed_in(make):
    for n in (400, 40_000):
        first, again, other = (make(n, rng(seed)) for seed in (1, 1, 2))
        assert first.shape == (n,)
        assert np.sqrt(np.mean(np.square(first))) == pytest.approx(1, rel=1e-3)
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_hum_is_at_the_mains_and_its_harmonics_alone():
    y = noises.hum(4 * SR, sr=SR, rng=rng(), mains_hz=60)
    power = np.abs(np.fft.rfft(y)) ** 2
    partials = np.arange(60, 1001, 60) * 4
    assert power[partials].sum() / power.sum() > 0.999


def test_one_voice_of_babble_is_as_loud_as_another():
    both = noises.babble(
        SR, sr=SR, voices=[tone(300, level=0.9), tone(2000, level=0.005)], rng=rng()
    )
    assert level_db(both, 250, 350) == pytest.approx(level_db(both, 1950, 2050), abs=1)
