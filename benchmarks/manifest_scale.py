"""A made-up manifest of many rows is built, written, split and audited: seconds and memory.

Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import page
from ser.core.splits import leakage
from ser.core.splits.assign import assign
from ser.core.splits.fingerprint import LENGTH
from ser.core.utterance.emotions import EMOTIONS
from ser.core.utterance.tables import check_manifest, manifest_table
from ser.io.storage.tables import read_table, write_table

SIZES = (10_000, 100_000, 1_000_000)
UTTERANCES_A_SPEAKER = 50


def made_up(n: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Rows of a manifest: 50 utterances a speaker, 8 emotions, 200 sentences, 0.1 % copies."""
    fingerprint = b""
    for i in range(n):
        speaker = i // UTTERANCES_A_SPEAKER
        # A copy of the previous row, which has the same speaker.
        is_copy = i % 1000 == 1
        fingerprint = fingerprint if is_copy else rng.bytes(LENGTH)
        yield {
            "file": f"data/raw/made-up/{speaker:06d}/{i:08d}.wav",
            "start": 0.0,
            "end": 3.0,
            "whole": True,
            "corpus": "made-up",
            "speaker": f"made-up/{speaker:06d}",
            "sex": ("female", "male")[speaker % 2],
            "emotion": EMOTIONS[int(rng.integers(8))],
            "intensity": "unspecified",
            "sentence": f"s{int(rng.integers(200)):03d}",
            "duration": 3.0,
            "sha256": rng.bytes(32).hex(),
            "audio_sha256": rng.bytes(32).hex(),
            "fingerprint": fingerprint,
        }


def measure(n: int) -> dict[str, float]:
    """Seconds of each step, and peak memory in GB, at n rows."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        started = time.perf_counter()
        table = manifest_table(made_up(n, np.random.default_rng(0)))
        check_manifest(table)
        write_table(table, path)
        del table
        seconds["build"] = time.perf_counter() - started

        started = time.perf_counter()
        manifest = read_table(path, check_manifest)
        fingerprints = manifest.pop("fingerprint")
        folds = assign(
            manifest,
            protocol="holdout",
            fold=1,
            folds=5,
            test_fraction=0.2,
            dev_fraction=0.1,
            seed=7,
        )
        seconds["split"] = time.perf_counter() - started

        started = time.perf_counter()
        # Made-up rows have no recordings: each candidate is taken for a copy.
        copies = leakage.copies_of(folds, fingerprints, compare=lambda pairs: np.ones(len(pairs)))
        found = leakage.audit(folds, copies)
        leakage.check(found, folds)
        seconds["audit"] = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**seconds, "copies": len(found.copies), "peak_gb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, help="measure this size alone, and print JSON")
    options = parser.parse_args()
    if options.size:
        print(json.dumps(measure(options.size)))
        return
    rows = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.manifest_scale", "--size", str(size)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        total = found["build"] + found["split"] + found["audit"]
        rows.append(
            [size, found["build"], found["split"], found["audit"], total / size * 1e6,
             found["copies"], found["peak_gb"]]
        )  # fmt: skip
    header = ["rows", "build s", "split s", "audit s", "µs a row", "copies found", "peak GB"]
    page.write(
        "manifest_scale",
        title="Manifests of up to a million rows",
        body=f"""
A made-up manifest is built row by row, checked, written as Parquet, read again, split (holdout,
speakers apart, balanced by sex and emotion) and audited (speakers, bytes, samples, fingerprints).
Peak memory is of the whole process.

{page.table(header, rows)}
""",
    )


if __name__ == "__main__":
    main()
