"""Where utterances begin and end, and when they are measured."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ser.core.streaming.utterances import Began, Due, Ended, UtteranceTracker
from ser.params.serving import StreamParams

FRAME, SR = 512, 16_000
PARAMS = StreamParams()


def steps_of(flags, *, stop=None, cuts=(), params=PARAMS, start=0):
    """All steps of flags (n_frames,), the samples coming in pieces that end at `cuts`."""
    tracker = UtteranceTracker(params, frame=FRAME, start=start)
    stop = start + len(flags) * FRAME if stop is None else stop
    steps, taken = [], 0
    for cut in (*sorted(cuts), stop):
        n = (cut - start) // FRAME
        steps += tracker.advance(cut, flags[taken:n])
        taken = n
    return steps + tracker.close(stop)


def speech(seconds):
    return [True] * round(seconds * SR / FRAME)


def silence(seconds):
    return [False] * round(seconds * SR / FRAME)


stretches = st.lists(
    st.tuples(st.booleans(), st.integers(1, 120)).map(lambda pair: [pair[0]] * pair[1]),
    min_size=1,
    max_size=12,
).map(lambda parts: [flag for part in parts for flag in part])


@settings(deadline=None)
@given(stretches, st.lists(st.integers(0, 1440 * FRAME), max_size=30), st.integers(0, 9_999))
def test_steps_do_not_depend_on_how_samples_come(flags, cuts, start):
    stop = start + len(flags) * FRAME + 100
    cuts = [start + cut for cut in cuts if start + cut <= stop]
    assert steps_of(flags, stop=stop, cuts=cuts, start=start) == steps_of(
        flags, stop=stop, start=start
    )


@settings(deadline=None)
@given(stretches)
def test_utterances_are_in_order_apart_and_hold_what_is_voiced(flags):
    steps = steps_of(flags)
    ended = [step for step in steps if isinstance(step, Ended)]
    assert [step.start for step in steps if isinstance(step, Began)] == [e.start for e in ended]
    assert all(a.stop <= b.start for a, b in pairwise(ended))
    assert all(0 < e.stop - e.start <= 30 * SR for e in ended)
    # Of a frame in which one utterance ended the next one has the rest alone.
    lost = FRAME * sum(flags) - sum(e.voiced for e in ended)
    assert 0 <= lost < FRAME * max(1, len(ended))


def test_silence_has_no_steps():
    assert steps_of(silence(60)) == []


def test_an_utterance_has_its_preroll_and_the_silence_that_ends_it():
    began, *due, ended = steps_of(silence(1) + speech(2) + silence(1))
    first, last = len(silence(1)) * FRAME, len(silence(1) + speech(2)) * FRAME
    assert began == Began(first - 4_800)
    assert ended == Ended(first - 4_800, last + 8_000, last - first, "silence")
    assert [(d.stop - d.start) / SR for d in due] == [2.0, 2.5]


def test_no_interval_comes_before_enough_is_voiced():
    _, *due, _ = steps_of(speech(3) + silence(1))
    # At 1.0 s too little is voiced.
    assert due[0] == Due(0, 24_000, 24_000 // FRAME * FRAME)
    assert due[0].voiced >= 1.2 * SR


def test_a_short_pause_ends_nothing():
    steps = steps_of(speech(1) + silence(0.4) + speech(1) + silence(1))
    assert [type(step) for step in steps].count(Ended) == 1


def test_a_window_is_never_longer_than_asked_and_voiced_counts_it_alone():
    *_, last, _ = steps_of(speech(4) + silence(0.3) + speech(2.2))
    assert isinstance(last, Due)
    assert last.stop - last.start == 3 * SR
    assert 2.6 * SR < last.voiced < 2.75 * SR


def test_the_longest_utterance_ends_at_exactly_its_length_and_another_goes_on():
    steps = steps_of(speech(61))
    ended = [step for step in steps if isinstance(step, Ended)]
    assert [(e.start, e.stop, e.reason) for e in ended[:2]] == [
        (0, 480_000, "longest"),
        (480_000, 960_000, "longest"),
    ]
    # Nothing is due at the end itself: the whole is measured there.
    assert 480_000 not in [step.stop for step in steps if isinstance(step, Due)]
    assert ended[2].start == 960_000
    assert ended[2].reason == "closed"


def test_a_preroll_takes_nothing_of_the_utterance_before():
    first, second = (
        step
        for step in steps_of(speech(1) + silence(0.55) + speech(1) + silence(1))
        if isinstance(step, Ended)
    )
    assert second.start == first.stop


def test_hops_before_the_voice_was_found_are_not_made_up_for():
    params = StreamParams(hop_seconds=0.1, first_voiced_seconds=0)
    began, first, *_ = steps_of(silence(1) + speech(1), params=params)
    found = len(silence(1)) * FRAME + FRAME
    assert found < first.stop <= found + 1_600
    assert (first.stop - began.start) % 1_600 == 0
