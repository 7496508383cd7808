"""What `ser timeline` prints of recordings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ser.cli.insight import summaries
from ser.core.timeline.segments import Labelled
from ser.errors import TableError
from ser.io.labels.reading import Reference
from support.turns import timeline_of_turns

COLUMNS = 80


@pytest.fixture
def printed(monkeypatch, capsys):
    """What a summary prints on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))

    def of(show, *arguments):
        show(*arguments)
        return capsys.readouterr().out

    return of


def test_a_recording_s_name_is_no_markup(printed):
    turns = [(0.0, 10.0, "anger")]
    names = ("[bold red]x.wav", "[blue].wav", "a[b]c.wav")
    one, *_ = timelines = [timeline_of_turns(turns, file=name) for name in names]
    out = printed(summaries.show_comparison, timelines)
    assert all(name in out for name in names)
    assert names[0] in printed(summaries.show, one)


def test_a_reference_of_a_longer_recording_is_refused(printed):
    timeline = timeline_of_turns([(0.0, 10.0, "anger")], seconds=48.6)
    for end, is_refused in ((49.5, False), (900.0, True)):
        truth = Reference(Path("truth.csv"), {None: (Labelled(0.0, end, "anger"),)})
        if is_refused:
            words = r"truth\.csv: labels reach to 15:00, the recording lasts 0:49;"
            with pytest.raises(TableError, match=words):
                summaries.show_error(timeline, truth, out=sys.stdout)
        else:
            summaries.show_error(timeline, truth, out=sys.stdout)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_table_of_several_recordings_is_whole_in_80_columns(printed, channels):
    turns = [(0.0, 5.0, "neutral"), (5.0, 10.0, "anger")]
    names = [f"interview of the first week, part {n}.wav" for n in (1, 12)]
    timelines = [timeline_of_turns(*[turns] * channels, file=name) for name in names]
    out = printed(summaries.show_comparison, timelines)
    assert max(map(len, out.splitlines())) <= COLUMNS
    assert "part 1.wav" in out
    assert "art 12.wav" in out
    words = ["recording", "speech", "answered", "changes/", "most of it", "neutral 50%"]
    assert all(word in out for word in [*words, "anger 50%"])
    assert out.count("…") == 2 * channels


def test_a_recording_without_speech_ends_with_a_blank_line_as_all_do(printed):
    for turns in ([], [(0.0, 1.0, "anger")]):
        assert printed(summaries.show, timeline_of_turns(turns)).endswith("\n\n")


def test_a_time_has_one_rounding(printed):
    out = printed(summaries.show, timeline_of_turns([(0.0, 2.95, "anger")], seconds=48.5))
    assert "0:00.0-0:03.0" in out
    assert out.count("0:49") == 2
