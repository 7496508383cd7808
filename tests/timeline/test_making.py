"""A recording of any length is the same timeline, in whatever blocks and processes it comes."""

import json

import numpy as np
import pytest

from ser.core.timeline.values import ModelOf
from ser.core.utterance.waveform import resample
from ser.errors import CancellingAudio
from ser.params import AFTER_TRAINING, Params
from ser.params.timeline import TimelineParams
from ser.stages.learning import chosen_params
from ser.timeline import making, samples
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


def test_channels_that_cancel_are_not_called_silent(predictor, call):
    inverted = np.concatenate([call[:, :1], -call[:, :1]], axis=1)
    with pytest.raises(CancellingAudio, match="channels: each"):
        made(predictor, inverted, params=TimelineParams(channels="mix"))
    assert [c.name for c in made(predictor, inverted).channels] == ["left", "right"]
    # Parties that say nothing are no reason.
    for silent in (1, 7):
        nothing = np.zeros((len(call), silent), np.float32)
        mixed = made(
            predictor,
            np.concatenate([call[:, :1], nothing], axis=1),
            params=TimelineParams(channels="mix"),
        )
        assert mixed.channels[0].turns


@pytest.mark.parametrize("sr", [8_000, 22_050, 48_000])
def test_a_rate_of_its_own_gives_the_same_timeline(predictor, call, sr):
    y = resample(np.ascontiguousarray(call[:, 0]), sr_in=SR, sr_out=sr)[:, None]
    expected = made(predictor, call[:, :1]).channels[0]
    found = timeline_of(predictor, blocks_of(y, 4_321, sr), file="", model=MODEL).channels[0]
    # Below 4 kHz there is less to hear.
    tolerance = 0.5 if sr < SR else 0.1
    assert len(found.speech) == len(expected.speech)
    for one, own in zip(found.speech, expected.speech, strict=True):
        assert (one.start, one.end) == pytest.approx((own.start, own.end), abs=tolerance)


@pytest.mark.parametrize(
    "y",
    [np.zeros((1, 1)), np.zeros((SR // 50, 2)), np.zeros((20 * SR, 3)), np.full((SR, 1), 0.3)],
    ids=["a sample", "a moment", "silence", "an offset"],
)
def test_what_holds_no_speech_is_an_empty_timeline(predictor, y):
    timeline = made(predictor, y.astype(np.float32))
    for channel in timeline.channels:
        assert channel.turns == ()
        assert channel.change.answered_seconds == 0
    json.dumps(document(timeline), allow_nan=False)


@pytest.mark.parametrize("seconds", [0.3, 1.1, 2.02, 7.0, 10.05, 41.0, 95.0])
def test_an_envelope_of_any_length_holds_every_extreme(seconds, monkeypatch):
    monkeypatch.setattr(samples, "MOST_PAIRS", 500)
    y = noise(seconds=seconds)
    envelope, size = samples.Envelope(), samples.block_size(SR)
    for start in range(0, y.size, size):
        envelope.add(y[start : start + size])
    pairs = envelope.pairs()
    assert 1 <= len(pairs) <= 501
    assert (pairs[:, 0].min(), pairs[:, 1].max()) == (y.min(), y.max())
    # Each pair is of its own part of the recording.
    for extreme, found in (
        (y.argmax(), pairs[:, 1].argmax()),
        (y.argmin(), pairs[:, 0].argmin()),
    ):
        assert found == pytest.approx(extreme / y.size * len(pairs), abs=1.5)


def test_how_timelines_are_made_is_no_part_of_a_model():
    other = Params(timeline=TimelineParams(hop_seconds=2.0))
    assert chosen_params(other) == chosen_params(Params())
    assert "timeline" in AFTER_TRAINING
