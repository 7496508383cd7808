import dataclasses
import hashlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import librosa
import numpy as np
import pytest

from ser.corpora.synthetic import espeak
from ser.corpora.synthetic.prosody import EMOTIONS, PROSODY
from ser.corpora.synthetic.speak import SYNTHETIC, parse, speak, utterances
from ser.errors import CorpusError, UnknownEmotion
from ser.params import SyntheticParams

SMALL = SyntheticParams(speakers=4, sentences=3)
SR = 16_000


@pytest.fixture(scope="module")
def plan():
    return utterances(SMALL, seed=7)


@pytest.fixture(scope="module")
def recordings(plan):
    """One man and one woman."""
    return [(u, speak(u, sr=SR)) for u in plan if u.speaker in ("spk01", "spk02")]


def of(plan, speaker, emotion, sentence="s01"):
    [found] = [
        u for u in plan if (u.speaker, u.emotion, u.sentence) == (speaker, emotion, sentence)
    ]
    return found


def f0_of(y):
    """Median F0 in Hz over the loud half of the frames."""
    f0 = librosa.yin(y, fmin=65, fmax=600, sr=SR, frame_length=1024)
    rms = librosa.feature.rms(y=y, frame_length=1024, hop_length=256)[0]
    return np.median(f0[rms > np.median(rms)])


# The plan


def test_default_corpus_is_as_large_as_it_declares():
    plan = utterances(SyntheticParams(), seed=7)
    assert len(plan) == SYNTHETIC.utterances
    assert len({u.speaker for u in plan}) == SYNTHETIC.speakers


def test_every_speaker_says_every_sentence_in_every_emotion(plan):
    said = {(u.speaker, u.sentence, u.emotion) for u in plan}
    assert len(said) == len(plan) == 4 * 3 * len(EMOTIONS)
    assert len({u.file for u in plan}) == len(plan)


def test_both_sexes_speak_equally_often(plan):
    assert [u.sex for u in plan].count("male") == len(plan) / 2


def test_same_parameters_same_plan(plan):
    assert utterances(SMALL, seed=7) == plan


def test_another_seed_draws_other_voices(plan):
    other = utterances(SMALL, seed=8)
    assert all(a.voice != b.voice for a, b in zip(plan, other, strict=True))


@pytest.mark.parametrize("more", [{"speakers": 24}, {"sentences": 8}, {"takes": 3}])
def test_more_of_anything_leaves_the_rest_unchanged(plan, more):
    larger = {u.file: u for u in utterances(SMALL.model_copy(update=more), seed=7)}
    assert len(larger) > len(plan)
    assert all(larger[u.file] == u for u in plan)


def test_takes_of_one_sentence_differ():
    first, second = utterances(SyntheticParams(speakers=2, sentences=1, takes=2), seed=7)[:2]
    assert (first.emotion, first.sentence) == (second.emotion, second.sentence)
    assert first.prosody != second.prosody


# Names


def test_every_name_parses_back():
    plan = utterances(SyntheticParams(speakers=101, sentences=2, takes=2), seed=7)
    for u in plan:
        labels = parse(PurePath(u.file))
        assert (labels.speaker, labels.sex, labels.emotion, labels.sentence) == (
            u.speaker,
            u.sex,
            u.emotion,
            u.sentence,
        )


def test_unknown_emotion_names_the_known_ones():
    with pytest.raises(UnknownEmotion, match=r"emotion boredom; .* defines neutral, happiness"):
        parse(PurePath("spk01/spk01_s01_boredom_t1.wav"))


@pytest.mark.parametrize(
    "name",
    [
        "03-01-05-02-01-01-12.wav",
        "spk00_s01_anger_t1.wav",
        "spk01_s01_anger.wav",
        "spk1_s01_anger_t1.wav",
    ],
)
def test_foreign_names_are_refused(name):
    with pytest.raises(CorpusError, match="not a name of the synthetic corpus"):
        parse(PurePath(name))


def test_a_foreign_sentence_is_refused():
    with pytest.raises(CorpusError, match="sentence s09; the synthetic corpus defines s01, s02"):
        parse(PurePath("spk01_s09_anger_t1.wav"))


# The bytes


def test_order_of_synthesis_does_not_matter(plan):
    some = plan[:3]
    forwards = [speak(u) for u in some]
    backwards = [speak(u) for u in reversed(some)]
    for a, b in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(a, b)


def test_same_parameters_same_bytes_in_another_process(plan):
    code = (
        "import hashlib\n"
        "from ser.corpora.synthetic.speak import speak, utterances\n"
        "from ser.params import SyntheticParams\n"
        "plan = utterances(SyntheticParams(speakers=4, sentences=3), seed=7)\n"
        "print(hashlib.sha256(speak(plan[10]).tobytes()).hexdigest())\n"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    speak(plan[0])
    here = hashlib.sha256(speak(plan[10]).tobytes()).hexdigest()
    assert elsewhere.stdout.strip() == here
    assert elsewhere.stderr == ""


def test_time_of_day_does_not_matter():
    # A breathy voice: espeak draws its noise, and seeds it with the second.
    voice = "name breathy\nlanguage en-us\nflutter 5\nbreath 0 4 6 6 6 6 0 10\n"
    before = espeak.synthesize("Some breath.", voice, words_per_minute=170)
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.02)
    after = espeak.synthesize("Some breath.", voice, words_per_minute=170)
    np.testing.assert_array_equal(before, after)


def test_threads_may_speak_at_once(plan):
    some = plan[::12]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(speak, some))
    for u, y in zip(some, together, strict=True):
        np.testing.assert_array_equal(y, speak(u))


def test_speaking_is_silent_and_leaves_no_file(plan, monkeypatch, capfd):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "tempdir", folder)
            speak(plan[0])
        assert not list(Path(folder).iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("folder", ["Upper", "with+plus", "long" * 20])
def test_any_temporary_folder_will_do(plan, tmp_path, monkeypatch, folder):
    (tmp_path / folder).mkdir()
    usual = speak(plan[0])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    np.testing.assert_array_equal(speak(plan[0]), usual)


def test_unreadable_voices_say_what_to_do(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(espeak.espeakng_loader, "get_data_path", lambda: str(tmp_path / "none"))
    with pytest.raises(CorpusError, match="Reinstall espeakng-loader"):
        speak(plan[0])


# The sound


def test_recordings_are_mono_float_and_do_not_clip(recordings):
    for u, y in recordings:
        assert y.dtype == np.float32
        assert y.ndim == 1
        assert 1.0 < y.size / SR < 5.0, u.file
        assert 0.01 < np.abs(y).max() <= 0.97, u.file


def test_sampling_rate_leaves_duration_unchanged(plan):
    u = plan[0]
    assert speak(u, sr=8_000).size / 8_000 == pytest.approx(speak(u).size / SR, abs=0.02)


def test_voices_speak_at_the_pitch_that_was_drawn(plan):
    for speaker in ("spk01", "spk02"):
        u = of(plan, speaker, "neutral")
        meant = u.voice.f0_hz * 2 ** (u.prosody.f0 / 12)
        assert f0_of(speak(u)) == pytest.approx(meant, rel=0.12)


@pytest.mark.parametrize("speaker", ["spk01", "spk02"])
def test_prosody_follows_the_literature(recordings, speaker):
    def mean(measure, emotion):
        return np.mean(
            [measure(y) for u, y in recordings if (u.speaker, u.emotion) == (speaker, emotion)]
        )

    def level(y):
        return 10 * np.log10(np.mean(y**2))

    for aroused in ("happiness", "anger", "fear"):
        assert mean(f0_of, aroused) > 1.08 * mean(f0_of, "sadness")
        assert mean(np.size, aroused) < mean(np.size, "sadness")
    assert mean(level, "anger") > mean(level, "neutral") > mean(level, "sadness")


def test_emotion_alone_changes_the_voice(plan):
    neutral = of(plan, "spk01", "neutral")
    angry = dataclasses.replace(neutral, prosody=PROSODY["anger"])
    assert f0_of(speak(angry)) > 1.1 * f0_of(speak(neutral))
