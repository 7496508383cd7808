"""The canary: a version, loaded from the registry as a server loads it, answers recordings whose
answers are known from its evaluation.

`python -m flows.gate.canary VERSION` does it in a process of its own, so that neither this
process's libraries nor its memory help: what it prints is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from flows.gate.judging import score_bundle
from flows.processes.environment import command_environment
from flows.processes.guard import guards
from ser.bundle import load_bundle
from ser.core.gate.comparison import KEY
from ser.core.utterance.tables import check_predictions, posterior_columns
from ser.errors import ChangedAudio, SerError
from ser.io.storage.tables import read_table
from ser.io.tracking import runs
from ser.io.tracking.registry.bundles import fetch_bundle
from ser.io.tracking.registry.versions import Version, get_version
from ser.project import FOLDS, PREDICTIONS

#: Utterances of each emotion.
EACH = 2
#: Largest difference of a posterior; features that are extracted anew differ by less.
TOLERANCE = 1e-3
#: Seconds that it may take on a loaded machine.
PATIENCE = 600.0


@dataclass(frozen=True)
class Canary:
    """What became of it.

    passed : None where nothing could be compared. difference : the largest of a posterior.
    """

    passed: bool | None
    why: str
    utterances: int = 0
    difference: float | None = None


def ask(root: Path, version: Version) -> Canary:
    """Let `version` answer in a process of its own."""
    command = [sys.executable, "-m", "flows.gate.canary", str(version.version)]
    env, pipe = command_environment(), subprocess.PIPE
    # Its guard ends it where this process is killed, and where it takes too long.
    with guards() as start:
        process = start(command, cwd=root, env=env, stdout=pipe, stderr=pipe, text=True)
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return Canary(False, f"it did not answer within {PATIENCE:.0f} s")
    if process.returncode:
        last = (errors.strip().splitlines() or ["no output"])[-1]
        return Canary(False, f"it cannot be loaded or does not answer ({last[:300]})")
    return Canary(**json.loads(output))


def compare(root: Path, version: Version) -> Canary:
    """Answers of the registered version against those that were logged when it was evaluated.

    Raises RegistryError, AudioError or BundleError where it cannot be loaded or does not answer.
    """
    directory = fetch_bundle(root, version)
    try:
        known = read_table(_logged(root, version, PREDICTIONS.name), check_predictions)
        folds = read_table(_logged(root, version, FOLDS.name))
    except SerError as error:
        return Canary(None, f"the run's answers are gone ({error})")
    enrolled = load_bundle(directory).takes_enrolment
    rows = folds.merge(_fixed(known, whole_speaker=enrolled)[KEY], on=KEY)
    if not all((root / file).exists() for file in rows["file"]):
        return Canary(None, "its test recordings are no longer on this machine")
    try:
        answered = score_bundle(directory, rows, root)
    except ChangedAudio as error:
        # The recording's fault, and none of the version's.
        return Canary(None, f"a test recording has changed ({error})")
    pair = answered.merge(known, on=KEY, suffixes=("", "_known"))
    difference = max(
        float((pair[column] - pair[f"{column}_known"]).abs().max())
        for column in posterior_columns(answered)
    )
    if not difference <= TOLERANCE:
        why = f"its answers differ by up to {difference:.3f} from those at its evaluation"
        return Canary(False, why, len(pair), difference)
    return Canary(True, "as at its evaluation", len(pair), difference)


def _logged(root: Path, version: Version, name: str) -> Path:
    return runs.fetch_artifact(root, version.run_id, f"reports/{name}")


def _fixed(known: pd.DataFrame, *, whole_speaker: bool) -> pd.DataFrame:
    """Always the same few utterances; of one speaker all, where enrolment takes them together."""
    ordered = known.sort_values(KEY)
    if whole_speaker:
        return ordered[ordered["speaker"] == ordered["speaker"].min()]
    return ordered.groupby("emotion", observed=True).head(EACH)


def main() -> int:
    root = Path.cwd()
    try:
        found = compare(root, get_version(root, int(sys.argv[1])))
    except SerError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
