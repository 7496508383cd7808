"""DVC's stages for the flow: which are stale and why, and how each is run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

from dvc.config import Config

from flows.processes.environment import command_environment
from flows.processes.guard import SIGNALLED, guards
from flows.processes.streamed import Finished, run_streamed
from ser.errors import MissingCorpus, SerError, StageError
from ser.io.intake import dvc
from ser.io.tracking.address import project_of
from ser.io.tracking.runs import flatten
from ser.params import Params
from ser.stages.base import MAY_PASS, USER_ERROR

T = TypeVar("T")
#: DVC's own lines around a stage's output.
CHATTER = re.compile(
    r"\s*(Running stage|> |Updating lock file|Generating lock file|To track the changes|"
    r"To enable auto staging|git add|dvc config core|Use `dvc push`|Data and pipelines are|"
    r"Stage '.*' (didn't change|is cached)|$)"
)
LOGS = Path(".ser/logs")
WORDS = {"modified": "changed", "deleted": "is missing", "new": "is new"}
#: DVC's words where another DVC command holds its lock, or works on the same files.
BUSY = re.compile(r"acquire lock|is busy|is locked")
#: And what it prints below.
BLOCKED_BY = re.compile(r"\s*\(PID \d+\)|If there are no processes with such")
#: Seconds to wait for another DVC command, and between two looks at it.
BUSY_TIMEOUT, BUSY_PAUSE = 3600.0, 2.0
#: Reasons that a line of the log names, before "and … more".
SHOWN_REASONS = 3


class StageCrashed(StageError):
    """A failure that may pass if the stage is tried again."""


class StageBusy(StageCrashed):
    """Another DVC command works on the same files."""


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: it ran, its outs came from DVC's cache, or nothing was to do."""

    stage: str
    did: Literal["ran", "restored", "unchanged"]
    why: str
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.did == "unchanged":
            return f"{self.stage}: unchanged, because {self.why}"
        took = f" in {self.seconds:.0f} s" if self.did == "ran" else " from DVC's cache"
        return f"{self.stage}: {self.did}{took}, because {self.why}"


def stage_names(root: Path, params: Params) -> list[str]:
    """Names as DVC writes them, in the order they run in, of a dvc.yaml that DVC has accepted."""
    names: list[str] = []
    for name, stage in ((dvc.read_yaml(root / "dvc.yaml") or {}).get("stages") or {}).items():
        items = stage.get("foreach")
        if isinstance(items, str):
            # "${data.corpora}"
            items = attrgetter(items.strip("${}"))(params)
        names += [name] if items is None else [f"{name}@{item}" for item in items]
    return names


def changes(root: Path) -> dict[str, str]:
    """Stale stages, and why, from one `dvc status`: `{"train": "params.yaml: seed changed"}`.

    Stages that only depend on stale ones are not in it. Raises SerError where dvc.yaml, dvc.lock
    or params.yaml cannot be read.
    """
    # DVC names no file where it stumbles over a merge conflict.
    dvc.check_files(root)
    locked = dvc.locked_stages(root)
    current = dvc.read_yaml(root / dvc.PARAMS) or {}
    output = run(root, "status", "--json")
    return {
        name: (
            explain(entries, locked[name].get("params", {}).get(dvc.PARAMS, {}), current)
            if name in locked
            else "it has not run yet"
        )
        for name, entries in json.loads(output).items()
    }


def explain(
    entries: list[str | Mapping[str, Any]], locked: Mapping[str, Any], current: Mapping[str, Any]
) -> str:
    """DVC's account of a stale stage, in words.

    locked : the stage's parameters, by the keys that dvc.yaml names. current : params.yaml.
    """
    before, now = flatten(locked), flatten(current)
    differing = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    reasons: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            reasons.append("its command changed" if entry == "changed command" else entry)
            continue
        for path, change in (p for changed in entry.values() for p in changed.items()):
            if isinstance(change, str):
                reasons.append(f"{path} {WORDS.get(change, change)}")
                continue
            for key, how in change.items():
                # The parameters that changed say more than their section.
                inside = [name for name in differing if f"{name}.".startswith(f"{key}.")]
                names = inside if inside and how == "modified" else [key]
                reasons += [f"{path}: {name} {WORDS.get(how, how)}" for name in names]
    if len(reasons) > SHOWN_REASONS:
        reasons[SHOWN_REASONS:] = [f"{len(reasons) - SHOWN_REASONS} more"]
    *first, last = reasons
    return f"{', '.join(first)} and {last}" if first else last


def run(root: Path, *arguments: str) -> str:
    """What `dvc ARGUMENTS` prints; raises StageError with DVC's own reason.

    Waits for another DVC command that holds its lock.
    """

    def attempt() -> str:
        with guards() as start:
            command = [sys.executable, "-m", "dvc", *arguments]
            env, pipe = command_environment(), subprocess.PIPE
            process = start(command, cwd=root, env=env, stdout=pipe, stderr=pipe, text=True)
            output, errors = process.communicate()
        if process.returncode:
            reason = dvc.reason(errors or output)
            kind = StageBusy if BUSY.search(reason) else StageError
            raise kind(f"`dvc {' '.join(arguments)}` failed: {reason}")
        return str(output)

    return _when_free(attempt)


def repro(root: Path, options: Sequence[str]) -> int:
    """`dvc repro OPTIONS` with its output on stdout, once no other DVC command is in its way.

    Returns its exit status; Ctrl-C ends it before it passes on.
    """

    def show(line: str) -> None:
        if not (BUSY.search(line) or BLOCKED_BY.match(line)):
            print(line, flush=True)

    def attempt() -> int:
        command = [sys.executable, "-m", "dvc", "repro", *options]
        finished = run_streamed(command, cwd=root, env=command_environment(), on_line=show)
        reason = dvc.reason("\n".join(finished.lines))
        if finished.returncode and BUSY.search(reason):
            raise StageBusy(reason)
        return finished.returncode

    return _when_free(attempt, show)


def _when_free(attempt: Callable[[], T], on_line: Callable[[str], None] | None = None) -> T:
    """The attempt's result, once no other DVC command is in its way."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    waits = False
    while True:
        try:
            return attempt()
        except StageBusy:
            if time.monotonic() > deadline:
                raise
        if on_line and not waits:
            on_line("waits for another DVC command that works here")
        waits = True
        time.sleep(BUSY_PAUSE)


def missing_outs(root: Path) -> list[str]:
    """Outs of dvc.lock that are not here."""
    return [path for path in dvc.locked_outs(root) if not (root / path).exists()]


def has_remote(root: Path) -> bool:
    """Whether DVC has a default remote, to which `push` sends."""
    return "remote" in Config(dvc_dir=str(root / ".dvc"))["core"]


def push(root: Path) -> None:
    """Send what dvc.lock and the `.dvc` files name to the default remote.

    Raises StageCrashed: a remote that is away may come back.
    """
    try:
        run(root, "push")
    except StageError as error:
        raise StageCrashed(f"{error} Nothing is promoted before it is pushed.") from error


def reproduce(
    root: Path,
    stage: str,
    *,
    why: str,
    on_line: Callable[[str], None],
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """`dvc repro` of this one stage; its whole output is kept in `.ser/logs/`.

    env : added to the stage's environment.
    Raises StageError with the stage's own message, StageCrashed where a retry may help.
    """
    started = time.monotonic()
    command = [sys.executable, "-m", "dvc", "repro", *options, "-s", stage]

    def attempt() -> str:
        # An attempt before may have been killed while DVC wrote it.
        if mended := dvc.mend_lock(root):
            on_line(mended)
        finished = run_streamed(
            command,
            cwd=root,
            env={**command_environment(), **_own_source(root), **(env or {})},
            on_line=lambda line: None if _is_noise(line) else on_line(line),
        )
        text = "\n".join(finished.lines)
        log = root / LOGS / f"{stage}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{text}\n", encoding="utf-8")
        if finished.returncode:
            failure = _failure(stage, finished)
            failure.stage = stage
            raise failure
        return text

    text = _when_free(attempt, on_line)
    seconds = time.monotonic() - started
    if "is cached - skipping run" in text:
        return Outcome(stage, "restored", why, seconds)
    if "didn't change, skipping" in text:
        return Outcome(stage, "unchanged", "what it reads is the same as before", seconds)
    return Outcome(stage, "ran", why, seconds)


def _own_source(root: Path) -> dict[str, str]:
    """What makes Python import the source of `root` where that is a worktree."""
    if project_of(root) == root.resolve():
        return {}
    return {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}


def _is_noise(line: str) -> bool:
    # The error is shown once, at the very end.
    return bool(CHATTER.match(line) or BLOCKED_BY.match(line)) or line.startswith(
        ("error: ", "ERROR: ")
    )


def _failure(stage: str, finished: Finished) -> SerError:
    """What went wrong, from the last words of the stage or, failing those, of DVC."""
    lines = finished.lines
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reason = dvc.reason("\n".join(lines))
    found = re.search(r"exited with (-?\d+)", reason)
    status = int(found[1]) if found else finished.returncode
    if found or may_pass(status):
        kind = StageCrashed if may_pass(status) else StageError
        if status in (USER_ERROR, MAY_PASS) and own:
            return kind(f"{stage}: {own[-1]}")
        words = [line.strip() for line in lines if not _is_noise(line)]
        return kind(
            f"{stage} crashed with status {status} ({words[-1] if words else 'no output'}). "
            f"See {LOGS / f'{stage}.log'}, or run with --debug."
        )
    missing = re.search(r"data/raw/([\w-]+)", reason)
    if missing and re.search(r"missing|No such file|does not exist", reason):
        return MissingCorpus(
            f"{stage}: data/raw/{missing[1]} is not here. Put it there with `ser corpus add "
            f"{missing[1]} PATH`, or fetch it with `dvc pull`."
        )
    return (StageBusy if BUSY.search(reason) else StageError)(f"{stage}: {reason}")


def may_pass(status: int) -> bool:
    """Whether a stage that ended with this exit status is worth another try.

    It is where the stage says so, or something from outside ended it; whatever else a stage
    fails of, an exception of ours or a crash of a library, it fails of again.
    """
    # A shell turns the signal -9 into 137.
    ended_by = -status if status < 0 else status - SIGNALLED
    return status == MAY_PASS or ended_by in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
