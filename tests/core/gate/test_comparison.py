"""Challenger and champion compared, on tables small enough to reason about."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from ser.core.gate.comparison import (
    Comparison,
    compare,
    trained_speakers,
    under_one_rule,
    utterances_sha256,
)
from ser.core.scores.metrics import uar
from ser.core.splits.fingerprint import fingerprint
from ser.core.utterance.emotions import LabelRule
from ser.errors import TableError
from support.signals import SR, voice

EMOTIONS = ("anger", "neutral", "sadness")
gate = partial(compare, min_probability=0.5, min_speakers=1, resamples=1000, seed=7)


def table(right: dict[str, float], *, per_speaker: int = 30) -> pd.DataFrame:
    """Predictions of speakers, each right on the given share of the utterances."""
    rows = []
    for speaker, share in right.items():
        for i in range(per_speaker):
            emotion = EMOTIONS[i % 3]
            wrong = EMOTIONS[(i + 1) % 3]
            predicted = emotion if i < share * per_speaker else wrong
            rows.append(("corpus", f"{speaker}_{i}.wav", speaker, emotion, predicted))
    columns = ["corpus", "file", "speaker", "emotion", "predicted"]
    return pd.DataFrame(rows, columns=columns).assign(start=0.0, end=1.0)


def speakers(share: float, n: int = 6) -> dict[str, float]:
    return {f"{s:02d}": share for s in range(n)}


def test_a_better_challenger_is_promoted_and_a_worse_one_is_not() -> None:
    better, worse = table(speakers(0.8)), table(speakers(0.5))

    assert gate(better, worse).better
    assert not gate(worse, better).better


def test_equal_predictions_keep_the_champion() -> None:
    verdict = gate(table(speakers(0.5)), table(speakers(0.5)))

    assert verdict == Comparison(False, verdict.reason, 0.0, (0.0, 0.0), 1.0)
    assert "Equal" in verdict.reason


def test_equal_scores_with_other_predictions_keep_the_champion() -> None:
    """Right on other utterances, but on as many of each emotion."""
    old = table({"01": 0.5, "02": 1.0})
    new = table({"01": 1.0, "02": 0.5})

    verdict = gate(new, old)

    assert not verdict.better
    assert verdict.delta_uar == 0


def test_delta_is_the_difference_of_the_uars() -> None:
    old, new = table({"01": 0.3, "02": 0.6}), table({"01": 0.5, "02": 0.7})

    verdict = gate(new, old)

    assert verdict.delta_uar == pytest.approx(uar(new) - uar(old))
    assert f"{uar(old):.3f} → {uar(new):.3f}" in verdict.reason


def test_the_interval_and_the_probability_agree_with_a_plain_bootstrap() -> None:
    """The second route: resample whole speakers' rows, and score each table anew."""
    rng = np.random.default_rng(1)
    shares = [dict(zip("abcdefgh", rng.uniform(0.3, 0.9, 8), strict=True)) for _ in range(2)]
    old, new = (table(share, per_speaker=12) for share in shares)
    names = sorted(shares[0])

    gains = []
    for _ in range(200):
        drawn = rng.choice(names, len(names))
        pair = [pd.concat([t[t["speaker"] == s] for s in drawn]) for t in (new, old)]
        gains.append(uar(pair[0]) - uar(pair[1]))
    verdict = gate(new, old)

    assert verdict.ci95 == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=0.05)
    assert verdict.probability == pytest.approx(np.mean(np.array(gains) >= 0), abs=0.08)


def test_what_the_gate_asks_for_decides() -> None:
    """Better on most speakers, much worse on one: sure enough for 50 %, not for 99 %."""
    old = table(speakers(0.5))
    new = table({**speakers(0.7), "00": 0.2})

    assert gate(new, old, min_probability=0.5).better
    assert not gate(new, old, min_probability=0.99).better


def test_the_order_of_the_rows_does_not_matter() -> None:
    old, new = table({"01": 0.3, "02": 0.6}), table({"01": 0.5, "02": 0.55})

    assert gate(new.sample(frac=1, random_state=3), old) == gate(new, old)


def test_rows_that_only_the_champion_has_are_left_out() -> None:
    new = table(speakers(0.6, n=3))
    old = table({**speakers(0.5, n=3), "far better": 1.0})

    assert gate(new, old) == gate(new, old[old["speaker"] != "far better"])


def test_a_champion_that_misses_utterances_is_not_compared() -> None:
    with pytest.raises(TableError, match="no prediction for 30 of the challenger's 60"):
        gate(table(speakers(0.6, n=2)), table(speakers(0.6, n=1)))


def test_an_utterance_that_is_predicted_twice_is_refused() -> None:
    twice = pd.concat([table(speakers(0.6))] * 2)

    with pytest.raises(TableError, match="more than once"):
        gate(twice, table(speakers(0.5)))


def test_corrected_labels_count_for_both() -> None:
    """The champion was scored under an old label; today's manifest is the truth."""
    new = table(speakers(0.6))
    old = new.assign(emotion="anger")

    assert not gate(new, old).better
    assert gate(new, old).delta_uar == 0


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_test_speakers_than_declared_are_no_evidence(count: int) -> None:
    better = table(speakers(0.9, n=count))
    verdict = gate(better, table(speakers(0.5, n=count)), min_speakers=3)

    assert not verdict.better
    assert verdict.reason.startswith("No evidence")
    assert verdict.probability is None


def posteriors(uttered: list[str], **columns: list[float]) -> pd.DataFrame:
    """Predictions of two speakers in turn, with posteriors by emotion."""
    values = pd.DataFrame({f"p_{emotion}": column for emotion, column in columns.items()})
    n = len(uttered)
    names = pd.DataFrame(
        {
            "corpus": "corpus",
            "file": [f"{i}.wav" for i in range(n)],
            "start": 0.0,
            "end": 1.0,
            "speaker": [f"{i % 2}" for i in range(n)],
            "emotion": uttered,
            "predicted": values.idxmax(axis=1).str.removeprefix("p_"),
        }
    )
    return names.join(values)


CALM_AS_NEUTRAL = LabelRule(None, {"calm": "neutral"})


def test_a_champion_of_other_labels_is_judged_under_one_rule() -> None:
    """It says calm where today's labels have neutral: that is right."""
    old = posteriors(
        ["neutral", "neutral", "anger", "anger"],
        neutral=[0.3, 0.6, 0.1, 0.1],
        calm=[0.6, 0.3, 0.0, 0.1],
        anger=[0.1, 0.1, 0.9, 0.8],
    )
    new = posteriors(
        ["neutral", "neutral", "anger", "anger"],
        neutral=[0.9, 0.2, 0.2, 0.1],
        anger=[0.1, 0.8, 0.8, 0.9],
    )
    pair = under_one_rule(new, old, [CALM_AS_NEUTRAL])
    assert pair is not None
    assert uar(pair[1]) == 1.0
    assert not gate(*pair).better


def test_a_champion_of_merged_labels_is_judged_under_its_own_rule() -> None:
    """Today calm is told from neutral again, which the champion cannot."""
    new = posteriors(
        ["neutral", "calm", "anger"],
        neutral=[0.4, 0.5, 0.1],
        calm=[0.5, 0.4, 0.1],
        anger=[0.1, 0.1, 0.8],
    )
    old = posteriors(["neutral", "calm", "anger"], neutral=[0.9, 0.8, 0.2], anger=[0.1, 0.2, 0.8])
    pair = under_one_rule(new, old, [LabelRule(), CALM_AS_NEUTRAL])
    assert pair is not None
    assert uar(pair[0]) == uar(pair[1]) == 1.0


def test_utterances_of_dropped_emotions_count_for_neither() -> None:
    old = posteriors(
        ["neutral", "fear", "anger"],
        neutral=[0.6, 0.1, 0.1],
        fear=[0.3, 0.8, 0.6],
        anger=[0.1, 0.1, 0.3],
    )
    new = posteriors(["neutral", "anger"], neutral=[0.6, 0.1], anger=[0.4, 0.9])
    new["file"] = ["0.wav", "2.wav"]
    pair = under_one_rule(new, old, [LabelRule(("neutral", "anger"))])
    assert pair is not None
    assert list(pair[1]["predicted"]) == ["neutral", "anger"]


def test_what_one_of_two_models_never_learnt_is_not_compared() -> None:
    new = posteriors(["neutral", "boredom"], neutral=[0.6, 0.1], boredom=[0.4, 0.9])
    old = posteriors(["neutral", "boredom"], neutral=[0.6, 0.1], anger=[0.4, 0.9])
    assert under_one_rule(new, old, [LabelRule(), CALM_AS_NEUTRAL]) is None


def recordings(names: list[str], speaker: str) -> pd.DataFrame:
    """Rows of recordings whose samples and fingerprints follow from their names."""
    marks = [fingerprint(voice(seconds=1.5, seed=ord(name)), sr=SR) for name in names]
    return pd.DataFrame(
        {
            "speaker": speaker,
            "sha256": "of one file",
            "audio_sha256": [f"samples of {name}" for name in names],
            "fingerprint": marks,
        }
    )


def test_who_was_trained_on_is_recognised_under_another_name() -> None:
    trained = recordings(["a", "b", "c"], "old/1")
    same_samples = recordings(["a"], "new/1")
    recoded = recordings(["b"], "new/2").assign(audio_sha256="other")
    stranger = recordings(["z"], "new/3").assign(fingerprint=None)
    test = pd.concat([same_samples, recoded, stranger], ignore_index=True)
    assert trained_speakers(test, trained) == {"new/1", "new/2"}


def test_the_utterances_that_were_tested_have_one_hash_in_any_order() -> None:
    some, others = table(speakers(0.5)), table(speakers(0.5, n=5))
    assert utterances_sha256(some) == utterances_sha256(some.sample(frac=1, random_state=3))
    assert utterances_sha256(some) == utterances_sha256(table(speakers(0.9)))
    assert utterances_sha256(some) != utterances_sha256(others)
