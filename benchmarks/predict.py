"""`ser predict` on few and many recordings: first answer, rate, memory; beside another checkout.

Each is a process of its own, on the recordings of a folder, with the bundle in `models/bundle` of
its checkout. The other checkout, such as one of an older commit, needs a bundle that it trained.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks import page
from ser.core.utterance.formats import is_audio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's WAV files")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, with a bundle")
    options = parser.parse_args()
    files = sorted(path.resolve() for path in options.folder.rglob("*") if is_audio(path))
    roots = {"this": page.ROOT} | ({"other": options.against} if options.against else {})
    runs: dict[tuple[str, int], list[tuple[float, float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for count in options.counts:
            folder = Path(temporary) / str(count)
            folder.mkdir()
            for file in files[:count]:
                (folder / file.name).symlink_to(file)
        for _ in range(options.repeats):
            for count in options.counts:
                for name, root in roots.items():
                    run = _measured(root.resolve(), Path(temporary) / str(count))
                    runs.setdefault((name, count), []).append(run)
    rows = [
        [name, count, *(min(values) for values in zip(*found, strict=True))]
        for (name, count), found in runs.items()
    ]
    page.write(
        "predict",
        title="Answers of `ser predict`",
        body=f"""
The least of {options.repeats} runs, which take turns. Memory is resident: of the process, and of it
and its workers together (pages that they share count more than once).

{page.table(["checkout", "recordings", "first answer, s", "all, s", "MB", "MB, all"], rows)}
""",
    )


def _measured(root: Path, folder: Path) -> tuple[float, float, float, float]:
    """Seconds to the first line and to the end, and peak memory in MB without and with workers."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ser.cli", "predict", str(folder), "--model", "models/bundle"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    peaks = [0.0, 0.0]
    watch = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
    watch.start()
    assert process.stdout is not None
    process.stdout.readline()
    first = time.perf_counter() - started
    process.stdout.read()
    process.wait()
    watch.join()
    return first, time.perf_counter() - started, *peaks


def _watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            own = watched.memory_info().rss / 1e6
            workers = sum(c.memory_info().rss for c in watched.children(recursive=True)) / 1e6
        except psutil.Error:
            continue
        peaks[:] = max(peaks[0], own), max(peaks[1], own + workers)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
