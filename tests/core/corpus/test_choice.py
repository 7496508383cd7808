"""Which clips stand for a corpus, and what is said of odd ones."""

import numpy as np
import pandas as pd

from ser.core.corpus.choice import one_of_each
from ser.core.corpus.distributions import NAMES, counts, histogram, odd_measures, within_speaker
from ser.core.corpus.plane import by_speaker, components


def manifest(**columns) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    rest = {"start": [0.0] * n, "sentence": ["unknown"] * n, "intensity": ["unspecified"] * n}
    return pd.DataFrame({"file": [f"{i}.wav" for i in range(n)], **rest, **columns})


def test_one_speaker_and_sentence_stand_for_all_emotions():
    table = manifest(
        speaker=["c/a", "c/a", "c/b", "c/b", "c/b"],
        emotion=["anger", "fear", "anger", "neutral", "neutral"],
        sentence=["one", "two", "one", "one", "one"],
        intensity=["normal", "normal", "normal", "normal", "strong"],
    )
    rows, title = one_of_each(table)
    assert list(rows.index) == ["neutral", "anger"]
    assert list(rows["file"]) == ["4.wav", "2.wav"]
    assert title == "Speaker c/b, sentence 'one': one recording of each emotion"


def test_all_emotions_come_before_one_sentence():
    table = manifest(
        speaker=["c/a"] * 4,
        emotion=["anger", "fear", "neutral", "sadness"],
        sentence=["one", "one", "two", "three"],
    )
    rows, title = one_of_each(table)
    assert list(rows.index) == ["neutral", "sadness", "anger", "fear"]
    assert "various sentences" in title


def test_without_sentences_and_speakers_clips_stand_for_themselves():
    rows, title = one_of_each(manifest(speaker=["c/unknown"] * 2, emotion=["fear", "anger"]))
    assert list(rows.index) == ["anger", "fear"]
    assert title.startswith("Speaker unknown, sentences unknown")


def test_tables_count_every_utterance():
    table = manifest(speaker=["a", "b", "a"], emotion=["fear", "neutral", "fear"])
    assert counts(table, "emotion").to_numpy().tolist() == [["neutral", 1], ["fear", 2]]
    assert histogram(pd.Series([1.0, 2.0, np.nan]), "duration")["utterances"].sum() == 2
    assert histogram(pd.Series([np.nan]), "duration").empty


def test_the_microphone_is_taken_from_the_level():
    clips = pd.DataFrame({"speaker": list("aab"), "level_db": [-40.0, -30.0, -10.0]})
    assert within_speaker(clips, "level_db").tolist() == [-5, 5, 0]


def test_the_odd_clip_is_named_with_its_measure():
    rng = np.random.default_rng(0)
    clips = pd.DataFrame({name: rng.normal(10, 1, 50) for name in NAMES})
    clips.loc[7, "snr_db"] = -3.0
    found = odd_measures(clips)
    assert found[7][0].startswith("SNR -3 dB (half lie in ")
    assert sum(map(len, found)) <= 3


def test_a_voice_is_taken_from_the_functionals_and_axes_are_ordered():
    rng = np.random.default_rng(0)
    speaker = np.repeat(["a", "b", "c"], 60)
    values = rng.normal(size=(180, 5)) + 100 * (speaker == "b")[:, None]
    centred = by_speaker(values, speaker)
    assert abs(centred[speaker == "b"].mean() - centred[speaker == "a"].mean()) < 0.2
    found = components(values, most=2)
    assert found.shape == (180, 2)
    assert found[:, 0].std() > found[:, 1].std()
    # Nothing varies: nothing breaks.
    assert np.allclose(components(np.ones((4, 5)), most=2), 0)
