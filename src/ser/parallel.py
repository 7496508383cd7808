"""The one door to joblib: work on all cores, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from ser.interrupts import interrupts_held

T = TypeVar("T")


def in_parallel(
    function: Callable[..., T], items: Sequence[tuple[Any, ...]], *, doing: str | None
) -> Iterator[T]:
    """`function(*item)` for each item in order, one single-threaded process per core.

    Work begins at once, before the first result is asked for. doing : what the progress bar says;
    None: there is none.
    """
    # loky starts its workers with OMP_NUM_THREADS=1: two threads each would be ten times slower.
    jobs = Parallel(n_jobs=max(1, min(cpu_count(), len(items))), return_as="generator")
    with interrupts_held():
        results: Iterable[T] = jobs(delayed(function)(*item) for item in items)
    hidden = True if doing is None else None
    return _stoppable(tqdm(results, total=len(items), desc=doing, unit="file", disable=hidden))


def _stoppable(results: Iterable[T]) -> Iterator[T]:
    try:
        yield from results
    except KeyboardInterrupt:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise
