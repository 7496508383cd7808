"""New speakers are no drift; another channel, noise and another corpus are."""

import numpy as np
import pandas as pd
import pytest

from ser.core.drift.figures import NAMES
from ser.core.drift.judging import LEAST_RECENT, TOGETHER, compare, limits_of
from ser.core.drift.reference import Reference

CLIPS, CLIPS_OF_ONE = 200, 60


def voices(rng: np.random.Generator, speakers: int, **shift: float) -> pd.DataFrame:
    """Clips of made-up speakers, whose pitch and noise differ from one to the next."""
    parts = []
    for number in range(speakers):
        n = CLIPS_OF_ONE
        part = pd.DataFrame(
            {
                "speaker": np.full(n, f"s{number}"),
                "duration_seconds": rng.normal(3.5 + rng.normal(0, 0.2), 0.5, n),
                "snr_db": rng.normal(33 + rng.normal(0, 1.0), 2.5, n),
                "bandwidth_hz": np.full(n, 8000.0),
                "pitch_hz": rng.normal(190 + rng.normal(0, 50), 30, n),
                "novelty": rng.normal(0.8 + rng.normal(0, 0.03), 0.1, n),
                "confidence": np.nan,
            }
        )
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    for name, by in shift.items():
        table[name] += by
    return table


def reference(rng: np.random.Generator, speakers: int = 18) -> Reference:
    table = voices(rng, speakers)
    return Reference.of(table, speaker=table["speaker"].to_numpy(str), seed=7)


@pytest.fixture(scope="module")
def judged():
    """The reference of 18 speakers, and its limits."""
    found = reference(np.random.default_rng(1))
    return found, limits_of(found, NAMES, clips=CLIPS, false_alarms=0.002, seed=7)


def drifted(recent: pd.DataFrame, judged) -> list[str]:
    found = compare(recent, *judged, seed=7)
    return [one.figure for one in found if one.outcome == "drifted"]


def test_at_most_one_draw_of_unseen_speakers_in_a_hundred_drifts(judged):
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        # One speaker alone is the hardest: all clips are alike.
        speakers = int(rng.integers(1, 6))
        recent = voices(rng, speakers).sample(CLIPS, replace=True, random_state=rng)
        alarms += bool(drifted(recent, judged))
    assert alarms <= 2


@pytest.mark.parametrize(
    ("shift", "figure"),
    [
        ({"bandwidth_hz": -3900.0}, "bandwidth_hz"),
        ({"snr_db": -16.0}, "snr_db"),
        ({"duration_seconds": -1.8, "novelty": 0.4}, "duration_seconds"),
    ],
)
def test_another_channel_noise_and_another_corpus_drift(judged, shift, figure):
    recent = voices(np.random.default_rng(3), 4, **shift).head(CLIPS)
    assert figure in drifted(recent, judged)


def test_tests_that_take_clips_for_independent_would_alarm_at_every_new_speaker(judged):
    """What the usual limit of PSI, 0.25, says of one unseen speaker."""
    recent = voices(np.random.default_rng(4), 1).sample(CLIPS, replace=True, random_state=0)
    by_name = {one.figure: one for one in compare(recent, *judged, seed=7)}
    assert by_name["pitch_hz"].psi > 0.25
    assert by_name["pitch_hz"].outcome == "same"


def test_the_classifier_finds_what_no_figure_shows_alone():
    """Noise that goes with pitch: each is spread as before, both together are not."""
    rng = np.random.default_rng(5)
    speaker = np.repeat(np.arange(18), CLIPS_OF_ONE)
    alike = rng.normal(size=(18, 2))[speaker] * 0.1
    table = pd.DataFrame(rng.normal(size=(speaker.size, 2)) + alike, columns=["pitch_hz", "snr_db"])
    found = Reference.of(table, speaker=speaker, seed=7)
    limits = limits_of(found, list(table), clips=CLIPS, false_alarms=0.01, seed=7)
    recent = table.sample(CLIPS, random_state=rng)
    recent["snr_db"] = np.quantile(table["snr_db"], recent["pitch_hz"].rank(pct=True))
    outcomes = {one.figure: one.outcome for one in compare(recent, found, limits, seed=7)}
    assert outcomes == {"pitch_hz": "same", "snr_db": "same", TOGETHER: "drifted"}


def test_with_few_speakers_nothing_is_judged_and_it_says_why():
    found = reference(np.random.default_rng(6), speakers=3)
    limits = limits_of(found, NAMES, clips=CLIPS, false_alarms=0.002, seed=7)
    findings = compare(voices(np.random.default_rng(7), 4, snr_db=-20), found, limits, seed=7)
    assert {one.outcome for one in findings} == {"not judged"}
    assert "3 speakers of the reference have it; 4 are needed" in findings[0].why


def test_a_figure_that_few_recent_recordings_have_is_not_judged(judged):
    recent = voices(np.random.default_rng(8), 4).head(CLIPS)
    recent.loc[recent.index[LEAST_RECENT - 1 :], "pitch_hz"] = np.nan
    by_name = {one.figure: one for one in compare(recent, *judged, seed=7)}
    assert by_name["pitch_hz"].outcome == "not judged"
    assert "recent recordings have it" in by_name["pitch_hz"].why
    assert by_name["snr_db"].outcome == "same"


def test_limits_are_the_same_each_time(judged):
    found, limits = judged
    assert limits_of(found, NAMES, clips=CLIPS, false_alarms=0.002, seed=7) == limits


def test_draws_that_pass_a_limit_widen_all_of_them():
    """A speaker far from the others: the spread of so few tells too little."""
    rng = np.random.default_rng(9)
    table = voices(rng, 8)
    own = table["speaker"] == "s0"
    table.loc[own, "snr_db"] -= 12
    found = Reference.of(table, speaker=table["speaker"].to_numpy(str), seed=7)
    limits = limits_of(found, ["snr_db"], clips=CLIPS, false_alarms=0.05, seed=7)
    assert limits.alarms / limits.draws > 0.05
    assert limits.widened > 1
