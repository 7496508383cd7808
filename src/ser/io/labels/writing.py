"""A timeline's turns for other programs. Speech without an emotion has its reason in brackets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ser.core.timeline.turns import Turn
from ser.core.timeline.values import Timeline
from ser.extras import need

#: Of the extra `insight`, what writes a format.
NEEDED = {"textgrid": "praatio.textgrid", "rttm": "pyannote.core"}


def csv_text(timelines: Sequence[Timeline]) -> str:
    """A row for each turn, with p_<emotion> of every class of any of the timelines."""
    classes = list(dict.fromkeys(name for one in timelines for name in one.classes))
    text = io.StringIO()
    head = ("file", "channel", "start", "end", "emotion", "confidence", "abstention")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, *(f"p_{name}" for name in classes)])
    for timeline in timelines:
        for channel in timeline.channels:
            for turn in channel.turns:
                writer.writerow(
                    [
                        timeline.file,
                        channel.name,
                        f"{turn.start:.3f}",
                        f"{turn.end:.3f}",
                        turn.emotion or "",
                        "" if turn.confidence is None else f"{turn.confidence:.4f}",
                        turn.abstention.reason if turn.abstention else "",
                        *(_share(turn.posteriors.get(name)) for name in classes),
                    ]
                )
    return text.getvalue()


def audacity_text(timeline: Timeline) -> str:
    """Audacity's label track: start, end, label; of several channels with the channel's name."""
    several = len(timeline.channels) > 1
    rows = [
        (turn.start, turn.end, f"{channel.name}: {_word(turn)}" if several else _word(turn))
        for channel in timeline.channels
        for turn in channel.turns
    ]
    return "".join(f"{start:.6f}\t{end:.6f}\t{label}\n" for start, end, label in sorted(rows))


def rttm_text(timelines: Sequence[Timeline]) -> str:
    """RTTM, by pyannote.core: answered turns, the file's name without suffix, channels from 1 on.

    Raises SerError without the extra `insight`.
    """
    core = need("insight", NEEDED["rttm"])
    text = ""
    for timeline in timelines:
        for number, channel in enumerate(timeline.channels, start=1):
            # Fields are parted by spaces.
            annotation = core.Annotation(uri="_".join(Path(timeline.file).stem.split()))
            for turn in channel.turns:
                if turn.emotion is not None:
                    annotation[core.Segment(turn.start, turn.end)] = turn.emotion
            lines = io.StringIO()
            annotation.write_rttm(lines)
            # pyannote.core writes channel 1 alone.
            for line in lines.getvalue().splitlines():
                kind, uri, _, rest = line.split(" ", 3)
                text += f"{kind} {uri} {number} {rest}\n"
    return text


def textgrid_text(timeline: Timeline) -> str:
    """Praat's TextGrid, by praatio: a tier for each channel, empty between the turns.

    Raises SerError without the extra `insight`.
    """
    textgrid = need("insight", NEEDED["textgrid"])
    end = round(timeline.seconds, 6)
    grid = textgrid.Textgrid(0, end)
    for channel in timeline.channels:
        entries = [
            (round(turn.start, 6), min(round(turn.end, 6), end), _word(turn))
            for turn in channel.turns
        ]
        grid.addTier(textgrid.IntervalTier(channel.name, entries, 0, end))
    with TemporaryDirectory() as folder:
        # praatio writes files alone.
        path = Path(folder) / "timeline.TextGrid"
        grid.save(str(path), "long_textgrid", includeBlankSpaces=True)
        return path.read_text(encoding="utf-8")


def _word(turn: Turn) -> str:
    if turn.emotion is not None:
        return turn.emotion
    return f"({turn.abstention.reason})" if turn.abstention else "()"


def _share(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4f}"
