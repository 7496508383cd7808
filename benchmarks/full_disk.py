"""The disk is full at each moment of a retraining: a clear error, and all that was there is whole.

A small project with a champion lies on a file system of its own (tmpfs: root is needed). At
one moment of `ser run` all but a few bytes of the disk, of TMPDIR or of Prefect's folder are taken.
Then the space is given back, and `ser run` must finish.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import yaml

from benchmarks import checkout, page
from benchmarks.checkout import PATIENCE, until
from ser.bundle import bundle_sha256
from ser.files import read_json
from ser.io.intake.dvc import folder_md5
from ser.io.tracking.registry import journal
from ser.project import BUNDLE, TRAIN_RECEIPT

#: Moments of a flow, in their order, by the line of its output at which the disk fills.
MOMENTS = {
    "before it starts": "",
    **{
        stage: f"Task run '{stage}' - starts"
        for stage in (
            *("synthesize", "manifest@synthetic", "gather", "split", "featurize", "explore"),
            *("embed", "train", "evaluate", "stress", "report"),
        )
    },
    "registering": "report: ran",
    "judging": "registered version",
}
#: Bytes that stay free.
LEFT = (0, 64 * 1024)
#: Places beside the project, and the moments at which they fill.
ELSEWHERE = {
    "PREFECT_HOME": ("before it starts", "gather"),
    "TMPDIR": ("featurize", "train", "registering"),
    "HOME": ("split",),
}
SIZE = "1g"
#: Lines of an error that a person can read.
ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)
FULL = re.compile(r"full|No space left", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    place: str
    moment: str
    left: int

    def __str__(self) -> str:
        return f"{self.place}, {self.moment}, {self.left // 1024} KiB"


def chains(*, every: bool) -> list[list[Case]]:
    """The flows of two retrainings: each goes on where the one before it stopped.

    every : with each number of bytes left, else with one after the other.
    """
    project = [
        Case("project", moment, left)
        for number, moment in enumerate(MOMENTS)
        for left in (LEFT if every else [LEFT[number % len(LEFT)]])
    ]
    elsewhere = [
        Case(place, moment, 0) for place, moments in ELSEWHERE.items() for moment in moments
    ]
    return [project, sorted(elsewhere, key=lambda case: list(MOMENTS).index(case.moment))]


@dataclass
class Outcome:
    case: Case
    ended: str = ""
    said: str = ""
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        return "\n  ".join([f"{self.case}: {self.ended}: {self.said}", *self.faults])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--every", action="store_true", help="each number of bytes left at each moment"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the output of flows")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ser-full-disk-") as folder:
        disk = Disk(Path(folder))
        try:
            for number, chain in enumerate(chains(every=options.every)):
                # Every stage is stale.
                checkout.set_params(disk.root, {"seed": 8 + number})
                before = temporary_files(disk)
                for case in chain:
                    outcomes.append(play(disk, case, options.keep))
                    print(outcomes[-1].line(), flush=True)
                faults += last(disk, before, expected=2 + number)
        finally:
            disk.unmount()
    faults += [f"{found.case}: {fault}" for found in outcomes for fault in found.faults]
    write(outcomes, faults)
    sys.exit("\n".join(faults) if faults else 0)


def write(outcomes: Sequence[Outcome], faults: Sequence[str]) -> None:
    ways = [
        [
            f"{place}, {moment}",
            *(
                next((o.ended for o in outcomes if o.case == Case(place, moment, left)), "")
                for left in LEFT
            ),
        ]
        for place, moment in dict.fromkeys((o.case.place, o.case.moment) for o in outcomes)
    ]
    said = sorted({re.sub(r"[0-9a-f]{8,}|\d{3,}", "…", o.said) for o in outcomes if o.said})
    page.write(
        "full_disk",
        title="The disk is full",
        body=f"""
A retraining with another seed, in which every stage is stale, on a disk of its own. At the moment
that is named, the start of a stage or of a step, the disk of the project, or another place, is
filled but for some bytes. When `ser run` has ended, the space is given back, and the next one goes
on to the next moment: it shows that the one before it left nothing that is in the way. The last one
must finish.

{page.table(["where and when", *(f"{left // 1024} KiB left" for left in LEFT)], ways)}

*Refused*: one line of error, exit status 1. *Went on*: what was left was enough for this stage.
{len(faults)} faults in {len(outcomes)} cases: a traceback, an error that does not name the full
disk, a champion whose files have another hash than its version, a `dvc.lock` that cannot be read or
names another bundle than is there, a journal with a broken row, a temporary file that stays, a last
run that does not finish, registers another version than one, or leaves a run RUNNING.

{chr(10).join(f"- {fault}" for fault in faults)}

What was said, each once:

{chr(10).join(f"- {line}" for line in said)}
""",
    )


class Disk:
    """A project with a champion on a file system of its own, and others for TMPDIR and the like."""

    def __init__(self, folder: Path) -> None:
        self.places = {place: folder / place.lower() for place in ("project", *ELSEWHERE)}
        for place in self.places.values():
            place.mkdir(parents=True)
            mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
            if subprocess.run(mount, capture_output=True).returncode:
                sys.exit("error: No file system can be mounted; run this as root.")
        self.root = self.places["project"] / "project"
        checkout.make(self.root, {"model.name": "lda", "gate.over_chance": False})
        # A verdict of any model: the first is champion.
        checkout.set_params(self.root, {"gate.max_ece": None, "gate.min_recall": None})
        done = self.run()
        if done.returncode or champion_fault(self.root):
            sys.exit(done.stdout + done.stderr + champion_fault(self.root))

    def environment(self) -> dict[str, str]:
        own = {
            "TMPDIR": str(self.places["TMPDIR"]),
            "HOME": str(self.places["HOME"]),
            "PREFECT_HOME": str(self.places["PREFECT_HOME"]),
        }
        return checkout.environment(self.root, **own)

    def run(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.retrain"]
        return subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True
        )

    @contextmanager
    def full(self, place: Path, left: int) -> Iterator[None]:
        filler = place / "filler"
        with filler.open("wb") as file:
            # The flow takes and gives space meanwhile.
            while (free := shutil.disk_usage(place).free) > left:
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free - left)
        try:
            yield
        finally:
            filler.unlink()

    def unmount(self) -> None:
        for place in self.places.values():
            subprocess.run(["umount", "-l", str(place)], check=True)


def play(disk: Disk, case: Case, keep: Path | None) -> Outcome:
    """A retraining whose disk fills at that moment."""
    found = Outcome(case)
    log = disk.places["project"].parent / "flow.log"
    log.unlink(missing_ok=True)
    place, sign = disk.places[case.place], MOMENTS[case.moment]
    with ExitStack() as filled:
        if not sign:
            filled.enter_context(disk.full(place, case.left))
        flow = start(disk, log)
        if sign:
            until(
                lambda: flow.poll() is not None or sign in log.read_text(errors="replace"),
                str(case),
            )
            filled.enter_context(disk.full(place, case.left))
        finish(flow, found, log, sign)
        look(disk, found)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, keep / f"{re.sub('[^a-zA-Z0-9]+', '-', str(case))}.log")
    return found


def last(disk: Disk, before: set[str], *, expected: int) -> Iterator[str]:
    """What is wrong after a retraining with room on all disks."""
    done = disk.run()
    if done.returncode:
        yield f"the last run failed: {last_line(done.stdout + done.stderr)}"
    if wrong := champion_fault(disk.root):
        yield f"after the last run: {wrong}"
    with closing(sqlite3.connect(disk.root / "mlruns" / "mlflow.db")) as database:
        states = database.execute("SELECT status FROM runs").fetchall()
        ((versions,),) = database.execute("SELECT count(*) FROM model_versions").fetchall()
    if ("RUNNING",) in states:
        yield "a run is left RUNNING"
    if versions != expected:
        yield f"{versions} versions, expected {expected}"
    if new := temporary_files(disk) - before:
        yield f"left: {', '.join(sorted(new)[:4])}"


def start(disk: Disk, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        command = [sys.executable, "-m", "flows.retrain"]
        return subprocess.Popen(
            command, cwd=disk.root, env=disk.environment(), stdout=out, stderr=out
        )


def finish(flow: subprocess.Popen[bytes], found: Outcome, log: Path, sign: str) -> None:
    """How the flow ended, and what it said."""
    began = time.monotonic()
    status = flow.wait(PATIENCE)
    seconds = time.monotonic() - began
    text = log.read_text(errors="replace")
    errors = ERROR.findall(text)
    found.said = errors[-1] if errors else ""
    after = re.findall(r"Task run '([^']+)' - starts", text.partition(sign)[2]) if sign else []
    if sign not in text:
        found.ended = "not reached"
    elif status == 0:
        found.ended = "finished"
    else:
        found.ended = f"went on to {after[-1]}, refused" if after else "refused"
    if "Traceback" in text:
        found.faults.append("a traceback")
    if seconds > 400:
        found.faults.append(f"it ended after {seconds:.0f} s")
    if status == 0:
        return
    if status != 1 or len(errors) != 1:
        found.faults.append(f"exit status {status}, {len(errors)} lines of error")
    if not FULL.search(found.said):
        found.faults.append(f"not named: {found.said or last_line(text)}")


def look(disk: Disk, found: Outcome) -> None:
    """What is wrong with what was there before, while the disk is full."""
    root = disk.root
    if wrong := champion_fault(root):
        found.faults.append(wrong)
    try:
        journal.rows(root)
        locked = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    except Exception as error:
        found.faults.append(f"cannot be read: {error!r}")
        return
    # Without a receipt DVC trains again.
    if (root / BUNDLE).is_dir() and (root / TRAIN_RECEIPT).exists():
        outs = {out["path"]: out["md5"] for out in locked["train"]["outs"]}
        named = read_json(root / TRAIN_RECEIPT)["bundle_sha256"] == bundle_sha256(root / BUNDLE)
        if not named and folder_md5(root / BUNDLE) != outs[BUNDLE.as_posix()]:
            found.faults.append(f"{BUNDLE} is neither what dvc.lock nor what train.json names")
    for path in root.rglob("*.json"):
        if ".dvc" not in path.parts and path.stat().st_size == 0:
            found.faults.append(f"{path.relative_to(root)} is empty")


def champion_fault(root: Path) -> str:
    """What is wrong with the champion; "" where its files have the hash of its version."""
    query = (
        "SELECT v.version, v.storage_location, t.value FROM registered_model_aliases a "
        "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
        "JOIN model_version_tags t ON t.name = v.name AND t.version = v.version "
        "WHERE a.alias = 'champion' AND t.key = 'bundle_sha256'"
    )
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        rows = database.execute(query).fetchall()
    if len(rows) != 1:
        return f"{len(rows)} champions"
    number, place, expected = rows[0]
    bundle = Path(urlparse(place).path) / "artifacts" / "bundle"
    if not bundle.is_dir() or bundle_sha256(bundle) != expected:
        return f"champion {number} has other files than were registered"
    return ""


def temporary_files(disk: Disk) -> set[str]:
    """Files of all places whose names are temporary ones, and all of TMPDIR."""
    names = set()
    for path in disk.places["project"].rglob("*"):
        # DVC's own folder for them, which it empties itself.
        if re.search(r"\.tmp$|^tmp|\.unfinished$|\.new$|-journal$", path.name) and (
            disk.root / ".dvc" / "tmp" not in (path, *path.parents)
        ):
            names.add(str(path.relative_to(disk.root)))
    names |= {f"TMPDIR/{path.name}" for path in disk.places["TMPDIR"].iterdir()}
    return {name for name in names if not name.endswith(".lock.tmp")}


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["no output"])[-1][:300]


if __name__ == "__main__":
    main()
