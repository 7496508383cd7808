"""Which answers are compared, and what a look says."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from ser.core.drift.reference import Reference
from ser.io.storage.traffic_files import SCHEMA
from ser.monitoring.drift import Drift, limits_from, look_at
from ser.params.flow import DriftParams

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SHA = "a" * 64


def log(n: int, seed: int = 0, **values: object) -> pd.DataFrame:
    """Rows of the traffic log, one a second until now."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(index=range(n), columns=SCHEMA.names).assign(
        time=pd.to_datetime([NOW - timedelta(seconds=n - i) for i in range(n)]),
        source="server",
        interface="rest",
        bundle_sha256=SHA,
        duration_seconds=rng.normal(3.5, 0.5, n),
        snr_db=rng.normal(33, 3, n),
        bandwidth_hz=8000.0,
        pitch_hz=rng.normal(190, 50, n),
        novelty=rng.normal(0.8, 0.1, n),
        confidence=rng.uniform(0.4, 1, n),
        emotion="anger",
    )
    return table.assign(**values)


def later(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, one a second until now, in their order."""
    n = len(rows)
    return rows.assign(time=pd.to_datetime([NOW - timedelta(seconds=n - i) for i in range(n)]))


@pytest.fixture(scope="module")
def reference() -> Reference:
    table = log(600, seed=1)
    return Reference.of(table, speaker=np.arange(600) % 10, seed=7)


def look(rows: pd.DataFrame, reference: Reference, **known: object) -> Drift:
    return look_at(
        rows,
        reference,
        DriftParams(clips=100),
        at=NOW,
        version=3,
        bundle_sha256=SHA,
        known=known,
        seed=7,
    )


def test_answers_like_the_training_speech_are_no_drift(reference):
    found = look(log(150), reference)
    assert not found.drifted
    assert found.summary == "No drift in the last 100 answers."


def test_only_the_last_answers_count(reference):
    rows = pd.concat([log(100, snr_db=5.0), log(100)], ignore_index=True)
    rows = later(rows)
    assert not look(rows, reference).drifted
    assert look(rows.iloc[:150], reference).drifted


def test_answers_of_another_bundle_do_not_count(reference):
    found = look(log(150, bundle_sha256="b" * 64), reference)
    assert found.slices[0].answers == 0
    assert found.slices[0].waits == "0 of 100 answers that are needed."


def test_one_way_of_asking_that_drifted_is_found_among_the_others(reference):
    """150 good recordings by the app since the gateway's last: in all answers it is not seen."""
    rows = pd.concat([log(120, interface="stream", bandwidth_hz=4000.0), log(150)])
    rows["time"] = pd.to_datetime(
        [NOW - timedelta(seconds=len(rows) - i) for i in range(len(rows))]
    )
    found = {one.name: one for one in look(rows, reference).slices}
    assert found["all"].drifted == []
    assert found["server rest"].drifted == []
    assert "bandwidth_hz" in found["server stream"].drifted


def test_the_length_of_a_streams_utterances_is_ours(reference):
    found = look(log(150, interface="stream", duration_seconds=0.6), reference)
    assert not found.drifted
    assert "duration_seconds" not in {one.figure for one in found.slices[0].findings}
    assert look(log(150, duration_seconds=0.6), reference).drifted


def test_mostly_answers_without_an_emotion_are_drift(reference):
    rows = log(150)
    rows.loc[rows.index[-60:], "emotion"] = None
    found = look(rows, reference)
    assert found.slices[0].unanswered == pytest.approx(0.6)
    assert found.summary == "Drift in all answers: answers without an emotion."


def test_a_look_is_json_and_its_limits_are_used_again(reference):
    first = look(log(150), reference)
    known = limits_from(json.loads(json.dumps(first.to_dict())))
    assert known == dict(first.limits)
    assert look(log(150), reference, **known).to_dict() == first.to_dict()


def test_a_reference_of_one_corpus_more_still_finds_noise(reference):
    """Two corpora, one of them noisier: speakers lie in two heaps."""
    both = pd.concat([log(600, seed=2), log(600, seed=3, snr_db=26.0)], ignore_index=True)
    rng = np.random.default_rng(4)
    both["snr_db"] += rng.normal(0, 2, len(both))
    found = Reference.of(both, speaker=np.arange(1200) // 60, seed=7)
    noisy = log(150, snr_db=rng.normal(16, 2, 150))
    assert "snr_db" in look(noisy, found).slices[0].drifted
