"""Recordings to features by the real stages: all of them, again, and with some new ones.

A project is made in a folder of its own; each figure is a whole process, start-up included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks import page
from ser.corpora.catalogue import label_files
from ser.corpora.published.ravdess import RAVDESS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="RAVDESS's WAV files")
    parser.add_argument("--new", type=int, default=60, help="recordings added last (default: 60)")
    options = parser.parse_args()
    files = sorted(label_files(options.folder, RAVDESS))
    later = set(files[-options.new :])
    with tempfile.TemporaryDirectory(dir=page.ROOT.parent) as folder:
        project = Path(folder)
        raw = project / "data" / "raw" / "ravdess"
        _project(project, versions=0)

        def bring(wanted: set[object]) -> None:
            for file in wanted:
                (raw / str(file)).parent.mkdir(parents=True, exist_ok=True)
                os.link(options.folder / str(file), raw / str(file))

        bring(set(files) - later)
        rows = [
            _row(project, "manifest", f"{len(files) - options.new} recordings, nothing known"),
            _row(project, "gather", "the one corpus"),
            _row(project, "featurize", f"{len(files) - options.new} recordings, nothing known"),
            _row(project, "featurize", "the same again"),
        ]
        bring(later)
        _row(project, "manifest", "")
        _row(project, "gather", "")
        rows.append(_row(project, "featurize", f"{options.new} recordings added"))
        for versions in (0, 2):
            _project(project, versions=versions)
            shutil.rmtree(project / "data" / "features")
            what = f"all {len(files)} recordings, {versions} augmented versions, nothing known"
            rows.append(_row(project, "featurize", what))
    page.write(
        "featurize",
        title="RAVDESS from WAV to features",
        body=f"""
{len(files)} recordings at 48 kHz. Seconds of the whole process `python -m ser.stages.…`: start of
Python and of the workers, reading, hashing, decoding, resampling, extraction, writing.

{page.table(["stage", "what", "seconds", "user + system CPU s", "it says"], rows)}
""",
    )


def _project(project: Path, *, versions: int) -> None:
    """What the stages read: parameters that name RAVDESS, and how many augmented versions."""
    params = yaml.safe_load((page.ROOT / "params.yaml").read_text())
    params["data"]["corpora"] = ["ravdess"]
    params["augment"]["versions"] = versions
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _row(project: Path, stage: str, what: str) -> list[object]:
    arguments = ["ravdess"] if stage == "manifest" else []
    before = os.times()
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"ser.stages.{stage}", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    after = os.times()
    if done.returncode:
        sys.exit(done.stderr)
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return [stage, what, seconds, cpu, done.stdout.strip().splitlines()[0]]


if __name__ == "__main__":
    main()
