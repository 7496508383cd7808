"""Which formats of a timeline go where: to stdout, or into files of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ser.errors import SerError
from ser.extras import need
from ser.files import atomic_path, check_folder, write_text
from ser.timeline.document import document

if TYPE_CHECKING:
    from ser.core.timeline.values import Timeline

#: Of each format, what its file is called behind the recording's name.
SUFFIXES = {
    "json": ".timeline.json",
    "csv": ".timeline.csv",
    "textgrid": ".TextGrid",
    "audacity": ".labels.txt",
    "rttm": ".rttm",
    "figure": ".timeline.png",
    "svg": ".timeline.svg",
    "html": ".timeline.html",
}
#: These can be printed; of several recordings at once, those of the second list.
PRINTED, TOGETHER = ("json", "csv", "textgrid", "audacity", "rttm"), ("json", "csv", "rttm")
#: Writes a file, and returns its path; raises SerError.
Write = Callable[[], Path]

#: The page of several recordings.
TOGETHER_FILE = "timelines.html"


@dataclass(frozen=True)
class Plan:
    """asked : formats by their options. printed : the one that goes to stdout. filed : those that
    become files in `folder`."""

    asked: tuple[str, ...]
    printed: str | None
    filed: tuple[str, ...]
    folder: Path

    @property
    def shows_summary(self) -> bool:
        return self.printed is None

    def check(self) -> None:
        """Raises SerError where a format that is asked for, or the folder, cannot be had."""
        from ser.io.labels.writing import NEEDED

        for name in self.asked:
            if name in NEEDED:
                need("insight", NEEDED[name])
        if self.filed:
            check_folder(self.folder)

    def files(self, timeline: Timeline, file: Path, stem: str) -> Iterator[Write]:
        """What writes the files of one recording, called `stem`, each of its own."""
        for name in self.filed:
            target = self.folder / f"{stem}{SUFFIXES[name]}"
            yield partial(_write, name, timeline, file, target)

    def together(self, timelines: Sequence[Timeline]) -> Iterator[Write]:
        """What writes the page that has several recordings side by side."""
        if "html" in self.filed and len(timelines) > 1:
            yield partial(_write_together, timelines, self.folder / TOGETHER_FILE)

    def text(self, timelines: Sequence[Timeline], *, is_list: bool) -> str:
        """What goes to stdout of all recordings."""
        if self.printed is None:
            return ""
        if self.printed == "json" and is_list:
            return json.dumps([document(one) for one in timelines], allow_nan=False) + "\n"
        return _text(self.printed, timelines) if timelines else ""


def plan(formats: Sequence[str], *, out: Path | None, several: bool) -> Plan:
    """Raises SerError where the formats cannot all go to stdout."""
    if out is not None:
        return Plan(tuple(formats), None, tuple(formats or SUFFIXES), out)
    printed = [name for name in formats if name in PRINTED]
    filed = tuple(name for name in formats if name not in PRINTED)
    if len(printed) > 1:
        raise SerError(
            f"Found --{' and --'.join(printed)}; one format can be printed. Give --out FOLDER for "
            "several."
        )
    if several and printed and printed[0] not in TOGETHER:
        raise SerError(f"--{printed[0]} holds one recording; give --out FOLDER for a file of each.")
    return Plan(tuple(formats), printed[0] if printed else None, filed, Path())


def _text(name: str, timelines: Sequence[Timeline]) -> str:
    from ser.io.labels import writing

    texts: dict[str, Callable[[], str]] = {
        "json": lambda: json.dumps(document(timelines[0]), allow_nan=False) + "\n",
        "csv": lambda: writing.csv_text(timelines),
        "textgrid": lambda: writing.textgrid_text(timelines[0]),
        "audacity": lambda: writing.audacity_text(timelines[0]),
        "rttm": lambda: writing.rttm_text(timelines),
    }
    return texts[name]()


def _write(name: str, timeline: Timeline, file: Path, target: Path) -> Path:
    if name in ("figure", "svg"):
        _save_figure(timeline, target)
    else:
        write_text(_page(timeline, file) if name == "html" else _text(name, [timeline]), target)
    return target


def _write_together(timelines: Sequence[Timeline], target: Path) -> Path:
    from ser.reporting.pages.timelines import timeline_page

    write_text(timeline_page([document(one) for one in timelines]), target)
    return target


def _save_figure(timeline: Timeline, target: Path) -> None:
    from ser.reporting.canvas import format_of
    from ser.reporting.timelines import timeline_figure

    with atomic_path(target) as temporary:
        timeline_figure(timeline).savefig(temporary, format=format_of(target), dpi=150)


def _page(timeline: Timeline, file: Path) -> str:
    """The page of one recording, with its sound where there is room."""
    from ser.io.audio.limits import ANY_LENGTH
    from ser.io.audio.read import decode_blocks, opened
    from ser.reporting.pages.sounds import sound_of
    from ser.reporting.pages.timelines import timeline_page

    with opened(file, limits=ANY_LENGTH) as data:
        blocks = decode_blocks(data, limits=ANY_LENGTH)
        sound = sound_of(blocks, seconds=timeline.seconds)
    return timeline_page([document(timeline)], [sound])
