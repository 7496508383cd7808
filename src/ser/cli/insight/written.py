"""What `ser explain` writes: WAV files of changes, and pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ser.errors import SerError
from ser.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from ser.explanation.clip import Explained


def folders_for(out: Path, recordings: Sequence[Path]) -> list[Path]:
    """A folder in `out` for each recording, named after it; equal names are numbered.

    >>> [str(folder) for folder in folders_for(Path("o"), [Path("a/x.wav"), Path("b/x.mp3")])]
    ['o/x', 'o/x-2']
    """
    counts: dict[str, int] = {}
    folders = []
    for path in recordings:
        number = counts[path.stem] = counts.get(path.stem, 0) + 1
        folders.append(out / (path.stem if number == 1 else f"{path.stem}-{number}"))
    return folders


def write_changes(folder: Path, explained: Explained) -> list[Path]:
    """Write the resynthesis and each change that turns the answer; returns the files."""
    found = explained.counterfactuals
    if found is None:
        return []
    samples = {"resynthesis": found.resynthesis}
    for searched in found.searched:
        for turn in searched.turns:
            change = f"{searched.dimension.said(turn.amount)} {turn.emotion}"
            for sign, word in (("−", "-"), ("%", "percent"), ("/", " per ")):
                change = change.replace(sign, word)
            samples[re.sub(r"\s+", "_", change)] = turn.y
    return [_write_wav(folder / f"{name}.wav", y, found.recorded.sr) for name, y in samples.items()]


def write_page(path: Path, page: str) -> None:
    with _writing(path), atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _write_wav(path: Path, y: np.ndarray, sr: int) -> Path:
    import soundfile

    # As on a page: what exceeds full scale, of a tilt, is brought into range and not clipped.
    peak = float(abs(y).max(initial=1.0))
    with _writing(path), atomic_path(path) as temporary:
        soundfile.write(temporary, y / peak, sr, format="WAV", subtype="PCM_16")
    return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raises SerError where the file cannot be written."""
    try:
        yield
    except OSError as error:
        raise SerError(
            f"{path} cannot be written ({error.strerror or error}). Name another place."
        ) from error
