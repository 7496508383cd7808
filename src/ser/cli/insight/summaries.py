"""What `ser timeline` prints for people: one recording, its error, several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ser.cli.live.view import bar
from ser.core.timeline.change import Change
from ser.core.timeline.comparison import Compared, compared
from ser.core.timeline.error import (
    DiarizationError,
    check_reach,
    diarization_error,
    majority_error,
)
from ser.core.timeline.turns import Turn
from ser.core.timeline.values import ChannelTimeline, Timeline
from ser.core.utterance.emotions import COLOURS
from ser.output import clock, count_of, one_line, shortened

if TYPE_CHECKING:
    from ser.io.labels.reading import Reference

#: Turns up to so many are listed; and transitions that are named.
MOST_TURNS, MOST_STEPS = 24, 2
#: Cells of a strip of turns, and of the bar of a share.
STRIP, BAR = 60, 20
#: Cells of a recording's name in the table of several.
NAME = 22
#: A share below it is not listed.
LEAST_SHARE = 0.005
#: Emotions in a strip without colours; sadness and surprise begin alike.
LETTERS = {name: name[0].upper() for name in COLOURS} | {"surprise": "U", "frustration": "R"}


def show(timeline: Timeline) -> None:
    """The summary of one recording on stdout."""
    console = Console(highlight=False)
    version = f" version {timeline.model.version}" if timeline.model.version else ""
    title = Text(one_line(timeline.file), style="bold")
    title.append(f"   {clock(timeline.seconds)}, {timeline.model.name}{version}", style="not bold")
    console.print(title)
    for channel in timeline.channels:
        _show_channel(console, timeline, channel)


def _show_channel(console: Console, timeline: Timeline, channel: ChannelTimeline) -> None:
    change = channel.change
    name = f"{channel.name}: " if len(timeline.channels) > 1 else ""
    if not channel.turns:
        console.print(Text(f"{name}nobody speaks."))
        console.print()
        return
    console.print(Text(f"{name}{_in_words(change)}"))
    has_colours = console.color_system is not None
    console.print(_strip(timeline, channel, has_colours))
    if change.answered_seconds:
        console.print(_shares(change, has_colours))
    for line in _notes(change, channel.turns):
        console.print(Text(line))
    if len(channel.turns) <= MOST_TURNS:
        console.print(_turns(channel.turns))
    console.print()


def _in_words(change: Change) -> str:
    share = change.answered_seconds / change.speech_seconds if change.speech_seconds else 0.0
    text = f"speech {clock(change.speech_seconds)}, {share:.0%} of it answered"
    if change.changes_per_minute is not None:
        text += f", {change.changes_per_minute:.1f} changes a minute"
    return text


def _strip(timeline: Timeline, channel: ChannelTimeline, has_colours: bool) -> Text:
    """The recording from left to right; a cell has the emotion of most of its speech."""
    cells: list[dict[str, float]] = [{} for _ in range(STRIP)]
    width = timeline.seconds / STRIP
    for turn in channel.turns:
        first, last = int(turn.start / width), min(STRIP - 1, int(turn.end / width))
        for i in range(first, last + 1):
            part = min(turn.end, (i + 1) * width) - max(turn.start, i * width)
            cells[i][turn.emotion or ""] = cells[i].get(turn.emotion or "", 0.0) + part
    strip = Text("0:00 ", style="dim")
    for cell in cells:
        emotion = max(cell, key=lambda name: cell[name]) if cell else None
        if emotion is None:
            strip.append("·", style="dim")
        else:
            sign = "█" if has_colours else LETTERS.get(emotion)
            strip.append(sign if emotion and sign else "░", style=COLOURS.get(emotion, "dim"))
    return strip.append(f" {clock(timeline.seconds)}", style="dim")


def _shares(change: Change, has_colours: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, justify in (("emotion", "left"), ("time", "right"), ("share", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("", width=BAR)
    table.add_column("first fifth → last", justify="right")
    for emotion, share in _by_size(change.share_by_emotion):
        table.add_row(
            Text(
                f"{'■' if has_colours else LETTERS[emotion]} {emotion}",
                style=COLOURS.get(emotion, ""),
            ),
            clock(change.seconds_by_emotion[emotion]),
            f"{share:.0%}",
            Text(bar(share, width=BAR), style=COLOURS.get(emotion, "")),
            f"{change.start.get(emotion, 0):.0%} → {change.end.get(emotion, 0):.0%}",
        )
    return table


def _by_size(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(
        ((name, share) for name, share in shares.items() if share >= LEAST_SHARE),
        key=lambda item: -item[1],
    )


def _notes(change: Change, turns: Sequence[Turn]) -> list[str]:
    lines = []
    if longest := change.longest:
        span = f"{clock(longest.start)} to {clock(longest.end)}"
        lines.append(f"longest: {longest.label}, {span}")
    if change.transitions:
        steps = [f"{a} → {b} {n}" for a, b, n in change.transitions[:MOST_STEPS]]
        rest = sum(n for *_, n in change.transitions[MOST_STEPS:])
        lines.append(f"changes: {', '.join(steps)}{f', others {rest}' if rest else ''}")
    trend = {name: slope for name, slope in change.trend_per_hour.items() if abs(slope) >= 0.01}
    if trend:
        largest = sorted(trend.items(), key=lambda item: -abs(item[1]))[:3]
        lines.append(f"trend an hour: {', '.join(f'{n} {slope:+.0%}' for n, slope in largest)}")
    if reasons := sorted({turn.abstention.reason for turn in turns if turn.abstention}):
        lines.append(f"not answered: {', '.join(reasons)}")
    return lines


def _turns(turns: Sequence[Turn]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for turn in turns:
        if turn.abstention:
            word, second = Text(turn.abstention.reason, style="italic dim"), ""
        else:
            emotion = turn.emotion or ""
            word = Text(emotion, style=COLOURS.get(emotion, ""))
            second = f"{turn.confidence:.2f}"
        table.add_row(f"{clock(turn.start, digits=1)}-{clock(turn.end, digits=1)}", word, second)
    return table


def show_error(timeline: Timeline, truth: Reference, *, out: TextIO) -> None:
    """The emotion diarization error rate, and the majority class's; raises TableError."""
    total = majority = DiarizationError()
    for channel, segments in truth.by_channel([one.name for one in timeline.channels]).items():
        check_reach(segments, timeline.seconds, source=str(truth.path))
        found = [turn.segment for turn in timeline.channels[channel].turns]
        total += diarization_error(segments, found)
        majority += majority_error(segments)
    parts = (("missed", total.missed), ("false alarm", total.false_alarm))
    shares = [f"{word} {seconds / total.speech:.3f}" for word, seconds in parts]
    shares.append(f"confused {total.confused / total.speech:.3f}")
    print(
        f"EDER {total.eder:.3f}   {', '.join(shares)}   majority class {majority.eder:.3f}\n"
        f"over {clock(total.speech)} of labelled speech\n",
        file=out,
    )


def _figures(row: Compared, *, with_channel: bool) -> list[str]:
    change = row.change
    share = change.answered_seconds / change.speech_seconds if change.speech_seconds else 0.0
    steps = change.changes_per_minute
    return [
        shortened(Path(one_line(row.file)).name, NAME),
        *([row.channel] if with_channel else []),
        clock(change.speech_seconds),
        f"{share:.0%}",
        "" if steps is None else f"{steps:.1f}",
    ]


def _most(change: Change, *, width: int) -> Text:
    """The two largest shares, below one another where they are wider together."""
    most = [
        Text(f"{emotion} {part:.0%}", style=COLOURS.get(emotion, ""))
        for emotion, part in _by_size(change.share_by_emotion)[:2]
    ]
    beside = Text("  ").join(most)
    return beside if beside.cell_len <= width else Text("\n").join(most)


def show_comparison(timelines: Sequence[Timeline]) -> None:
    """A row for each recording's channel, in the order given."""
    found = compared(timelines)
    several = any(len(one.channels) > 1 for one in timelines)
    headings = [
        "recording",
        *(["channel"] if several else []),
        "speech",
        "answered",
        "changes/\nmin",
    ]
    cells = [_figures(row, with_channel=several) for row in found.rows]
    console = Console(highlight=False)
    # The emotions get the width that the other columns leave; between columns stand 2 spaces.
    columns = zip(*([max(h.split("\n"), key=len) for h in headings], *cells), strict=True)
    left = console.width - sum(max(map(cell_len, column)) + 2 for column in columns) - 2
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        is_name = heading in ("recording", "channel")
        table.add_column(heading, justify="left" if is_name else "right", no_wrap=True)
    table.add_column("most of it", no_wrap=True)
    for row, figures in zip(found.rows, cells, strict=True):
        table.add_row(*map(Text, figures), _most(row.change, width=left))
    console.print(Text(f"{count_of(len(timelines), 'recording')}, in this order", style="bold"))
    console.print(table)
    largest = sorted(found.drift.items(), key=lambda item: -abs(item[1]))[:3]
    if largest and abs(largest[0][1]) >= LEAST_SHARE:
        words_of_drift = ", ".join(f"{name} {slope:+.1%}" for name, slope in largest)
        console.print(Text(f"from one recording to the next: {words_of_drift}"))
