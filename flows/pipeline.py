"""The flow `retrain`: reproduce each stage, register, judge, promote or keep, report.

DVC decides what is stale; this decides when, and what becomes of the model. Importing this
imports Prefect: set its environment first (see `flows.retrain`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from httpx import HTTPError
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import PrefectException
from prefect.states import Cancelled, State

from flows import flow_run, stages, steps
from flows.processes.lock import RetrainingUnderWay, hold
from flows.processes.server import mlflow_ui
from flows.processes.supervision import (
    STARTED_BY_WORKER,
    crash_dead_runs,
    supervise,
    watch_heartbeats,
)
from flows.report import Tick
from flows.request import (
    AS_IN_PARAMS,
    NO_OVERRIDES,
    Model,
    Request,
    check_corpora,
    request_of,
)
from flows.stages import Outcome
from flows.worktree import as_checked_out, hide_overrides, link_own_files
from ser.errors import DamagedVersion, RegistryError, SerError
from ser.files import read_json
from ser.inbox import taking as inbox
from ser.inbox.taking import Taken
from ser.io.intake import dvc
from ser.io.tracking import lineage, runs, store
from ser.io.tracking.pages.describe import describe_version
from ser.io.tracking.patience import be_patient
from ser.io.tracking.registry import (
    bundles,
    journal,
    mending,
    promotion,
    registration,
    versions,
)
from ser.io.tracking.registry.versions import Version
from ser.io.web.loopback import bypass_proxies
from ser.params import Params, load_params
from ser.project import METRICS, TRAIN_RECEIPT

if TYPE_CHECKING:
    from ser.core.gate.verdict import Verdict


@flow(name="retrain", validate_parameters=False)
def retrain(
    model: Model = AS_IN_PARAMS,
    overrides: dict[str, Any] = NO_OVERRIDES,
    dry_run: bool = False,
    reason: str = "",
    root: str = ".",
) -> Tick | State[Tick]:
    """Bring the project up to date; registers nothing when nothing changed.

    Args:
        model: Train this model instead of that of params.yaml. The checkout stays as it is.
        overrides: Parameters instead of those of params.yaml, such as {"train.max_epochs": 10}.
            The checkout stays as it is; a version that is made is tagged with them.
        dry_run: Train and judge, but neither register nor promote; the checkout stays as it is.
        reason: Why this run was started; kept with the version.
        root: The project's folder; leave it as it is.
    """
    project = Path(root).resolve()
    bypass_proxies()
    be_patient()
    supervise()
    with flow_run.refusal_named():
        params = load_params(project / "params.yaml")
        request = request_of(
            project, model=model, overrides=overrides, dry_run=dry_run, reason=reason
        )
    try:
        with flow_run.named(project, params, request), hold(project):
            return _retrain(project, params, request)
    except RetrainingUnderWay as error:
        if STARTED_BY_WORKER not in os.environ:
            raise
        # Nothing failed: the next tick sees all that changed meanwhile.
        return Cancelled(message=str(error))


def _retrain(project: Path, params: Params, request: Request) -> Tick:
    log = get_run_logger()
    try:
        crash_dead_runs(project)
        watch_heartbeats()
    except (PrefectException, HTTPError) as error:
        log.warning("Dead flow runs may be shown as running: %s", error)
    if mended := dvc.mend_lock(project):
        log.warning(mended)
    # An MLflow server that is away or a journal that cannot be read is found now, not after a
    # training.
    experiment_id = store.prepare_store(project)
    mend_registry(project, request)
    with _workspace(project, request, params) as (tree, params):
        tick = _pass(project, tree, params, request, experiment_id)
    steps.report(tick)
    if not request.dry_run:
        promotion.conclude(project, tick.version)
    flow_run.conclude(tick.outcome, *tick.tags)
    return tick


@contextmanager
def _workspace(project: Path, request: Request, params: Params) -> Iterator[tuple[Path, Params]]:
    """Where stages run and on which parameters: in the checkout, or in a worktree."""
    if not request.leaves_checkout:
        check_corpora(project, params)
        yield project, params
        return
    with as_checked_out(project, "retrain") as tree:
        hide_overrides(tree)
        request.write(tree)
        link_own_files(project, tree)
        params = load_params(tree / "params.yaml")
        check_corpora(tree, params)
        yield tree, params


def _pass(project: Path, tree: Path, params: Params, request: Request, experiment_id: str) -> Tick:
    """Reproduce the stages in `tree`; register and judge the model in the stores of `project`."""
    taken = () if request.leaves_checkout else tuple(take_in_all(project, params))
    outcomes = reproduce_all(tree, params)
    receipt = read_json(tree / TRAIN_RECEIPT)
    if not runs.run_exists(project, receipt["run_id"]):
        outcomes = train_again(tree, outcomes)
        receipt = read_json(tree / TRAIN_RECEIPT)
    runs.end_orphans(project)

    # Trainings take hours, in which people may have changed the registry.
    mend_registry(project, request)
    verdict: Verdict | None = None
    rolled_back = ""
    if request.dry_run:
        facts = ("run_id", "bundle_sha256", "split_sha256")
        version = Version.unregistered(**{fact: receipt[fact] for fact in facts})
        champion = versions.champion(project)
        verdict = steps.judge(tree, params, version, champion)
    else:
        known = versions.find_version(project, receipt["bundle_sha256"])
        if known is None and stages.has_remote(tree):
            # Before it is registered: who reads of a version can make it again.
            steps.push(tree)
        version = find_or_register(tree, params, receipt, request)
        rolled_back = leave_damaged(project, version) or leave_untested(project, version)
        if not promotion.stands(project, version, params.gate.sha256):
            judge_it = partial(judge_and_record, tree, params, version)
            version, verdict = promotion.attempt(project, version, judge_it)
        elif not promotion.is_concluded(version):
            verdict = steps.recorded_verdict(project, version)
        if verdict is not None:
            steps.describe(project, version, verdict)
            if verdict.promote:
                rolled_back = leave_unlike(project, version) or rolled_back
        if verdict is not None or any(o.did != "unchanged" for o in outcomes):
            steps.write_report(tree, version)
        champion = promotion.check_champion(project, otherwise=version)
    return Tick(
        outcomes=tuple(outcomes),
        version=version,
        verdict=verdict,
        champion=champion,
        taken=taken,
        rolled_back=rolled_back,
        metrics=read_json(tree / METRICS),
        experiment_id=experiment_id,
        mlflow_ui=mlflow_ui(project),
        request=request,
        uncommitted=() if request.leaves_checkout else lineage.uncommitted(project),
    )


def judge_and_record(
    tree: Path, params: Params, version: Version, champion: Version | None
) -> Verdict:
    """The verdict, which is kept with the run before it is acted upon."""
    verdict = steps.judge(tree, params, version, champion)
    steps.record_verdict(tree, version, verdict)
    return verdict


def take_in_all(project: Path, params: Params) -> Iterator[Taken]:
    """Each folder of the inbox; one that cannot be taken in stays, and stops nothing."""
    if not params.intake.enabled:
        return
    for name in inbox.waiting(project):
        try:
            yield steps.take_in(project, params, name)
        except SerError as error:
            get_run_logger().error("data/inbox/%s stays where it is: %s", name, error)
            yield Taken(name, waits=str(error))


def find_or_register(
    tree: Path, params: Params, receipt: dict[str, Any], request: Request
) -> Version:
    """The version of the receipt's bundle, registered where there is none that can be loaded."""
    with journal.locked(tree):
        version = versions.find_version(tree, receipt["bundle_sha256"])
        wrong = bundles.defect(tree, version) if version else None
        if wrong:
            get_run_logger().warning("%s It is registered again.", wrong.found)
        if version is None or wrong:
            version = steps.register(tree, params, receipt, request)
        elif version.verdict is None:
            # A kill came before its verdict, and maybe before all of its registration was done.
            registration.make_challenger(tree, version.version)
            describe_version(tree, version)
        return version


def leave_damaged(project: Path, version: Version) -> str:
    """Roll back from a champion whose files are gone or changed; the reason, "" where it is whole.

    Not where `version` is its bundle again, which takes its place, nor where no earlier champion
    can be loaded: `check_champion` says then what to do.
    """
    champion = versions.champion(project)
    wrong = bundles.defect(project, champion) if champion else None
    if champion is None or wrong is None or champion.bundle_sha256 == version.bundle_sha256:
        return ""
    return _roll_back(project, champion, wrong.found)


def leave_untested(project: Path, version: Version) -> str:
    """Ask a champion, other than `version`, that no canary asked before a kill, as `leave_unlike`.

    Where there is no champion to go back to, `version` may take its place.
    """
    champion = versions.champion(project)
    if champion is None or champion.version == version.version:
        return ""
    if promotion.is_concluded(champion) or bundles.defect(project, champion):
        return ""
    found = steps.canary(project, champion)
    if found.passed is False:
        return _roll_back(project, champion, f"the canary found that {found.why}")
    promotion.conclude(project, champion)
    return ""


def leave_unlike(project: Path, version: Version) -> str:
    """Roll back from the new champion where it does not answer as it did at its evaluation.

    Nothing where another one serves by now. Raises DamagedVersion where there is no champion to go
    back to.
    """
    champion = versions.champion(project)
    if champion is None or champion.version != version.version:
        return ""
    found = steps.canary(project, version)
    if found.passed is not False:
        return ""
    reason = _roll_back(project, version, f"the canary found that {found.why}")
    if not reason:
        raise DamagedVersion(
            f"Version {version.version} serves, but {found.why}.",
            "No earlier champion can be loaded: mend the store or the machine, then `make run`.",
        )
    return reason


def _roll_back(project: Path, champion: Version, why: str) -> str:
    log = get_run_logger()
    reason = f"Rolled back from version {champion.version}: {why.rstrip('.')}."
    try:
        before = promotion.roll_back(project, reason=reason)
    except RegistryError as error:
        log.error("%s It stays champion: %s", reason, error)
        return ""
    log.warning("%s Version %d serves again.", reason, before.version)
    return f"{reason} Version {before.version} serves again."


def mend_registry(root: Path, request: Request) -> None:
    """Make journal and registry agree, and log what did not; a dry run only logs."""
    if request.dry_run:
        found = mending.disagreement(root)
        messages = found.splitlines() if found else []
    else:
        messages = mending.agree(root)
    for message in messages:
        get_run_logger().warning(message)


def reproduce_all(root: Path, params: Params) -> list[Outcome]:
    """Every stage in order; one that nothing stale leads to costs no process."""
    stale = stages.changes(root)
    outcomes: list[Outcome] = []
    for stage in stages.stage_names(root, params):
        made = [o.stage for o in outcomes if o.did != "unchanged"]
        why = stale.get(stage) or (f"{made[-1]} ran" if made else None)
        outcomes.append(reproduce(root, stage, why))
    return outcomes


def train_again(root: Path, outcomes: list[Outcome]) -> list[Outcome]:
    """Train, and all that logs to its run, although nothing is stale: MLflow lost the run."""
    get_run_logger().warning("MLflow no longer has the run of reports/train.json.")
    place = [outcome.stage for outcome in outcomes].index("train")
    train = reproduce(root, "train", "its MLflow run is gone from the store", force=True)
    after = [
        reproduce(root, outcome.stage, "train ran again", force=True)
        for outcome in outcomes[place + 1 :]
    ]
    return [*outcomes[:place], train, *after]


def reproduce(root: Path, stage: str, why: str | None, *, force: bool = False) -> Outcome:
    """Run the stage's task, and log what it did."""
    state = steps.run_stage.with_options(name=stage)(root, stage, why, force=force)
    outcome: Outcome = state.result()
    get_run_logger().info(str(outcome))
    return outcome


def wait_until_recorded(state: State[Any], *, timeout: float = 5.0) -> None:
    """Wait until the server has written the final states of all tasks, which reach it late.

    Without this, a server that is stopped now would show them as running for ever.
    """
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline, before = time.monotonic() + timeout, -1
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            tasks = client.read_task_runs(flow_run_filter=of_run)
            if len(tasks) == before and all(t.state and t.state.is_final() for t in tasks):
                return
            before = len(tasks)
            time.sleep(0.3)
