"""The page of results and its pictures, written."""

from __future__ import annotations

from pathlib import Path

from ser.benchmark.figure import comparison
from ser.benchmark.page import page, read_result, sections
from ser.files import atomic_path, write_text


def write_page(path: Path, results: Path) -> None:
    """The page of all results in the folder `results`, with a picture for each of its sections."""
    found = [one for one in map(read_result, sorted(results.glob("*.json"))) if one]
    figure = f"{path.stem}-{{section}}.png"
    for section, group in sections(found):
        picture = path.with_name(figure.format(section=section.slug))
        with atomic_path(picture) as temporary:
            comparison(group).savefig(temporary, format="png", dpi=110)
    write_text(page(found, figure=figure), path)
