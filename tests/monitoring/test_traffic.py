"""What is kept of a recording, beside what is known of it."""

import time
from datetime import UTC, datetime

import librosa
import numpy as np
import pytest

from ser.core.distortion.noises import coloured, mixed
from ser.core.features.extract import extract
from ser.core.uncertainty.abstention import Abstention
from ser.core.utterance.emotions import EMOTIONS
from ser.core.utterance.waveform import resample
from ser.monitoring.traffic import COLUMNS, InputSummary, Served, row_of, summarise
from ser.params import FeatureParams
from ser.predictor import Prediction

SR = 16_000
PARAMS = FeatureParams()


def bursts(f0: float = 150.0, seconds: float = 3.0) -> np.ndarray:
    """A pulse train of this pitch with a spectrum that falls, on for 0.4 s and off for 0.2 s."""
    t = np.arange(round(seconds * SR)) / SR
    harmonics = np.arange(1, int(7_900 / f0))
    y = (np.sin(2 * np.pi * f0 * np.outer(harmonics, t)) / harmonics[:, None]).sum(axis=0)
    return (0.1 * y * ((t % 0.6) < 0.4)).astype(np.float32)


def summary(y: np.ndarray, sr: int = SR) -> InputSummary:
    at_16k = resample(y, sr_in=sr, sr_out=SR)
    return summarise(y, sr=sr, features=extract(at_16k, params=PARAMS), params=PARAMS)


def test_level_and_duration_are_those_of_the_samples_as_decoded():
    t = np.arange(48_000) / 48_000
    y = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    found = summary(y, sr=48_000)
    assert found.duration_seconds == 1.0
    # A sine of amplitude 0.5: -6.02 dB of peak, 3.01 dB more to its root mean square.
    assert found.level_db == pytest.approx(-9.03, abs=0.01)


def test_the_level_of_silence_is_a_number():
    found = summarise(np.zeros(SR, np.float32), sr=SR, features=None, params=PARAMS)
    assert found == InputSummary(duration_seconds=1.0, level_db=-100.0)


@pytest.mark.parametrize("f0", [90.0, 150.0, 280.0])
def test_pitch_is_that_of_the_pulses(f0):
    assert summary(bursts(f0)).pitch_hz == pytest.approx(f0, rel=0.02)


def test_hiss_has_no_pitch():
    y = np.random.default_rng(0).normal(0, 0.1, SR).astype(np.float32)
    assert summary(y).pitch_hz is None


@pytest.mark.parametrize(("sr", "edge"), [(8_000, 4_000), (12_000, 6_000)])
def test_bandwidth_is_where_a_telephone_cuts_to_within_a_mel_band(sr, edge):
    y = resample(bursts(), sr_in=SR, sr_out=sr)
    bands = librosa.mel_frequencies(PARAMS.n_mels + 2, fmin=0, fmax=SR / 2)
    width = np.diff(bands)[np.searchsorted(bands, edge) - 1]
    assert summary(y, sr=sr).bandwidth_hz == pytest.approx(edge, abs=2 * width)
    assert summary(bursts()).bandwidth_hz == pytest.approx(SR / 2, abs=2 * width)


def test_twenty_decibels_more_noise_are_about_twenty_less_of_the_ratio():
    y, rng = bursts(), np.random.default_rng(0)
    noise = coloured(y.size, sr=SR, db_per_octave=-2, rng=rng)
    at_30, at_10 = (summary(mixed(y, noise, sr=SR, snr_db=db)).snr_db for db in (30, 10))
    assert at_30 - at_10 == pytest.approx(20, abs=3)
    # Bursts are on for two thirds of the time: the loud frames' ratio is 1.8 dB above the mean's.
    assert at_10 == pytest.approx(11.8, abs=3)


def test_other_functionals_leave_duration_and_level():
    features = extract(bursts(), params=PARAMS)
    other = FeatureParams(functionals="egemaps")
    found = summarise(bursts(), sr=SR, features=features, params=other)
    assert found == InputSummary(found.duration_seconds, found.level_db)


def test_a_summary_costs_next_to_nothing():
    y = bursts()
    features = extract(y, params=PARAMS)
    took = []
    for _ in range(50):
        start = time.perf_counter()
        summarise(y, sr=SR, features=features, params=PARAMS)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.3e-3


def row(prediction: Prediction) -> dict[str, object]:
    return row_of(
        prediction,
        InputSummary(3.0, -20.0),
        time=datetime(2026, 1, 2, tzinfo=UTC),
        source="server",
        interface="rest",
        served=Served("a" * 64, 3),
        latency_ms=12.5,
    )


def test_a_row_has_a_value_for_every_column_and_nothing_else():
    given = row(Prediction("fear", 0.8, {"fear": 0.8, "anger": 0.2}, ("fear",), novelty=0.4))
    assert tuple(given) == tuple(column.name for column in COLUMNS)
    assert (given["emotion"], given["p_fear"], given["p_anger"]) == ("fear", 0.8, 0.2)
    assert given["p_calm"] is given["abstention"] is None
    assert {name[2:] for name in given if name.startswith("p_")} == set(EMOTIONS)


def test_an_abstention_is_its_reason_without_the_sentence():
    given = row(Prediction(None, None, abstention=Abstention("too_short", "lasts 0.1 s")))
    assert (given["abstention"], given["emotion"], given["confidence"]) == ("too_short", None, None)
    assert "lasts" not in repr(given)


def test_what_is_not_finite_is_null():
    assert row(Prediction("fear", 0.8, novelty=float("inf")))["novelty"] is None
