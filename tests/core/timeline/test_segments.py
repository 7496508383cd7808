"""Parts of a recording, and the error rate of emotions over them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser.core.timeline.error import DiarizationError, diarization_error, majority_error
from ser.core.timeline.segments import Labelled, checked, joined, total_seconds
from ser.errors import TableError

TRUTH = (Labelled(0, 10, "anger"), Labelled(12, 20, "calm"))


@pytest.mark.parametrize(
    ("found", "missed", "false_alarm", "confused"),
    [
        (TRUTH, 0, 0, 0),
        ((), 18, 0, 0),
        ((Labelled(0, 20, "anger"),), 0, 2, 8),
        ((Labelled(0, 10, "anger"), Labelled(12, 20, None)), 8, 0, 0),
        # An abstention in silence is no false alarm.
        ((*TRUTH, Labelled(10, 12, None)), 0, 0, 0),
        ((Labelled(1, 9, "anger"), Labelled(11, 21, "calm")), 2, 2, 0),
        ((Labelled(0, 5, "fear"), Labelled(5, 10, "anger"), Labelled(30, 31, "calm")), 8, 1, 5),
    ],
    ids=["right", "nothing", "one emotion", "abstained", "in silence", "edges", "all kinds"],
)
def test_the_error_counts_what_a_hand_does(found, missed, false_alarm, confused):
    error = diarization_error(TRUTH, found)
    assert (error.speech, error.missed) == pytest.approx((18, missed))
    assert (error.false_alarm, error.confused) == pytest.approx((false_alarm, confused))
    assert error.eder == pytest.approx((missed + false_alarm + confused) / 18)


segments = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 9), st.sampled_from(["anger", "calm", None])),
    max_size=8,
)


def laid_out(parts, *, with_none):
    at, result = 0, []
    for seconds, pause, label in parts:
        at += pause
        if label or with_none:
            result.append(Labelled(at, at + seconds, label))
        at += seconds
    return result


@given(segments, segments)
def test_the_error_is_that_of_frames(truth, found):
    """The same by another route: labels each second, and a count."""
    truth, found = laid_out(truth, with_none=False), laid_out(found, with_none=True)
    if not truth:
        return
    error = diarization_error(truth, found)
    names = {"anger": 1, "calm": 2, None: 0}
    labels = np.zeros((2, 400), dtype=int)
    for row, own in zip(labels, (truth, found), strict=True):
        for one in own:
            row[one.start : one.end] = names[one.label]
    there, seems = labels
    assert error.missed == ((there > 0) & (seems == 0)).sum()
    assert error.false_alarm == ((there == 0) & (seems > 0)).sum()
    assert error.confused == ((there > 0) & (seems > 0) & (there != seems)).sum()
    assert error.speech == (there > 0).sum()


def test_the_majority_is_wrong_in_all_other_speech():
    assert majority_error(TRUTH) == DiarizationError(18, confused=8)


@pytest.mark.parametrize(
    ("truth", "found", "words"),
    [
        ([], [], "holds no segment"),
        ([Labelled(0, 2, "anger"), Labelled(1, 3, "calm")], [], "overlaps calm from 1.00 s on"),
        ([Labelled(2, 2, "anger")], [], "expected an end after a start"),
        ([Labelled(0, 2)], [], "without an emotion"),
        (TRUTH, [Labelled(0, 2, "calm"), Labelled(1, 3, "calm")], "The timeline: .* overlaps"),
    ],
)
def test_segments_that_make_no_sense_are_refused(truth, found, words):
    with pytest.raises(TableError, match=words):
        diarization_error(truth, found)


def test_neighbours_of_one_emotion_become_one_up_to_a_pause():
    parts = (Labelled(0, 1, "calm"), Labelled(2, 3, "calm"), Labelled(4.5, 6, "calm"))
    assert joined(parts, pause=1) == (Labelled(0, 3, "calm"), Labelled(4.5, 6, "calm"))
    assert total_seconds(checked(reversed(parts), source="")) == 3.5
