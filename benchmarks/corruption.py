"""One byte is flipped in a raw file, a feature file, or DVC's cache of either: is it found?

A project with the embedded corpus is made and trained in a folder of its own. Then, a hundred
times over: one file is chosen by chance, one of its bits flipped with size and times kept, and
`dvc repro` is asked for another model. It is found if nothing is trained; whether the file is named
is counted apart.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import yaml

from benchmarks import page

KINDS = ("recording", "features", "cached recording", "cached features")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    found: Counter[str] = Counter()
    named: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    missed: list[str] = []
    unnamed: list[str] = []
    with tempfile.TemporaryDirectory(dir=page.ROOT.parent) as folder:
        project = Path(folder) / "project"
        _make(project)
        files = _files(project)
        for i in range(options.flips):
            kind = KINDS[i % len(KINDS)]
            path = chance.choice(files[kind])
            tried[kind] += 1
            with _flipped(path, chance):
                _change_model(project, c=i + 1.5)
                done = _run(project, "dvc", "repro", "train")
            said = done.stdout + done.stderr
            where = f"{kind}, {path.relative_to(project)}"
            if done.returncode == 0 or _is_trained(project, i):
                missed.append(where)
                continue
            found[kind] += 1
            if _names(said, path):
                named[kind] += 1
            else:
                unnamed.append(f"{where}: {_last_error(said)}")
    rows = [[kind, tried[kind], found[kind], named[kind]] for kind in KINDS]
    rows.append(["all", *(sum(counts.values()) for counts in (tried, found, named))])
    notes = [f"- missed: {line}" for line in missed] + [f"- not named: {n}" for n in unnamed]
    page.write(
        "corruption",
        title="Flipped bytes that are found before training",
        body=f"""
The embedded corpus (6 speakers, 3 sentences). One bit of one file is flipped, its size and
times kept; then `dvc repro train` with another parameter must refuse to train, and should name the
file.

{page.table(["what is damaged", "flips", "found", "named"], rows)}

{chr(10).join(notes) or "None was missed, and each was named."}
""",
    )
    sys.exit(1 if missed else 0)


def _make(project: Path) -> None:
    """A checkout of this source with a small corpus, trained once."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("src", "flows"):
        shutil.copytree(page.ROOT / name, project / name, ignore=ignore)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "data/raw/.gitignore"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page.ROOT / name, project / name)
    (project / ".dvc").mkdir()
    shutil.copy(page.ROOT / ".dvc" / "config", project / ".dvc")
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["synthetic"] |= {"speakers": 6, "sentences": 3}
    params["model"]["name"] = "logistic_regression"
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    done = _run(project, "dvc", "repro")
    if done.returncode:
        sys.exit(done.stderr)


def _files(project: Path) -> dict[str, list[Path]]:
    """Files of each kind; of the cache, those that the two folders' listings name."""
    locked = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    cache = project / ".dvc" / "cache" / "files" / "md5"

    def objects(stage: str) -> list[Path]:
        md5 = locked[stage]["outs"][0]["md5"]
        listing = yaml.safe_load((cache / md5[:2] / md5[2:]).read_text())
        names = [entry["md5"] for entry in listing] + [md5]
        return [cache / name[:2] / name[2:] for name in names]

    return {
        "recording": sorted((project / "data" / "raw" / "synthetic").rglob("*.wav")),
        "features": sorted(p for p in (project / "data" / "features").iterdir() if p.is_file()),
        "cached recording": objects("synthesize"),
        "cached features": objects("featurize"),
    }


class _flipped:  # noqa: N801
    """One bit of a file is flipped inside the block, its size, mode and times kept."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path, self.chance = path, chance

    def __enter__(self) -> None:
        self.before = self.path.read_bytes()
        self.stat = self.path.stat()
        bent = bytearray(self.before)
        bent[self.chance.randrange(len(bent))] ^= 1 << self.chance.randrange(8)
        self._write(bytes(bent))

    def __exit__(self, *_: object) -> None:
        self._write(self.before)

    def _write(self, content: bytes) -> None:
        self.path.chmod(0o644)
        # In place: the same inode, as when a disk rots.
        with self.path.open("r+b") as file:
            file.write(content)
        self.path.chmod(self.stat.st_mode)
        os.utime(self.path, ns=(self.stat.st_atime_ns, self.stat.st_mtime_ns))


def _change_model(project: Path, *, c: float) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["model"]["logistic_regression"]["c"] = c
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _names(said: str, path: Path) -> bool:
    """True if the message names the file, or the cache object by its hash."""
    tail = "/".join(path.parts[-2:])
    return path.name in said or tail in said or (path.parent.name + path.name) in said


def _is_trained(project: Path, i: int) -> bool:
    return f" c: {i + 1.5}\n" in (project / "dvc.lock").read_text()


def _last_error(said: str) -> str:
    lines = [line for line in said.splitlines() if "error" in line.lower()]
    return lines[-1].strip() if lines else "no error was printed"


def _run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{project / 'src'}{os.pathsep}{project}",
        "DVC_NO_ANALYTICS": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )


if __name__ == "__main__":
    main()
