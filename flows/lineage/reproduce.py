"""`ser reproduce`: make a version again, and compare it with its record.

In a worktree of the recorded revision, with the recorded parameters and data, every stage runs
anew. Identical, or what differs and in which stage the difference starts.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from flows import stages
from flows.lineage import spread
from flows.lineage.compare import (
    Difference,
    compare_answers,
    compare_features,
    compare_stages,
    in_order,
)
from flows.lineage.findings import Reproduction, as_json, print_found
from flows.lineage.machine import NUMERIC, differences, libraries, machine
from flows.processes.environment import begin
from flows.worktree import difference, link_own_files, worktree
from ser.errors import SerError, StageError
from ser.files import read_json
from ser.io.intake.dvc import locked_stages, tracker_of
from ser.io.tracking.address import VARIABLE
from ser.io.tracking.registry import records
from ser.output import USER_ERROR, print_error
from ser.project import AUGMENTED, BUNDLE, EMBEDDINGS, FEATURES, METRICS, PREDICTIONS, RAW

INTERRUPTED, DIFFERS = 130, 1
RECORDED, HERE = "recorded", "here"
#: Trainings with other seeds where another machine made another model and no spread is recorded.
SEEDS = 4
#: Every stage, from its inputs: nothing of DVC's cache, and nothing into it.
ANEW = ("--force", "--no-commit")


def main() -> int:
    """Make a version again in a worktree, and compare features, weights and scores."""
    parser = argparse.ArgumentParser(prog="ser reproduce", description=main.__doc__)
    parser.add_argument(
        "version",
        help="a number, an alias such as champion, or the path of a version's lineage.json, which "
        "needs no registry",
    )
    parser.add_argument(
        "--code",
        default=RECORDED,
        metavar="REVISION",
        help="code of another Git revision, or `here`: this checkout's, uncommitted changes too; "
        "parameters and data stay the recorded ones",
    )
    parser.add_argument(
        "--seeds",
        type=_count,
        metavar="N",
        help="train with N more seeds, and store the spread of the test UAR with the version "
        f"(default: {SEEDS} where another machine made another model and none is stored)",
    )
    parser.add_argument("--json", action="store_true", help="a JSON object on stdout")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    root = begin()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True, highlight=False)
    try:
        record, version = records.find_record(root, options.version)
        found = reproduce(root, record, code=options.code, seeds=options.seeds, console=console)
    except KeyboardInterrupt:
        print_error("interrupted; nothing was changed.")
        return INTERRUPTED
    except (SerError, OSError) as error:
        if options.debug or os.environ.get("SER_DEBUG"):
            raise
        print_error(error)
        return USER_ERROR
    if options.json:
        print(json.dumps(as_json(found), indent=2))
    else:
        print_found(found, Console(highlight=False))
    if found.is_measured_now and version is not None:
        try:
            records.amend_record(root, version, spread=list(found.spread))
        except SerError as error:
            print_error(f"the spread is not stored with the version: {error}")
    return 0 if found.is_within_limits else DIFFERS


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no count; expected 0 or more")
    return int(text)


def reproduce(
    root: Path, record: Mapping[str, Any], *, code: str, seeds: int | None, console: Console
) -> Reproduction:
    """Run every stage of the record anew, and compare. Raises SerError where it cannot be done."""
    if not record["git"]:
        raise StageError(
            "The version was made outside Git: its code is not recorded, so it cannot be made "
            "again. Commit the project; versions from then on can be."
        )
    recorded = yaml.safe_load(record["files"]["dvc.lock"])["stages"]
    files = {path: text for path, text in record["files"].items() if path != "dvc.lock"}
    commit, diff = _code(root, record, code)
    name = f"reproduce-{record['bundle_sha256'][:12]}"
    with worktree(root, name, commit=commit, diff=diff, files=files) as tree:
        link_own_files(root, tree)
        corpora = record["corpora"]
        for corpus in corpora:
            if tracker_of(tree, RAW / corpus).exists():
                console.print(f"{RAW / corpus}: from DVC")
                _bring(tree, [tracker_of(Path(), RAW / corpus).as_posix()])
        env = {VARIABLE: f"sqlite:///{tree}/mlruns/mlflow.db"}

        def run(stage: str) -> None:
            with console.status(f"{stage} …"):
                outcome = stages.reproduce(
                    tree, stage, why="", on_line=lambda _: None, options=ANEW, env=env
                )
            console.print(f"{stage}: ran in {outcome.seconds:.0f} s")

        # DVC keeps entries of stages that are no more: of corpora that were chosen before.
        defined = (stages.dvc.read_yaml(tree / "dvc.yaml") or {})["stages"]
        recorded = {
            name: stage
            for name, stage in recorded.items()
            if name.partition("@")[0] in defined and name.partition("@")[2] in ("", *corpora)
        }
        for stage in in_order(recorded):
            run(stage)
        compared = compare_stages(recorded, locked_stages(tree))
        differing = {path for stage in compared for path in stage.differing}
        with _recorded(root, record, differing) as before:
            features = {
                folder.as_posix(): _difference(before, tree, folder)
                for folder in (FEATURES, AUGMENTED, EMBEDDINGS)
                if folder.as_posix() in differing
            }
            answers = ""
            if before and PREDICTIONS.as_posix() in differing and (before / PREDICTIONS).exists():
                answers = compare_answers(before, tree)
        uar = float(read_json(tree / METRICS)["test"]["uar"])
        differs = [*differences(record["machine"], machine())]
        both = [{n: of[n] for n in NUMERIC if n in of} for of in (record["libraries"], libraries())]
        differs += differences(*both)
        known = tuple(record["spread"] or ())
        if seeds is None and BUNDLE.as_posix() in differing and differs and not known:
            seeds = SEEDS
        measured = bool(seeds)
        if seeds:
            known = tuple(spread.measure(tree, record["seed"], seeds, first=uar, run=run))
    return Reproduction(
        tuple(compared),
        tuple(differs),
        features,
        answers,
        uar,
        float(record["scores"]["test"]["uar"]),
        known,
        measured,
    )


def _code(root: Path, record: Mapping[str, Any], code: str) -> tuple[str, bytes]:
    """Commit and difference of the code to run."""
    if code in (RECORDED, ""):
        return record["git"]["commit"], os.fsencode(record["git"]["diff"])
    return ("HEAD", difference(root)) if code == HERE else (code, b"")


def _bring(tree: Path, targets: list[str]) -> None:
    """Have DVC bring files from its cache, else from its remote."""
    try:
        stages.run(tree, "checkout", *targets)
    except StageError as error:
        if not stages.has_remote(tree):
            raise StageError(
                f"{', '.join(targets)}: not in DVC's cache here, and DVC has no remote to fetch "
                "it from. Name one: `dvc remote add --default NAME URL`."
            ) from error
        stages.run(tree, "pull", *targets)


@contextmanager
def _recorded(root: Path, record: Mapping[str, Any], differing: set[str]) -> Iterator[Path | None]:
    """The recorded files among those that differ, as far as DVC has them; None where none does."""
    if not differing:
        yield None
        return
    name = f"record-{record['bundle_sha256'][:12]}"
    commit, diff = _code(root, record, RECORDED)
    with worktree(root, name, commit=commit, diff=diff, files=record["files"]) as tree:
        wanted = {path.as_posix() for path in (FEATURES, AUGMENTED, EMBEDDINGS, PREDICTIONS)}
        for path in sorted(differing & wanted):
            try:
                _bring(tree, [path])
            except StageError as error:
                print_error(f"cannot be compared value by value: {error}")
        yield tree


def _difference(before: Path | None, tree: Path, folder: Path) -> list[Difference]:
    if before is None or not (before / folder).is_dir():
        return []
    return compare_features(before / folder, tree / folder)


if __name__ == "__main__":
    sys.exit(main())
