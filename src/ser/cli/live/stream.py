"""`ser stream`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.cli.answers import ModelOption
from ser.errors import AudioError, SerError
from ser.output import INTERRUPTED, SOME_FAILED, end_silently, print_error

if TYPE_CHECKING:
    from ser.cli.live.sources import Source
    from ser.client.events import Event
    from ser.client.synchronous import LiveStream

Events = Callable[["Source"], "Generator[Event, None, None] | LiveStream"]


def stream(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Recordings of any length; -: raw s16le samples at 16 kHz on stdin."),
    ] = None,
    mic: Annotated[
        bool, typer.Option("--mic", help="Record the microphone until Ctrl-C; nothing is stored.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Which microphone, as the recorder calls it.")
    ] = None,
    call: Annotated[
        bool, typer.Option("--call", help="Each channel of a stereo recording is a party.")
    ] = False,
    channels: Annotated[
        int | None, typer.Option(min=1, max=2, help="2: as --call; 1: the mix, the default.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as possible; default: at the pace of speech.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="Through the server there, with SER_SERVE_TOKEN as token.")
    ] = None,
    model: ModelOption = None,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="A JSON object a line, one for each event.")
    ] = False,
) -> None:
    """Emotions of live speech, utterance by utterance, while it is spoken.

    On a terminal with the level and the posteriors of the last seconds; elsewhere a line for each
    utterance that is over. The emotions left of the bar are the candidates for the true one.

    [bold]ser stream --mic[/bold]  speak; Ctrl-C ends it.

    [bold]ser stream call.wav --call --fast[/bold]  a recorded call, a lane for each party.
    """
    given = _checked(files or [], mic=mic, device=device, url=url, model=model)
    missing = [
        name for name in given if name is not None and str(name) != "-" and not name.exists()
    ]
    if missing and len(missing) == len(given):
        # Before seconds go into loading a model.
        raise AudioError("does not exist", "a recording", file=str(missing[0]))
    lanes = channels or (2 if call else 1)
    state = _Interrupts()
    failed = False
    try:
        with state:
            events = _events(url, model, fast=fast)
            for name in given:
                try:
                    source = _source(
                        name, lanes, device=device, fast=fast, as_found=call and channels is None
                    )
                    if mic:
                        _say_what_is_recorded(source, url)
                    with state.stopping(source):
                        failed |= not _show(source, events, as_json=json_lines, several=len(given))
                except AudioError as error:
                    failed = True
                    print_error(error if error.file else error.of(name or "microphone"))
                if state.pressed:
                    break
    except KeyboardInterrupt:
        state.pressed = True
    except BrokenPipeError:
        end_silently()
        raise typer.Exit(SOME_FAILED) from None
    if state.pressed:
        if not mic:
            print_error("interrupted; what is printed stands.")
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise typer.Exit(SOME_FAILED)


class _Interrupts:
    """Ctrl-C stops the source, so that the open utterance is measured; a second one, at once."""

    def __init__(self) -> None:
        self.pressed = False
        self._source: Source | None = None

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._press)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def stopping(self, source: Source) -> Iterator[None]:
        self._source = source
        try:
            yield
        finally:
            self._source = None

    def _press(self, *_: object) -> None:
        if self.pressed or self._source is None:
            raise KeyboardInterrupt
        self.pressed = True
        self._source.stop()


def _checked(
    files: list[Path], *, mic: bool, device: str | None, url: str | None, model: str | None
) -> list[Path | None]:
    """What is streamed, None for the microphone; raises SerError where options contradict."""
    if mic == bool(files):
        raise SerError(
            "Found both --mic and recordings; expected one of them."
            if mic
            else "Nothing to stream; name a recording, - for stdin, or --mic."
        )
    if device and not mic:
        raise SerError("--device names a microphone; give --mic, too.")
    if url and model:
        raise SerError("--model is loaded here, --url has its own; give one of them.")
    return [None] if mic else list(files)


def _source(
    name: Path | None, channels: int, *, device: str | None, fast: bool, as_found: bool
) -> Source:
    from ser.cli.live import sources

    if name is None:
        return sources.microphone(channels=channels, device=device)
    if str(name) == sources.STDIN:
        return sources.standard_input(channels=channels, fast=fast)
    return sources.FileSource(name, channels=None if as_found else channels, fast=fast)


def _events(url: str | None, model: str | None, *, fast: bool) -> Events:
    """What makes a source's events: a server, or the model on this machine."""
    if url:
        from ser.client import Client

        client = Client(url)
        # Before a microphone is opened.
        client.model()
        # Who records says whom; the sentence on the screen asks for their consent.
        return lambda source: client.stream(source, consent=True, channels=source.channels)
    from ser.api import load
    from ser.cli.live.local import local_events

    predictor = load(model).predictor
    return lambda source: local_events(predictor, source, fast=fast)


def _say_what_is_recorded(source: Any, url: str | None) -> None:
    where = f"it is sent to {url}, and measured there" if url else "it is measured here"
    print(
        f"Recording the microphone ({source.by}) until Ctrl-C, with the consent of all who speak: "
        f"{where}, and no audio is stored.",
        file=sys.stderr,
    )


def _show(source: Source, events: Events, *, as_json: bool, several: int) -> bool:
    """Show all events; whether the session ended as it should."""
    from ser.cli.live.lines import Lines
    from ser.client.events import Closed, Measurement, Problem
    from ser.output import one_line

    on_terminal = sys.stdout.isatty() and not as_json
    if on_terminal:
        from rich.console import Console

        from ser.cli.live.view import View

        shown: Any = View(source, Console())
    else:
        shown = Lines(source.name, channels=source.channels, as_json=as_json)
        if several > 1 and not as_json:
            print(f"{one_line(source.name)}:", flush=True)
    finals, ended, dropped = 0, "", 0
    with shown, closing(events(source)) as coming:
        for event in coming:
            shown.show(event)
            match event:
                case Measurement():
                    finals += event.is_final
                    dropped += event.dropped_ms
                case Problem():
                    print_error(f"{event.code}: {event.message}")
                case Closed():
                    ended = event.reason
    if not finals and not as_json:
        print(f"No utterance in {one_line(source.name)}.", file=sys.stderr)
    if dropped:
        print(
            f"{dropped / 1000:.1f} s of results while speech went on were left out: not fast "
            "enough. Those of whole utterances are complete.",
            file=sys.stderr,
        )
    if ended != "closed":
        print_error(f"the session was ended: {ended or 'no word of why'}.")
    return ended == "closed"
