"""What a person sees while networks are trained."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import parent_process

from tqdm import tqdm

from ser.models.base import OnEpoch

#: Of an epoch's values, those beside the bar.
SHOWN = ("train_loss", "dev_uar")


@contextmanager
def progress(epochs: int | None, on_epoch: OnEpoch | None = None) -> Iterator[OnEpoch]:
    """A report for each epoch: to `on_epoch`, and to a bar when a person is watching.

    A process that trains one network of several leaves the bar to its parent.
    """
    hidden = parent_process() is not None or not sys.stderr.isatty()
    with tqdm(
        total=epochs, desc="Training", unit="epoch", leave=False, disable=hidden or not epochs
    ) as bar:
        shown: dict[str, str] = {}

        def report(epoch: int, values: Mapping[str, float]) -> None:
            shown.update({name: f"{value:.3f}" for name, value in values.items()})
            bar.set_postfix({name: shown[name] for name in SHOWN if name in shown})
            bar.update()
            if on_epoch is not None:
                on_epoch(epoch, values)

        yield report
