"""A finished utterance as a line, and events as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from ser import output
from ser.client.events import Event, Measurement
from ser.output import one_line

#: Of what an utterance without a label shows: the reasons of abstention fit.
WIDTH = 13


def clock(ms: int) -> str:
    """
    >>> clock(61_250), clock(3_600_000)
    ('1:01.3', '1:00:00.0')
    """
    return output.clock(ms / 1000, digits=1)


def span(final: Measurement, *, channels: int) -> str:
    """Where it lies, behind the channel's number where there are two: `2  0:01.2-0:03.4`."""
    number = f"{final.channel + 1}  " if channels > 1 else ""
    return f"{number}{clock(final.audio_start_ms)}-{clock(final.audio_end_ms)}"


def ranked(posteriors: Mapping[str, float]) -> list[tuple[str, float]]:
    """Emotions by posterior, the likeliest first."""
    return sorted(posteriors.items(), key=lambda item: -item[1])


def final_line(final: Measurement, *, channels: int) -> str:
    """Time, emotion, confidence, then the others by size, a bar after the candidates.

    Where the model abstains, the reason stands in the emotion's place, and a sentence below.
    """
    words = [f"{emotion} {p:.2f}" for emotion, p in ranked(final.posteriors)]
    where = span(final, channels=channels)
    if refused := final.abstention:
        line = f"{where}  {refused.reason:<{WIDTH}}  {'  '.join(words)}".rstrip()
        return f"{line}\n  {one_line(refused.detail)}"
    words.insert(len(final.candidates), "|")
    line = f"{where}  {final.label or '':<{WIDTH}}  {final.confidence:.2f}"
    return f"{line}  {'  '.join(words[1:])}"


class Lines:
    """Shows finished utterances as lines on stdout; with `as_json` each event as an object."""

    def __init__(self, name: str, *, channels: int, as_json: bool) -> None:
        self._name, self._channels, self._as_json = name, channels, as_json

    def show(self, event: Event) -> None:
        if self._as_json:
            print(json.dumps({"file": self._name, **event.to_dict()}), flush=True)
        elif isinstance(event, Measurement) and event.is_final:
            print(final_line(event, channels=self._channels), flush=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
