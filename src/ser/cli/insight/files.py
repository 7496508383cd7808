"""What files made of recordings are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ser.files import names_apart


def stems(files: Sequence[Path]) -> list[str]:
    """A name for each file's products: its own without suffix.

    Where two are alike, it has its folders, or within a folder its suffix.

    >>> stems([Path("a/1.wav"), Path("b/1.wav"), Path("b/2.wav"), Path("b/2-2.mp3")])
    ['a_1', 'b_1', '2', '2-2']
    >>> stems([Path("call.wav"), Path("call.mp3")])
    ['call_wav', 'call_mp3']
    """
    places = {file.with_suffix("") for file in files}
    folders = Counter(place.name for place in places)
    suffixes = Counter(file.with_suffix("") for file in set(files))

    def name(file: Path) -> str:
        place = file.with_suffix("")
        parts = [part for part in place.parts if part != file.anchor]
        own = "_".join(parts) if folders[place.name] > 1 else place.name
        return f"{own}_{file.suffix[1:]}" if suffixes[place] > 1 and file.suffix else own

    return names_apart(map(name, files))
