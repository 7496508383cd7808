"""What `ser timeline` prints of recordings."""

from __future__ import annotations

import pytest

from ser.cli.insight import summaries
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
