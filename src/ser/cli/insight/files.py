"""What files made of recordings are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def stems(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's products: its own without suffix, with folders where two are alike.

    >>> list(stems([Path("a/1.wav"), Path("b/1.wav"), Path("b/2.wav")]).values())
    ['a_1', 'b_1', '2']
    """
    found: dict[Path, str] = {}
    for file in files:
        alike = {other for other in files if other.stem == file.stem}
        parts = len(file.parts) if len(alike) > 1 else 1
        name = "_".join([*file.with_suffix("").parts[-parts:]]).replace("/", "")
        # Two formats of one recording.
        same = len({other for other in alike if other.with_suffix("") == file.with_suffix("")}) > 1
        found[file] = f"{name}{file.suffix}" if same else name
    return found
