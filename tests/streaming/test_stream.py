"""Live audio is answered as the same samples sent whole, in whatever pieces it comes."""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ser.core.utterance.waveform import mono, resample
from ser.errors import AudioError
from ser.io.audio.read import load_mono
from ser.params import AbstentionParams, FeatureParams
from ser.params.serving import StreamParams
from ser.predictor import Predictor
from ser.streaming.events import Measurement, UtteranceEnd, UtteranceStart
from ser.streaming.extraction import Batch, Incremental, extraction_for
from ser.streaming.stream import Stream
from support.signals import noise
from support.sounds import SOUNDS

SR = 16_000
PARAMS = StreamParams()


def int16(y: np.ndarray) -> np.ndarray:
    return np.clip(np.round(y * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def as_wav(samples: np.ndarray) -> np.ndarray:
    """int16 samples, as a server reads them from a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, samples, SR, format="WAV", subtype="PCM_16")
    return load_mono(file.getvalue())[0]


def events_of(predictor, samples, *, chunk=1_600, params=PARAMS, **options):
    stream = Stream(predictor, params, **options)
    events = []
    for start in range(0, len(samples), chunk):
        events += stream.feed(samples[start : start + chunk])
    return events + stream.close()


def measured(events, trigger):
    return [e for e in events if isinstance(e, Measurement) and e.trigger == trigger]


def assert_as_sent_whole(predictor, samples, events, *, voice=None):
    """Intervals have the posteriors, finals the whole prediction, of a WAV of their samples."""
    y = as_wav(samples)
    for event in events:
        if not isinstance(event, Measurement):
            continue
        own, found = y[event.start_sample : event.stop_sample], event.prediction
        if event.trigger == "interval" and found.posteriors:
            # Novelty and confidence abstain as in batch; the speech is the stream's to count.
            extracted = predictor.front_end.extract(own, sr=SR)
            (expected,) = predictor.answer([extracted], voice=voice)
            assert found.posteriors == pytest.approx(expected.posteriors, abs=1e-4)
            assert found.emotion == expected.emotion
            assert found.candidates == expected.candidates
        elif event.trigger == "speech_ended":
            expected = predictor.predict(own, sr=SR, voice=voice)
            assert found.emotion == expected.emotion
            assert found.candidates == expected.candidates
            assert (found.abstention is None) == (expected.abstention is None)
            if expected.abstention:
                assert found.abstention.reason == expected.abstention.reason
            assert found.posteriors == pytest.approx(expected.posteriors, abs=1e-4)
            assert found.enrolled_clips == expected.enrolled_clips


@pytest.fixture(scope="module")
def call(spoken):
    """Half a minute of two speakers with pauses of all lengths: int16 (n_samples,)."""
    rng, parts = np.random.default_rng(5), [np.zeros(SR)]
    for _, _, y in spoken[:13]:
        parts += [y * rng.uniform(0.1, 1.0), np.zeros(round(SR * rng.choice([0.05, 0.3, 0.9])))]
    y = np.concatenate(parts)
    return int16(y + noise(seconds=y.size / SR + 1, level=1e-4)[: y.size])


@pytest.fixture(scope="module")
def answered(predictor, call):
    return events_of(predictor, call)


def test_a_call_has_utterances_intervals_and_finals(answered):
    starts = [e for e in answered if isinstance(e, UtteranceStart)]
    ends = [e for e in answered if isinstance(e, UtteranceEnd)]
    finals = measured(answered, "speech_ended")
    assert len(starts) == len(ends) == len(finals) >= 3
    assert len(measured(answered, "interval")) >= 5
    for start, final, end in zip(starts, finals, ends, strict=True):
        assert start.start_sample == final.start_sample == end.start_sample
        assert final.stop_sample == end.stop_sample
        assert answered.index(end) == answered.index(final) + 1
    assert all(e.at_ms == round(e.start_sample / 16) for e in starts)


def test_answers_are_those_of_the_same_samples_sent_whole(predictor, call, answered):
    assert_as_sent_whole(predictor, call, answered)


@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_any_chunks_give_the_same_events(predictor, call, answered, data):
    stream, events = Stream(predictor, PARAMS), []
    cuts = data.draw(st.lists(st.integers(0, call.size), max_size=60))
    edges = [0, *sorted(cuts), call.size]
    for start, stop in pairwise(edges):
        events += stream.feed(call[start:stop])
    assert events + stream.close() == answered


@pytest.mark.parametrize("chunk", [1_601, 8_000, 160_000, 10**7])
def test_odd_and_long_chunks_give_the_same_events(predictor, call, answered, chunk):
    assert events_of(predictor, call, chunk=chunk) == answered


def test_single_samples_give_the_same_events(predictor, spoken):
    y = int16(np.concatenate([spoken[0][2][: 2 * SR], np.zeros(SR)]))
    assert events_of(predictor, y, chunk=1) == events_of(predictor, y, chunk=y.size)


@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_whatever_is_fed_the_final_is_that_of_the_same_samples(predictor, spoken, data):
    draw = data.draw
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        sound = draw(st.sampled_from(["spoken", *SOUNDS]))
        y = spoken[draw(st.integers(0, 35))][2] if sound == "spoken" else SOUNDS[sound](1.0)
        parts.append(y * draw(st.sampled_from([1.0, 0.1, 0.003])))
        parts.append(np.zeros(draw(st.integers(0, SR))))
    samples = int16(np.concatenate(parts) + draw(st.sampled_from([0.0, 0.1])))
    events = events_of(predictor, samples, chunk=draw(st.integers(400, 30_000)))
    assert_as_sent_whole(predictor, samples, events)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y: y * 0.003,
        lambda y: y + 0.2,
        lambda y: np.clip(y * 30, -0.5, 0.5),
        lambda y: y + SOUNDS["hum"](y.size / SR + 1)[: y.size] * 0.2,
    ],
    ids=["very quiet", "offset", "clipped", "hum"],
)
def test_spoilt_speech_is_answered_as_sent_whole(bundle, spoken, spoil):
    predictor = Predictor(bundle)
    y = np.concatenate([np.zeros(SR), spoken[0][2], spoken[7][2], np.zeros(SR)])
    samples = int16(spoil(y))
    events = events_of(predictor, samples)
    assert measured(events, "speech_ended")
    assert_as_sent_whole(predictor, samples, events)


@pytest.mark.parametrize("name", ["silence", "offset", "white noise", "faint noise", "a tone"])
def test_where_nobody_speaks_nothing_happens(predictor, name):
    assert events_of(predictor, int16(SOUNDS[name](6.0))) == []


def long_speech(spoken, seconds: float) -> np.ndarray:
    y = np.concatenate([y for _, _, y in spoken])
    return int16(np.tile(y, 1 + round(seconds * SR) // y.size)[: round(seconds * SR)])


def test_after_thirty_seconds_an_utterance_ends_and_another_goes_on(predictor, spoken):
    samples = long_speech(spoken, 34.0)
    events = events_of(predictor, samples)
    (first, *_, last) = [e for e in events if isinstance(e, UtteranceEnd)]
    assert (first.stop_sample - first.start_sample, first.reason) == (30 * SR, "longest")
    assert last.stop_sample <= samples.size
    assert_as_sent_whole(predictor, samples, events)
    starts = [e.start_sample for e in events if isinstance(e, UtteranceStart)]
    assert starts[1] >= first.stop_sample


def test_speech_until_the_close_has_its_final(predictor, spoken):
    samples = int16(spoken[0][2])[: 2 * SR]
    stream = Stream(predictor, PARAMS)
    stream.feed(samples)
    assert not stream.is_idle
    final, end = stream.close()
    assert (final.trigger, end.reason, end.stop_sample) == ("speech_ended", "closed", 2 * SR)
    assert stream.is_idle
    assert stream.close() == []
    assert_as_sent_whole(predictor, samples, [final])


def test_windows_too_short_for_a_frame_have_a_reason_and_no_error(bundle, spoken):
    predictor = Predictor(replace(bundle, abstention=AbstentionParams(min_speech_seconds=0)))
    events = events_of(predictor, int16(spoken[0][2]), params=StreamParams(window_seconds=0.05))
    assert measured(events, "interval")
    for event in measured(events, "interval"):
        assert event.prediction.abstention.reason == "too_short"
    assert measured(events, "speech_ended")[0].prediction.posteriors


def test_positions_go_on_where_another_stream_stopped(predictor, call, answered):
    (first, *_) = events_of(predictor, call, start=160_000)
    assert first.start_sample == answered[0].start_sample + 160_000
    assert first.at_ms == answered[0].at_ms + 10_000


def test_floats_and_16_bits_are_the_same_samples(predictor, call, answered):
    floats = call.astype(np.float32) / 2**15
    assert events_of(predictor, floats) == answered


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(10, np.float64), "float32 or int16"),
        (np.zeros((10, 2), np.int16), "shape"),
        (np.full(10, np.inf, np.float32), "finite"),
    ],
)
def test_samples_that_are_refused_change_nothing(predictor, call, answered, samples, message):
    stream, events = Stream(predictor, PARAMS), []
    for start in range(0, call.size, 100_000):
        with pytest.raises(AudioError, match=message):
            stream.feed(samples)
        events += stream.feed(call[start : start + 100_000])
    assert events + stream.close() == answered


def test_an_array_that_is_used_again_spoils_nothing(predictor, call, answered):
    stream, events, buffer = Stream(predictor, PARAMS), [], np.empty(1_600, np.float32)
    for start in range(0, call.size - 1_600, 1_600):
        buffer[:] = call[start : start + 1_600] / np.float32(2**15)
        events += stream.feed(buffer)
        buffer[:] = 1.0
    assert events == answered[: len(events)]
    assert len(events) > 10


def test_a_server_that_lags_computes_the_newest_hop_and_drops_no_final(predictor, call, answered):
    stream, events = Stream(predictor, PARAMS), []
    for start in range(0, call.size, 48_000):
        fed = stream.feed(call[start : start + 48_000], newest_only=True)
        assert len(measured(fed, "interval")) <= 1
        events += fed
    events += stream.close()
    kept, all_of_them = measured(events, "interval"), measured(answered, "interval")
    assert 0 < len(kept) < len(all_of_them)
    by_place = {e.stop_sample: e.prediction for e in all_of_them}
    for event in kept:
        assert event.prediction.posteriors == pytest.approx(
            by_place[event.stop_sample].posteriors, abs=1e-6
        )
    finals = measured(events, "speech_ended")
    assert [(e.start_sample, e.stop_sample) for e in finals] == [
        (e.start_sample, e.stop_sample) for e in measured(answered, "speech_ended")
    ]
    dropped = sum(e.dropped_ms for e in kept + finals)
    assert dropped == 500 * (len(all_of_them) - len(kept))
    assert all(e.dropped_ms == 0 for e in measured(answered, "interval"))


def test_a_known_speaker_is_answered_as_such(bundle, call, spoken):
    predictor = Predictor(bundle)
    voice = predictor.enrol([(y.astype(np.float32), SR) for _, _, y in spoken[:4]])
    events = events_of(predictor, call, voice=voice)
    (final, *_) = measured(events, "speech_ended")
    assert final.prediction.enrolled_clips == 4
    assert_as_sent_whole(predictor, call, events, voice=voice)


def test_the_label_is_steady_and_smoothed_posteriors_lag(answered, predictor):
    classes = predictor.bundle.classes
    state, label = None, None
    for event in answered:
        if isinstance(event, UtteranceStart):
            state, label, at = None, None, event.start_sample
        elif isinstance(event, Measurement) and event.trigger == "interval":
            own = np.array([event.prediction.posteriors[c] for c in classes])
            share = 1 - np.exp(-(event.stop_sample - at) / SR)
            state = own if state is None else state + share * (own - state)
            at = event.stop_sample
            assert [event.smoothed[c] for c in classes] == pytest.approx(list(state))
            top = classes[int(state.argmax())]
            if label is None or event.smoothed[top] - event.smoothed[label] >= 0.1:
                label = top
            assert event.label == label
        elif isinstance(event, Measurement):
            assert event.smoothed == event.prediction.posteriors
            assert event.label == event.prediction.emotion


def test_where_an_interval_abstains_there_is_no_label(bundle, spoken):
    strict = Predictor(replace(bundle, abstention=AbstentionParams(min_confidence=1.0)))
    samples = int16(np.concatenate([spoken[0][2], spoken[1][2]]))
    for event in measured(events_of(strict, samples), "interval"):
        assert event.prediction.abstention.reason in ("unsure", "out_of_domain")
        assert event.prediction.posteriors
        assert (event.label, event.smoothed) == (None, {})


def test_clipping_is_found_while_somebody_speaks(predictor, spoken):
    loud = np.clip(np.concatenate([spoken[0][2], spoken[1][2]]) * 50, -0.5, 0.5)
    events = events_of(predictor, int16(loud))
    assert measured(events, "interval")
    for event in measured(events, "interval"):
        assert event.prediction.abstention.reason == "clipped"
        assert event.prediction.posteriors == {}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, Incremental),
        ({"features": FeatureParams(sr=8_000, n_fft=512, n_contrast=5)}, Batch),
        ({"features": FeatureParams(hop_length=128)}, Batch),
        ({"encoder_sr": 16_000}, Batch),
    ],
    ids=["default", "another rate", "another hop", "an encoder"],
)
def test_one_place_chooses_how_features_are_made(predictor, spoken, change, kind):
    front_end = replace(predictor.front_end, **change)
    extraction = extraction_for(front_end, sr=SR)
    assert isinstance(extraction, kind)
    y = spoken[0][2].astype(np.float32)
    extraction.extend(y[:9_000])
    extraction.extend(y[9_000:])
    for found, expected in (
        (extraction.extract(0, y.size), front_end.extract(y, sr=SR)),
        (extraction.take(), front_end.take(y, sr=SR)),
    ):
        np.testing.assert_allclose(
            found.features.functionals, expected.features.functionals, rtol=1e-3, atol=1e-3
        )
        assert (found.waveform is None) == (expected.waveform is None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sr": 8_000}, "16000"),
        ({"window_seconds": 5.0, "longest_seconds": 4.0}, "must not exceed"),
        ({"hop_seconds": 0.0}, "greater than or equal"),
        ({"windows": 3.0}, "Extra inputs"),
    ],
)
def test_options_that_do_not_fit_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        StreamParams(**values)


def test_actors_are_answered_as_sent_whole(predictor, real_corpora):
    files = sorted((real_corpora / "ravdess").rglob("*.flac"))[::180]
    clips = [soundfile.read(file, dtype="float32") for file in files]
    y = np.concatenate([resample(mono(y), sr_in=sr, sr_out=SR) for y, sr in clips])
    events = events_of(predictor, int16(y))
    assert len(measured(events, "speech_ended")) >= 4
    assert_as_sent_whole(predictor, int16(y), events)
