"""The progress bar of a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import parent_process

from tqdm import tqdm

from ser.models.base import OnEpoch

#: The values of an epoch that stand beside the bar.
SHOWN = ("train_loss", "dev_uar")


@contextmanager
def progress(epochs: int, on_epoch: OnEpoch | None = None) -> Iterator[OnEpoch]:
    """A report for each epoch: to `on_epoch`, and to a bar in a terminal.

    A process that trains one network of several leaves the bar to its parent.
    """
    hidden = parent_process() is not None or not sys.stderr.isatty() or not epochs
    with tqdm(total=epochs, desc="Training", unit="epoch", leave=False, disable=hidden) as bar:
        shown: dict[str, str] = {}

        def report(epoch: int, values: Mapping[str, float]) -> None:
            shown.update({name: f"{values[name]:.3f}" for name in SHOWN if name in values})
            bar.set_postfix(shown)
            bar.update()
            if on_epoch is not None:
                on_epoch(epoch, values)

        yield report
