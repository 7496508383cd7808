"""One recording may hold many utterances: a table's `start` and `end`."""

from pathlib import PurePath

import numpy as np
import pandas as pd
import pytest

from ser.corpora.own.folder import COLUMNS, label_recordings
from ser.corpora.own.segments import count_overlaps, without_empty
from ser.corpora.own.shelf import labelled
from ser.errors import CorpusError

NAMES = ("file", "emotion", "speaker", "start", "end")


def labels(*rows, names=NAMES, seconds=60.0, files=("a.wav", "b.wav")):
    return label_recordings(
        [PurePath(file) for file in files],
        table=pd.DataFrame(rows, columns=list(names)),
        seconds_of=lambda file: seconds,
        drop_unlisted=True,
    )


def test_segments_of_one_recording_are_utterances_with_labels_of_their_own():
    rows = labels(("a.wav", "sad", "03", "5", "7.25"), ("./a.wav", "calm", "04", "0.5", "4"))
    assert list(rows.columns) == [*COLUMNS, "start", "end"]
    assert rows[["speaker", "start", "end"]].to_numpy().tolist() == [
        ["04", 0.5, 4.0],
        ["03", 5.0, 7.25],
    ]
    (both,) = labelled(rows).values()
    assert [(label.emotion, label.start, label.end) for label in both] == [
        ("calm", 0.5, 4.0),
        ("sadness", 5.0, 7.25),
    ]


def test_an_empty_start_is_the_beginning_and_an_empty_end_the_end():
    rows = labels(
        ("a.wav", "sad", "03", "", "5"),
        ("a.wav", "sad", "03", 5.0, None),
        ("b.wav", "sad", "03", "", " "),
    )
    np.testing.assert_array_equal(rows["start"], [0, 5, 0])
    np.testing.assert_array_equal(rows["end"], [5, np.nan, np.nan])
    assert [label.segment.is_whole for label in labelled(rows).values() if type(label) is not tuple]
    only_end = labels(("a.wav", "sad", "03", 5), names=(*NAMES[:3], "end"))
    assert only_end[["start", "end"]].to_numpy().tolist() == [[0, 5]]


def test_columns_without_a_time_say_that_recordings_are_whole():
    rows = labels(("a.wav", "sad", "03", "", ""), ("b.wav", "sad", "03", 0, None))
    assert list(without_empty(rows).columns) == list(COLUMNS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("7", 7), (".5", 0.5), ("1e-3", 0.001), ("0:07.5", 7.5), ("00:00:30.250", 30.25)],
        *[("1,5", 1.5), ("0,000", 0), ("0:07,5", 7.5), ("00:00:30,250", 30.25)],
    ],
)
def test_times_are_seconds_or_clock_times(text, seconds):
    assert labels(("a.wav", "sad", "03", text, "60"))["start"].tolist() == [seconds]


@pytest.mark.parametrize(
    "text",
    [
        *("-1", "1,2,5", "1,234.5", "1.5,2", "nan", "inf", "1:75", "5 s", "1_0", "1:2:3:4", "x"),
    ],
)
def test_what_is_no_time_is_counted_and_its_first_row_named(text):
    rows = [("a.wav", "sad", "03", "1", "2"), *[("a.wav", "sad", "03", text, "9")] * 2]
    with pytest.raises(CorpusError, match=r"Row 2 below the header: start is .*\(2 rows") as caught:
        labels(*rows)
    assert repr(text) in str(caught.value)
    assert "HH:MM:SS" in str(caught.value)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((5, 5), r"\(5.000 s to 5.000 s\) does not end after its start"),
        ((5, 4), "does not end after its start"),
        ((50, 60.02), "ends after the recording, which lasts 60.00 s"),
        ((1500, 3000), "ends after the recording, which lasts 60.00 s.*in seconds"),
        ((61, None), "starts after the recording"),
        ((1, 1.05), "lasts 0.050 s; expected at least 0.064 s"),
        ((59.99, None), "lasts 0.010 s; expected at least"),
    ],
)
def test_a_segment_outside_its_recording_or_shorter_than_a_window_is_refused(times, message):
    with pytest.raises(CorpusError, match=f"Row 2 below the header: a.wav .*{message}"):
        labels(("a.wav", "sad", "03", 0, 1), ("a.wav", "sad", "03", *times))


def test_an_end_may_be_rounded_up_by_a_hundredth():
    assert len(labels(("a.wav", "sad", "03", 59, 60.009))) == 1


def test_a_duration_stands_for_an_end():
    names = (*NAMES[:4], "duration")
    rows = labels(("a.wav", "sad", "03", "5", "2.5"), ("a.wav", "sad", "03", "", "1"), names=names)
    assert rows[["start", "end"]].to_numpy().tolist() == [[0, 1], [5, 7.5]]
    fact = labels(("a.wav", "sad", "03", 60), names=(*NAMES[:3], "duration"))
    assert list(without_empty(fact).columns) == list(COLUMNS)


def test_a_duration_beside_an_end_agrees_with_it_or_is_refused():
    names = (*NAMES, "duration")
    rows = labels(
        *[("a.wav", "sad", "03", 5, 7.5, 2.4), ("a.wav", "sad", "03", 1, 2, "")],
        ("a.wav", "sad", "03", 9, "", 1),
        names=names,
    )
    assert rows["end"].tolist() == [2, 7.5, 10]
    with pytest.raises(CorpusError, match=r"Row 2.*start 5 and duration 60 make the end 65, but "):
        labels(("a.wav", "sad", "03", 1, 2, 1), ("a.wav", "sad", "03", 5, 7, 60), names=names)


def test_a_segment_is_listed_once_and_not_beside_the_whole_recording():
    row = ("a.wav", "sad", "03", 1, 2)
    with pytest.raises(CorpusError, match=r"Row 2.*1\.000 s to 2\.000 s of a\.wav more than once"):
        labels(row, ("a.wav", "calm", "04", "1.0", "0:02"))
    with pytest.raises(CorpusError, match=r"Row 2.*a\.wav has neither start nor end, but has them"):
        labels(row, ("a.wav", "calm", "04", "", ""))


def test_overlaps_under_another_emotion_or_speaker_are_counted():
    row = ("a.wav", "sad", "03")
    assert count_overlaps(labels((*row, 0, 2), (*row, 1, 3))) == 0
    assert count_overlaps(labels((*row, 0, 2), ("a.wav", "calm", "03", 2, 3))) == 0
    assert count_overlaps(labels((*row, 0, 2), ("b.wav", "calm", "03", 1, 3))) == 0
    assert count_overlaps(labels((*row, 0, 2), ("a.wav", "calm", "03", 1, 3))) == 2
    to_the_end = (*row, 0.5, None)
    assert count_overlaps(labels(to_the_end, ("a.wav", "sad", "04", 1, 3), (*row, 9, 10))) == 2
