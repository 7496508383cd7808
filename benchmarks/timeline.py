"""`ser timeline` on an hour of audio: seconds and memory, beside a one-clip `ser predict`.

The hour is made of a folder's recordings in random order, 0.3 to 2.0 s apart, at the first one's
rate, as FLAC: once mono, once as a call whose two parties speak in turn on a channel each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile

from benchmarks import page
from ser.core.utterance.formats import is_audio
from ser.core.utterance.waveform import resample
from ser.io.audio.read import load_mono

#: Seconds of the pauses.
PAUSES = (0.3, 2.0)


def hour(files: list[Path], target: Path, *, seconds: float, parties: int) -> float:
    """Write a recording of at least `seconds`; returns its duration."""
    rng = np.random.default_rng(0)
    _, sr = load_mono(files[0])
    n_samples, turn = 0, 0
    with soundfile.SoundFile(target, "w", sr, parties, subtype="PCM_16", format="FLAC") as out:
        while n_samples < seconds * sr:
            turn += rng.random() < 0.3
            y, rate = load_mono(files[rng.integers(len(files))])
            y = resample(y, sr_in=rate, sr_out=sr)
            block = np.zeros((y.size + round(sr * rng.uniform(*PAUSES)), parties), np.float32)
            block[: y.size, turn % parties] = y
            # A room's faint noise: no recording has digital silence on a channel.
            block += 1e-4 * rng.standard_normal(block.shape, dtype=np.float32)
            out.write(block)
            n_samples += len(block)
    return n_samples / sr


def measured(*words: str, root: Path) -> dict[str, float]:
    """Seconds, CPU seconds of all processes, and MB of the largest process: resident, and its own.

    Its own are pages that no other process shares (USS).
    """
    started = time.perf_counter()
    before = os.times()
    process = subprocess.Popen(
        [sys.executable, "-m", "ser.cli", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(page.ROOT / "src"), "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.DEVNULL,
    )
    resident, own = 0.0, 0.0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            for one in (watched, *watched.children(recursive=True)):
                memory = one.memory_full_info()
                resident = max(resident, memory.rss / 1e6)
                own = max(own, memory.uss / 1e6)
        except psutil.Error:
            continue
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"ser {' '.join(words)} ended with {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "seconds": time.perf_counter() - started,
        "cpu": cpu,
        "resident": resident,
        "own": own,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's")
    parser.add_argument("--model", type=Path, default=page.ROOT / "models" / "bundle")
    parser.add_argument("--seconds", type=float, default=3600.0)
    options = parser.parse_args()
    files = sorted(path.resolve() for path in options.folder.rglob("*") if is_audio(path))
    model = ["--model", str(options.model.resolve())]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        one = measured("predict", str(files[0]), *model, root=root)
        rows.append(["one clip, ser predict", 0.0, *one.values(), 0.0])
        for name, parties in (("mono", 1), ("a call, two channels", 2)):
            file = root / f"{parties}.flac"
            seconds = hour(files, file, seconds=options.seconds, parties=parties)
            found = measured("timeline", str(file), "--json", *model, root=root)
            more = found["own"] - one["own"]
            rows.append([name, seconds / 60, *found.values(), more])
    head = [
        "recording",
        "minutes",
        "s",
        "CPU s",
        "MB resident",
        "MB own",
        "own, above one clip",
    ]
    page.write(
        "timeline",
        title="An hour to a timeline",
        body=f"""
{" ".join(str(__doc__).split())}

CPU seconds are of all processes together. Seconds grow with other work on the machine: see the load
average.
Memory is of the largest process at any time; its own are pages that no other one shares (USS).

{page.table(head, rows)}
""",
    )


if __name__ == "__main__":
    main()
