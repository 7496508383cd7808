"""A recording of any length is the same timeline, in whatever blocks and processes it comes."""

import json

import numpy as np
import pytest

from ser.core.timeline.values import ModelOf
from ser.params import AFTER_TRAINING, Params
from ser.params.timeline import TimelineParams
from ser.stages.learning import chosen_params
from ser.timeline import making
from ser.timeline.document import document
from ser.timeline.making import timeline_of
from support.signals import noise

SR = 16_000
MODEL = ModelOf("ensemble", "0" * 64)


def blocks_of(y, size, sr=SR):
    return ((y[start : start + size], sr) for start in range(0, len(y), size))


def made(predictor, y, *, size=50_000, **options):
    return timeline_of(predictor, blocks_of(y, size), file="call.wav", model=MODEL, **options)


@pytest.fixture(scope="module")
def call(spoken):
    """Two parties, each on a channel, in turn: float32 (n_samples, 2)."""
    rng, parts = np.random.default_rng(5), []
    for number, (_, _, y) in enumerate(spoken[:12]):
        part = np.zeros((y.size + round(SR * rng.uniform(0.1, 1.5)), 2), np.float32)
        part[: y.size, number // 3 % 2] = y * rng.uniform(0.2, 1.0)
        parts.append(part)
    together = np.concatenate(parts)
    return together + noise(seconds=len(together) / SR + 1, level=1e-4)[: len(together), None]


def test_neither_blocks_nor_processes_change_a_timeline(predictor, call, monkeypatch):
    monkeypatch.setattr(making, "PART_SECONDS", 5.0)
    expected = document(made(predictor, call, processes=1))
    for size, processes in ((999, 1), (len(call), 2), (16_001, 3)):
        assert document(made(predictor, call, size=size, processes=processes)) == expected
    turns = [channel["turns"] for channel in expected["channels"]]
    assert all(len(own) >= 3 for own in turns)
    json.dumps(expected, allow_nan=False)


def test_turns_are_the_speech_and_each_channel_has_its_own(predictor, call):
    timeline = made(predictor, call)
    assert [channel.name for channel in timeline.channels] == ["left", "right"]
    for number, channel in enumerate(timeline.channels):
        assert sum(turn.seconds for turn in channel.turns) == pytest.approx(
            channel.change.speech_seconds
        )
        assert len(channel.speech) > 2
        # Nobody speaks on one channel while the other party does.
        loud = np.abs(call[:, number]) > 0.01
        for one in channel.speech:
            assert loud[round(one.start * SR) : round(one.end * SR)].any()
        assert channel.envelope.max() == pytest.approx(call[:, number].max(), abs=1e-3)


def test_a_window_is_answered_as_the_predictor_answers_its_samples(predictor, call):
    y = call[:, :1]
    (channel,) = made(
        predictor, y, params=TimelineParams(stay_seconds=1e-6, stay_silence_seconds=1e-6)
    ).channels
    windows = channel.windows
    assert len(windows) > 3
    for start, end, found in zip(windows.start, windows.end, windows.posteriors, strict=True):
        own = y[round(start * SR) : round(end * SR), 0]
        expected = predictor.posteriors(own, sr=SR)
        assert found.argmax() == expected.argmax()


def test_alike_channels_are_one(predictor, call):
    both = np.repeat(call[:, :1], 2, axis=1)
    assert [c.name for c in made(predictor, both).channels] == ["mix"]
    each = made(predictor, both, params=TimelineParams(channels="each"))
    assert [c.name for c in each.channels] == ["left", "right"]


def test_how_timelines_are_made_is_no_part_of_a_model():
    other = Params(timeline=TimelineParams(hop_seconds=2.0))
    assert chosen_params(other) == chosen_params(Params())
    assert "timeline" in AFTER_TRAINING
