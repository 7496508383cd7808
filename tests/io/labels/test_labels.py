"""Turns go to other programs, and come back from them as references."""

import pytest

from ser.core.timeline.segments import Labelled
from ser.errors import SerError, TableError, UnknownEmotion
from ser.files import write_text
from ser.io.labels import writing
from ser.io.labels.reading import read_reference
from support.turns import timeline_of_turns

LEFT = [(1.0, 4.5, "anger"), (4.5, 6.0, None), (8.25, 12.0, "neutral")]
RIGHT = [(0.5, 3.0, "neutral")]
#: Nobody speaks, or nothing is answered.
SILENT = [(0.5, 3.0, None)]
#: Suffix -> what writes it.
FORMATS = {
    ".csv": lambda timeline: writing.csv_text([timeline]),
    ".rttm": lambda timeline: writing.rttm_text([timeline]),
    ".TextGrid": writing.textgrid_text,
    ".txt": writing.audacity_text,
}


def answered(turns):
    return tuple(Labelled(start, end, emotion) for start, end, emotion in turns if emotion)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ([LEFT], {0: answered(LEFT)}),
        ([LEFT, RIGHT], {0: answered(LEFT), 1: answered(RIGHT)}),
        ([LEFT, SILENT], {0: answered(LEFT)}),
        ([SILENT, RIGHT], {1: answered(RIGHT)}),
        ([LEFT, RIGHT, SILENT], {0: answered(LEFT), 1: answered(RIGHT)}),
    ],
    ids=["mono", "stereo", "left alone answered", "right alone answered", "two of three"],
)
def test_what_is_written_is_read_again(suffix, channels, expected, tmp_path):
    path = tmp_path / f"labels{suffix}"
    timeline = timeline_of_turns(*channels)
    path.write_text(FORMATS[suffix](timeline), encoding="utf-8")
    names = [channel.name for channel in timeline.channels]
    found = read_reference(path, name="a call").by_channel(names)
    assert found.keys() == expected.keys()
    for channel, segments in expected.items():
        for one, own in zip(found[channel], segments, strict=True):
            assert (one.start, one.end) == pytest.approx((own.start, own.end), abs=2e-3)
            assert one.label == own.label


def test_other_programs_see_what_they_know(tmp_path):
    timeline = timeline_of_turns(LEFT, RIGHT)
    rttm = writing.rttm_text([timeline]).splitlines()
    assert rttm[0] == "SPEAKER a_call 1 1.000 3.500 <NA> <NA> anger <NA> <NA>"
    assert [line.split()[2] for line in rttm] == ["1", "1", "2"]
    labels = writing.audacity_text(timeline).splitlines()
    assert labels[0] == "0.500000\t3.000000\tright: neutral"
    assert "4.500000\t6.000000\tleft: (out_of_domain)" in labels
    grid = writing.textgrid_text(timeline)
    assert 'name = "left"' in grid
    assert "xmax = 60" in grid
    head, first, *_ = writing.csv_text([timeline]).splitlines()
    assert head == "file,channel,start,end,emotion,confidence,abstention,p_neutral,p_anger"
    assert first == "a call.wav,left,1.000,4.500,anger,0.8000,,0.2000,0.8000"


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("a.docx", "", TableError, "suffix '.docx'; expected RTTM"),
        ("a.rttm", "SPEAKER a 1 0 2\n", TableError, "fewer than 8 fields"),
        ("a.rttm", "", TableError, "labels nothing of a"),
        ("a.rttm", "SPEAKER a 1 x 2 . . fear\n", TableError, "line 1 has 'x' for a number"),
        ("a.csv", "begin,end\n1,2\n", TableError, "line 1 has no column start"),
        ("a.csv", "start;end;emotion\n1;2;fear\n", TableError, "start, and is separated by ';'"),
        ("a.csv", "start,end,emotion\n0,1,fear\n1,2\n", TableError, "line 3 has nothing in .*emo"),
        ("a.csv", "start,end,emotion\n0,1.5 s,fear\n", TableError, "line 2 has '1.5 s'"),
        ("a.csv", f"start,end,emotion\n0,1,{'x' * 200_000}\n", TableError, "is not CSV.*limit"),
        ("a.txt", "0\n", TableError, "line 1 has no tab"),
        ("a.csv", "start,end,emotion\n0,1,fear\n1,2,\n", TableError, "a.csv: line 3 has no label"),
        ("a.csv", "start,end,emotion\n0,nan,fear\n", TableError, "line 2 lasts from 0 s to nan s"),
        ("a.csv", "start,end,emotion\n-1,1,fear\n", TableError, "line 2 lasts from -1 s to 1 s"),
        ("a.rttm", "\nSPEAKER a 1 0 -2 . . fear\n", TableError, "line 2 lasts from 0 s to -2 s"),
        ("a.txt", "0\t2\tanger\n2\t3\tcross\n", UnknownEmotion, "a.txt: line 2 .*'cross'"),
        ("a.txt", "0\t2\tanger\n3\t4\t\n", TableError, "a.txt: line 2 has no label"),
        ("a.txt", "0\t2\tleft: \n3\t4\tleft: fear\n", TableError, "line 1 has no label"),
        ("a.txt", "0\t2\t\n3\t4\n", TableError, "a.txt: all its labels are empty"),
        ("a.txt", "0\t2\t(laughs)\n", TableError, "nothing of a but what is in brackets"),
        ("a.txt", "0\t2\tanger\n1\t3\tfear\n", TableError, "overlaps fear"),
        ("a.TextGrid", "nothing", TableError, "is not a TextGrid: it does not begin with"),
        ("a.TextGrid", "", TableError, "is not a TextGrid: it is empty"),
        ("a.txt", None, TableError, "cannot be read"),
    ],
)
def test_a_reference_that_is_none_is_refused_in_a_line(name, text, error, words, tmp_path):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=words) as caught:
        read_reference(path, name="a")
    assert isinstance(caught.value, SerError)


def test_labels_typed_by_people_are_read(tmp_path):
    path = tmp_path / "typed.txt"
    path.write_text("0,5\t2,25\tAngry\n\\\t100\t300\n3\t4\tSAD\n5\t6\t(laughs)\n", encoding="utf-8")
    expected = {None: (Labelled(0.5, 2.25, "anger"), Labelled(3.0, 4.0, "sadness"))}
    assert read_reference(path, name="x").segments == expected


def test_a_table_s_columns_may_have_capitals_and_spaces(tmp_path):
    path = tmp_path / "typed.csv"
    path.write_text("Start, End, Emotion, Channel\n1, 2, Happy, \n")
    expected = {None: (Labelled(1.0, 2.0, "happiness"),)}
    assert read_reference(path, name="x").segments == expected


def test_intervals_of_a_textgrid_may_be_empty_but_not_all(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(writing.textgrid_text(timeline_of_turns(LEFT)), encoding="utf-8")
    assert len(read_reference(path, name="a").segments[None]) == 2
    path.write_text(writing.textgrid_text(timeline_of_turns([])), encoding="utf-8")
    with pytest.raises(TableError, match="all its labels are empty"):
        read_reference(path, name="a")


def test_a_channel_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "a.rttm"
    path.write_text("SPEAKER a 3 0 2 <NA> <NA> fear <NA> <NA>\n")
    with pytest.raises(TableError, match="labels channel 3; the timeline has left, right"):
        read_reference(path, name="a").by_channel(["left", "right"])


def test_a_name_that_is_no_utf_8_is_found_in_what_was_written_of_it(tmp_path):
    timeline = timeline_of_turns(LEFT, file="caf\udce9.wav")
    for suffix in (".csv", ".rttm"):
        write_text(FORMATS[suffix](timeline), tmp_path / f"a{suffix}")
        found = read_reference(tmp_path / f"a{suffix}", name="caf\udce9").by_channel(["mono"])
        assert len(found[0]) == 2
