"""The one door to joblib and to forked processes: work on all cores, one thread each."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.util import get_temp_dir
from typing import Any, TypeVar

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from ser.interrupts import interrupts_held

T = TypeVar("T")
#: Longest folder of a socket by which processes are forked: Linux takes 107 bytes of path in all.
LONGEST_FOLDER = 60


def fork_server(*preloaded: str) -> ForkServerContext | SpawnContext:
    """The context of processes that are forked from one that has imported modules already.

    On other systems than Linux, whose frameworks do not bear a fork, each is started anew.
    """
    if not sys.platform.startswith("linux"):
        return get_context("spawn")
    if len(tempfile.gettempdir()) > LONGEST_FOLDER:
        # Its socket would not fit into a long TMPDIR.
        before, tempfile.tempdir = tempfile.tempdir, "/tmp"
        try:
            get_temp_dir()
        finally:
            tempfile.tempdir = before
    context = get_context("forkserver")
    context.set_forkserver_preload(list(preloaded))
    return context


def in_parallel(
    function: Callable[..., T],
    items: Sequence[tuple[Any, ...]],
    *,
    doing: str | None,
    processes: int | None = None,
) -> Iterator[T]:
    """`function(*item)` for each item in order, one single-threaded process per core.

    Work begins at once, before the first result is asked for. doing : what the progress bar says;
    None: there is none. processes : at most so many; None: one per core.
    """
    # loky starts its workers with OMP_NUM_THREADS=1: two threads each would be ten times slower.
    jobs = Parallel(n_jobs=max(1, min(processes or cpu_count(), len(items))), return_as="generator")
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
