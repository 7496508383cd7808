"""Live speech on a terminal: the present of each channel, below the utterances that are over."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ser.cli.live.lines import clock, ranked, span
from ser.cli.live.sources import Source
from ser.client.audio import STREAM_SR
from ser.client.events import Event, Measurement, UtteranceEnded, UtteranceStarted
from ser.core.utterance.emotions import COLOURS
from ser.output import one_line

#: Pictures a second: as many as results could change in a chunk.
FRAMES_A_SECOND = 10
#: What the level's bar shows, dB re full scale; speech lies in its middle.
QUIETEST_DB, LOUDEST_DB = -60.0, 0.0
#: Above it a microphone clips soon.
HOT_DB = -3.0
LEVEL_WIDTH, BAR_WIDTH, LANE_WIDTH, GAP = 14, 22, 39, 2
EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, *, width: int) -> str:
    """A bar of eighths of a cell.

    >>> bar(0.5, width=4), bar(0.03, width=4)
    ('██  ', '▏   ')
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[part] if part else "")).ljust(width)


class Lane:
    """What one channel shows now."""

    def __init__(self) -> None:
        #: Somebody speaks; and the posteriors are of this utterance, not of the last one.
        self.is_open = self.is_current = False
        self.label: str | None = None
        self.reason = ""
        self.posteriors: dict[str, float] = {}

    def take(self, event: Event) -> None:
        match event:
            case UtteranceStarted():
                self.is_open, self.label, self.reason = True, None, ""
            case UtteranceEnded():
                self.is_open = self.is_current = False
            case Measurement():
                self.is_current = True
                self.label = event.label
                self.reason = event.abstention.reason if event.abstention else ""
                self.posteriors = dict(event.smoothed or event.posteriors) or self.posteriors

    @property
    def word(self) -> Text:
        """The emotion of who speaks, else what there is instead."""
        if not self.is_open:
            return Text("nobody speaks", style="dim")
        if self.label:
            return Text(self.label, style=f"bold {COLOURS.get(self.label, '')}".rstrip())
        return Text(self.reason or "listening", style="italic")


class View:
    """Shows events as they come, on a terminal; the screen is drawn anew by a thread of its own.

    Finished utterances become lines above, which stay; below, each channel has its level, emotion
    and smoothed posteriors.
    """

    def __init__(self, source: Source, console: Console) -> None:
        self._source, self._console = source, console
        self._lanes = [Lane() for _ in range(source.channels)]
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=FRAMES_A_SECOND,
            # It goes at the end; what is over stays.
            transient=True,
        )

    def __enter__(self) -> View:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(*error)  # type: ignore[arg-type]

    def show(self, event: Event) -> None:
        """Take an event in; a final becomes a line."""
        channel = getattr(event, "channel", None)
        if channel is not None and channel < len(self._lanes):
            self._lanes[channel].take(event)
        if isinstance(event, Measurement) and event.is_final:
            for line in self._over(event):
                self._console.print(line)

    def render(self) -> RenderableType:
        """The present."""
        title = Text(f"{one_line(self._source.name)}  {clock(self._position_ms)}")
        lanes = [self._lane(channel) for channel in range(len(self._lanes))]
        if len(lanes) * (LANE_WIDTH + GAP) - GAP > self._console.width:
            body: RenderableType = Group(*lanes)
        else:
            grid = Table.grid(padding=(0, GAP))
            for _ in lanes:
                grid.add_column(width=LANE_WIDTH)
            grid.add_row(*lanes)
            body = grid
        return Group(Rule(title, align="left", style="dim"), body)

    @property
    def _position_ms(self) -> int:
        return 1000 * self._source.position // STREAM_SR

    def _lane(self, channel: int) -> RenderableType:
        lane, level = self._lanes[channel], self._source.levels[channel]
        share = (level - QUIETEST_DB) / (LOUDEST_DB - QUIETEST_DB)
        number = f"{channel + 1} " if len(self._lanes) > 1 else ""
        head = Text(number, no_wrap=True, overflow="ellipsis")
        head.append("● " if lane.is_open else "○ ", style="red" if lane.is_open else "dim")
        head.append(bar(share, width=LEVEL_WIDTH), style="red" if level > HOT_DB else "green")
        head.append(f"{max(level, QUIETEST_DB):4.0f} dB ")
        head.append(lane.word)
        rows = Table.grid(padding=(0, 1))
        rows.add_column(width=11)
        rows.add_column(width=BAR_WIDTH)
        rows.add_column(width=4)
        for emotion, p in lane.posteriors.items():
            # In grey: what is over, and what the model does not stand by.
            style = "" if lane.is_current and lane.label else "dim"
            marked = "bold" if not style and emotion == lane.label else style
            rows.add_row(
                Text(emotion, style=marked),
                Text(bar(p, width=BAR_WIDTH), style=style or COLOURS.get(emotion, "")),
                Text(f"{p:.2f}", style=marked),
            )
        return Group(head, rows)

    def _over(self, final: Measurement) -> Iterator[Text]:
        line = Text(f"{span(final, channels=len(self._lanes))}  ")
        if refused := final.abstention:
            line.append(f"{refused.reason}", style="italic")
            yield line
            yield Text(f"  {one_line(refused.detail)}", style="dim")
            return
        label = final.label or ""
        line.append("■ ", style=COLOURS.get(label, ""))
        line.append(f"{label:<12}", style="bold")
        line.append(f" {final.confidence:.2f}")
        others = [
            f"{emotion} {p:.2f}"
            for emotion, p in ranked(final.posteriors)
            if emotion in final.candidates and emotion != label
        ]
        line.append(f"   or {', '.join(others)}" if others else "", style="dim")
        yield line
