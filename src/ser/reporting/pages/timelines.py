"""The page of timelines: waveform, posteriors, turns, playback; several recordings side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ser.core.utterance.emotions import COLOURS
from ser.drawing import STYLE, bundled
from ser.reporting.pages.rendering import render
from ser.reporting.pages.sounds import Sound

TEMPLATES = Path(__file__).parent / "templates"


def timeline_page(
    documents: Sequence[Mapping[str, Any]],
    audio: Sequence[Sound | str | None] = (),
    *,
    title: str | None = None,
) -> str:
    """One page of HTML that draws timelines, loads nothing and sends nothing.

    documents : of schema ser.timeline/1, in the order of time; several are compared, none ranked.
    audio : for each document its sound (`sound_of`), a data URI, or None: a reader may choose the
    file.
    """
    if not documents:
        raise ValueError("a page has at least one timeline")
    sounds = [_sound(one) for one in audio]
    sounds += [Sound()] * (len(documents) - len(sounds))
    return render(
        "timeline.html",
        title=title or _title(documents),
        timelines=documents,
        sounds=sounds,
        data=_embedded({"colours": COLOURS, "timelines": documents}),
        drawing_style=Markup(STYLE.read_text(encoding="utf-8")),
        timeline_style=Markup((TEMPLATES / "timeline.css").read_text(encoding="utf-8")),
        script=Markup(bundled(TEMPLATES / "timeline.js")),
    )


def _sound(given: Sound | str | None) -> Sound:
    if isinstance(given, Sound):
        return given
    return Sound() if given is None else Sound(given, None)


def _title(documents: Sequence[Mapping[str, Any]]) -> str:
    if len(documents) == 1:
        return f"Timeline of {documents[0]['file']}"
    return f"Timelines of {len(documents)} recordings"


def _embedded(value: Any) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
