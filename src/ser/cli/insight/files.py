"""What files made of recordings are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ser.files import names_apart


def stems(files: Sequence[Path]) -> list[str]:
    """A name for each file's products: its own without suffix, with folders where two are alike.

    >>> stems([Path("a/1.wav"), Path("b/1.wav"), Path("b/2.wav"), Path("b/2-2.mp3")])
    ['a_1', 'b_1', '2', '2-2']
    """
    alike = Counter(file.stem for file in files)
    return names_apart(
        "_".join(part for part in file.with_suffix("").parts if part != file.anchor)
        if alike[file.stem] > 1
        else file.stem
        for file in files
    )
