import io

import numpy as np
import pytest
import soundfile

from ser.core.uncertainty.abstention import Abstention, clipped_share, decide
from ser.core.utterance.waveform import mono
from ser.corpora.synthetic.speak import speak, utterances
from ser.params import AbstentionParams, SyntheticParams
from support.recordings import written
from support.signals import SR, noise, tone

PARAMS = AbstentionParams(min_confidence=0.4)
WELL = {
    "seconds": 3.0,
    "speech_seconds": 1.5,
    "clipped": 0.0,
    "novelty": 0.6,
    "confidence": 0.7,
}


@pytest.fixture(scope="module")
def spoken():
    return [speak(u, sr=SR) for u in utterances(SyntheticParams(speakers=2, sentences=1), seed=3)]


def clipped_at(y, *, above_db):
    """y driven so far above full scale that its peaks are cut off."""
    return np.clip(y / np.abs(y).max() * 10 ** (above_db / 20), -1, 1)


def as_pcm16(y, *, rng=None):
    """y rounded to 16 bits, with triangular dither where a generator is given."""
    dither = 0 if rng is None else rng.uniform(-0.5, 0.5, (2, y.size)).sum(axis=0)
    return (np.round(y * 32_767 + dither) / 32_768).astype(np.float32)


def test_nothing_speaks_against_a_good_recording():
    assert decide(PARAMS, **WELL) is None


@pytest.mark.parametrize(
    ("found", "reason", "detail"),
    [
        ({"seconds": 0.1}, "too_short", "The recording lasts 0.10 s; at least 0.3 s are needed."),
        ({"seconds": 600.0}, "too_long", "lasts 600.0 s: too long for one utterance"),
        ({"speech_seconds": 0.12}, "too_short", "0.12 s of speech; at least 0.3 s are needed."),
        ({"speech_seconds": 0.0}, "no_speech", "No speech was found; at least 0.3 s are needed."),
        ({"clipped": 0.051}, "clipped", "5.1% of the samples are clipped; at most 2.0% may be."),
        (
            {"novelty": 2.34},
            "out_of_domain",
            "novelty 2.3, limit 1.0 (99th percentile of unseen speakers).",
        ),
        ({"confidence": 0.31}, "unsure", "has 31%; at least 40% are needed."),
    ],
)
def test_every_reason_says_what_was_found_and_what_expected(found, reason, detail):
    abstention = decide(PARAMS, **{**WELL, **found})
    assert abstention is not None
    assert abstention.reason == reason
    assert detail in abstention.detail


def test_the_first_reason_is_told():
    bad = {
        "seconds": 0.1,
        "speech_seconds": 0.0,
        "clipped": 0.5,
        "novelty": 9.0,
        "confidence": 0.1,
    }
    told = []
    for name in ("seconds", "speech_seconds", "clipped", "novelty", "confidence"):
        told.append(decide(PARAMS, **bad).reason)
        bad[name] = WELL[name]
    assert told == ["too_short", "no_speech", "clipped", "out_of_domain", "unsure"]
    assert decide(PARAMS, **bad) is None


def test_a_bound_itself_is_good_enough():
    at_bounds = {
        "seconds": 0.3,
        "speech_seconds": 0.3,
        "clipped": 0.02,
        "novelty": 1.0,
        "confidence": 0.4,
    }
    assert decide(PARAMS, **at_bounds) is None


def test_a_recording_of_many_utterances_is_none_unless_the_limit_is_off():
    assert decide(PARAMS, seconds=PARAMS.max_seconds) is None
    assert decide(PARAMS, seconds=PARAMS.max_seconds + 1).reason == "too_long"
    assert decide(AbstentionParams(max_seconds=None), seconds=600.0) is None


def test_what_is_not_known_or_switched_off_is_not_judged():
    assert decide(PARAMS) is None
    lenient = AbstentionParams(
        min_speech_seconds=0, max_clipped_share=1, max_novelty_percentile=None, min_confidence=0
    )
    assert decide(lenient, seconds=0.01, clipped=1.0, novelty=99.0, confidence=0.0) is None
    assert decide(lenient, speech_seconds=0.0) == Abstention(
        "no_speech", "No speech was found; at least 0 s are needed."
    )


def test_loud_speech_is_not_clipped(spoken):
    for y in spoken:
        assert clipped_share(as_pcm16(y / np.abs(y).max())) < 1e-4


def test_more_drive_clips_more(spoken):
    for y in spoken[:4]:
        shares = [clipped_share(as_pcm16(clipped_at(y, above_db=db))) for db in (3, 6, 12, 20)]
        assert shares == sorted(shares)
        assert shares[0] > 0
        assert shares[-2] > 0.01


@pytest.mark.parametrize("level", [0.5, 0.1])
def test_clipping_is_seen_though_the_level_was_lowered_after(spoken, level):
    rng = np.random.default_rng(0)
    for y in spoken[:4]:
        cut = clipped_at(y, above_db=12)
        lowered = clipped_share(as_pcm16(level * cut, rng=rng))
        assert lowered == pytest.approx(clipped_share(cut), rel=0.05)


def test_a_recording_clipped_on_one_side_is_clipped(spoken):
    y = spoken[0] / np.abs(spoken[0]).max()
    assert clipped_share(np.minimum(y, 0.2 * y.max())) > 0.01


def test_flat_tops_are_counted_one_by_one():
    y = np.zeros(100, np.float32)
    y[10:14], y[30:33], y[50:52], y[70:75] = 0.8, 0.8, 0.8, -0.9
    assert clipped_share(y) == (4 + 3 + 5) / 100


def test_silence_tones_and_noise_are_not_clipped():
    for y in (np.zeros(0), np.zeros(SR), tone(997), noise()):
        assert clipped_share(y) < 1e-3


def test_a_lossy_codec_hides_clipping(spoken):
    """A limit that users are told of: what is flat no more cannot be seen."""
    cut = clipped_at(spoken[0], above_db=12)
    mp3 = io.BytesIO(written(cut, "MP3", "MPEG_LAYER_III"))
    assert clipped_share(cut) > 0.01
    assert clipped_share(soundfile.read(mp3, dtype="float32")[0]) < 0.001


def test_clipped_and_unclipped_actors_are_told_apart(real_corpora):
    for file in sorted((real_corpora / "ravdess").rglob("*.flac"))[::180]:
        y = mono(soundfile.read(file, dtype="float32")[0])
        assert clipped_share(as_pcm16(y / np.abs(y).max())) < 1e-4, file.name
        assert clipped_share(0.3 * as_pcm16(clipped_at(y, above_db=12))) > 0.005, file.name
