import numpy as np
import pytest

from ser.core.scores.inflation import inflation
from ser.errors import ParamsError


def speech(*, speakers: int, own_style: float, seed: int = 0):
    """Functionals of speakers who share a way to show emotions, and each have their own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(3, 20))
    rows, emotions, who = [], [], []
    for speaker in range(speakers):
        own = rng.normal(size=(3, 20)) * own_style
        for emotion in range(3):
            for _ in range(12):
                rows.append(0.5 * shared[emotion] + own[emotion] + rng.normal(size=20))
                emotions.append(("anger", "neutral", "sadness")[emotion])
                who.append(f"s{speaker}")
    return np.array(rows), np.array(emotions), np.array(who)


def test_speakers_with_a_style_of_their_own_flatter_a_random_split():
    found = inflation(*speech(speakers=8, own_style=1.0), seed=1)
    assert found.gap > 0.1
    assert found.random > found.apart > found.chance - 0.1


def test_speakers_without_one_do_not():
    found = inflation(*speech(speakers=8, own_style=0.0), seed=1)
    assert abs(found.gap) < 0.05


def test_one_speaker_cannot_be_compared():
    with pytest.raises(ParamsError, match=r"1 speaker\(s\)"):
        inflation(*speech(speakers=1, own_style=0.0), seed=1)


@pytest.mark.parametrize(
    ("emotions", "speakers"),
    [("ab", "xy"), ("aabb", "xxyy"), ("aaab", "xyxy"), ("aabbcc", "xxyyzz")],
)
def test_what_is_too_little_or_confounded_says_so(emotions, speakers):
    rows = np.random.default_rng(0).normal(size=(len(emotions), 5))
    with pytest.raises(ParamsError, match="Add recordings"):
        inflation(rows, np.array([*emotions]), np.array([*speakers]), seed=1)


def test_an_emotion_of_each_speaker_s_own_cannot_be_measured():
    rows, _, who = speech(speakers=4, own_style=0.0)
    with pytest.raises(ParamsError, match="Each emotion is of one speaker alone"):
        inflation(rows, who, who, seed=1)
