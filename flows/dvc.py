"""DVC's stages as the flow sees them: which are stale and why, and how each is run."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flows.environment import command_environment
from flows.guard import SIGNALLED, guarded, lifeline
from flows.process import run_streamed
from ser.errors import MissingCorpus, SerError, StageError
from ser.io.intake import dvc
from ser.params import Params
from ser.stages.base import MAY_PASS, USER_ERROR

#: What DVC says around a stage's own words, and nobody needs to read.
CHATTER = re.compile(
    r"\s*(Running stage|> |Updating lock file|Generating lock file|To track the changes|"
    r"To enable auto staging|git add|dvc config core|Use `dvc push`|Data and pipelines are|"
    r"Stage '.*' (didn't change|is cached)|$)"
)
LOGS = Path(".ser/logs")
PARAMS = "params.yaml"
WORDS = {"modified": "changed", "deleted": "is missing", "new": "is new"}
#: Reasons that a line of the log names, before "and … more".
SHOWN_REASONS = 3


class StageCrashed(StageError):
    """A failure that may pass if the stage is tried again."""


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
    """Names as DVC knows them, in the order of dvc.yaml, which is the order they run in."""
    if not (root / "dvc.yaml").exists():
        raise StageError(f"dvc.yaml is not in {root}; run from the project's root.")
    with _as_stage_errors():
        stages = (dvc.read_yaml(root / "dvc.yaml") or {}).get("stages")
    if not (isinstance(stages, dict) and all(isinstance(s, dict) for s in stages.values())):
        raise StageError("dvc.yaml has no readable `stages`; mend it or restore it.")
    names: list[str] = []
    for name, stage in stages.items():
        if "foreach" in stage:
            names += [f"{name}@{item}" for item in _items(stage["foreach"], params)]
        else:
            names.append(name)
    return names


@contextmanager
def _as_stage_errors() -> Iterator[None]:
    try:
        yield
    except SerError as error:
        raise StageError(str(error)) from error


def _items(foreach: Any, params: Params) -> list[str]:
    if not isinstance(foreach, str):
        return [str(item) for item in foreach]
    value: Any = params
    for part in foreach.strip("${}").split("."):
        value = getattr(value, part)
    return [str(item) for item in value]


def changes(root: Path) -> dict[str, str]:
    """Stale stages, and why, from one `dvc status`: `{"train": "params.yaml: seed changed"}`.

    Stages that only depend on stale ones are not in it.
    """
    with _as_stage_errors():
        # DVC names no file where it stumbles over a merge conflict.
        dvc.check_files(root)
        known = dvc.locked_stages(root)
        current = dvc.read_yaml(root / PARAMS) or {}
    with lifeline() as alive:
        done = subprocess.run(
            guarded([sys.executable, "-m", "dvc", "status", "--json"]),
            cwd=root,
            env=command_environment(),
            stdin=alive,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise StageError(f"DVC cannot read the pipeline: {dvc.reason(done.stderr or done.stdout)}")
    return {
        name: (
            explain(by_leaf(entries, _locked_params(known[name]), current))
            if name in known
            else "it has not run yet"
        )
        for name, entries in json.loads(done.stdout).items()
    }


def _locked_params(stage: Mapping[str, Any]) -> dict[str, Any]:
    return dict(stage.get("params", {}).get(PARAMS, {}))


def by_leaf(
    entries: list[str | Mapping[str, Any]], locked: Mapping[str, Any], current: Mapping[str, Any]
) -> list[str | Mapping[str, Any]]:
    """DVC's account with the parameters that changed instead of the sections that hold them.

    locked : parameters by the keys that dvc.yaml names. current : params.yaml.
    """
    finer: list[str | Mapping[str, Any]] = []
    for entry in entries:
        changed = {} if isinstance(entry, str) else entry.get("changed deps", {}).get(PARAMS)
        if isinstance(entry, str) or not isinstance(changed, Mapping):
            finer.append(entry)
            continue
        leaves: dict[str, str] = {}
        for key, how in changed.items():
            now: Any = current
            for part in key.split("."):
                now = now.get(part) if isinstance(now, Mapping) else None
            changes = _leaves(key, locked.get(key), now) if how == "modified" else []
            leaves |= dict.fromkeys(changes or [key], str(how))
        finer.append({**entry, "changed deps": {**entry["changed deps"], PARAMS: leaves}})
    return finer


def _leaves(key: str, before: Any, now: Any) -> list[str]:
    """The keys below `key` whose values differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = sorted({*before, *now})
        return [x for n in names for x in _leaves(f"{key}.{n}", before.get(n), now.get(n))]
    return [] if before == now else [key]


def explain(entries: list[str | Mapping[str, Any]]) -> str:
    """DVC's account of a stale stage, in words."""
    outs: Mapping[str, Any] = {}
    deps: Mapping[str, Any] = {}
    reasons: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            reasons.append({"changed command": "its command changed"}.get(entry, entry))
        else:
            outs = entry.get("changed outs", outs)
            deps = entry.get("changed deps", deps)
    for path, change in deps.items():
        if isinstance(change, Mapping):
            reasons += [f"{path}: {key} {WORDS.get(how, how)}" for key, how in change.items()]
        else:
            reasons.append(f"{path} {WORDS.get(change, change)}")
    reasons += [f"{path} {WORDS.get(change, change)}" for path, change in outs.items()]
    shown = reasons[:SHOWN_REASONS]
    if len(reasons) > len(shown):
        shown.append(f"{len(reasons) - len(shown)} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def reproduce(
    root: Path, stage: str, *, why: str, on_line: Callable[[str], None], force: bool = False
) -> Outcome:
    """`dvc repro` of this one stage; its whole output is kept in `.ser/logs/`.

    Raises StageError with the stage's own message, StageCrashed where a retry may help.
    """
    started = time.monotonic()
    command = [sys.executable, "-m", "dvc", "repro", *(["--force"] if force else []), "-s", stage]
    finished = run_streamed(
        command,
        cwd=root,
        env=command_environment(),
        on_line=lambda line: None if _is_noise(line) else on_line(line),
    )
    log = root / LOGS / f"{stage}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(finished.lines) + "\n")
    if finished.returncode:
        raise _failure(stage, finished.returncode, finished.lines, log.relative_to(root))
    text = "\n".join(finished.lines)
    seconds = time.monotonic() - started
    if "is cached - skipping run" in text:
        return Outcome(stage, "restored", why, seconds)
    if "didn't change, skipping" in text:
        return Outcome(stage, "unchanged", "what it reads is the same as before", seconds)
    return Outcome(stage, "ran", why, seconds)


def _is_noise(line: str) -> bool:
    # The error is shown once, at the very end.
    return bool(CHATTER.match(line)) or line.startswith(("error: ", "ERROR: "))


def _failure(stage: str, returncode: int, lines: tuple[str, ...], log: Path) -> SerError:
    """What went wrong, from the last words of the stage or, failing those, of DVC."""
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reason = dvc.reason("\n".join(lines))
    found = re.search(r"exited with (-?\d+)", reason)
    status = int(found[1]) if found else returncode
    if found or may_pass(status):
        kind = StageCrashed if may_pass(status) else StageError
        if status in (USER_ERROR, MAY_PASS) and own:
            return kind(f"{stage}: {own[-1]}")
        last = next((line for line in reversed(lines) if _is_word(line)), "no output")
        return kind(
            f"{stage} crashed with status {status} ({last.strip()}). See {log}, or run with "
            "--debug."
        )
    missing = re.search(r"data/raw/([\w-]+)", reason)
    if missing and re.search(r"missing|No such file|does not exist", reason):
        return MissingCorpus(
            f"{stage}: data/raw/{missing[1]} is not here. Put it there with `ser corpus add "
            f"{missing[1]} PATH`, or fetch it with `dvc pull`."
        )
    kind = StageCrashed if re.search(r"acquire lock|is busy|is locked", reason) else StageError
    return kind(f"{stage}: {reason}")


def may_pass(status: int) -> bool:
    """Whether a stage that ended with this exit status is worth another try.

    It is where the stage says so, or something from outside ended it; whatever else a stage
    fails of, an exception of ours or a crash of a library, it fails of again.
    """
    # A shell turns the signal -9 into 137.
    ended_by = -status if status < 0 else status - SIGNALLED
    return status == MAY_PASS or ended_by in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)


def _is_word(line: str) -> bool:
    return bool(line.strip()) and not _is_noise(line)
