"""The flow `retrain`: reproduce each stage, register, judge, promote or keep, report.

DVC decides what is stale; this decides when, and what becomes of the model. Importing this
imports Prefect: set its environment first (see `flows.retrain`).
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from httpx import HTTPError
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import PrefectException
from prefect.states import Completed, State

from flows import dvc
from flows.dvc import Outcome, StageCrashed
from flows.processes.lock import hold
from flows.processes.server import mlflow_ui
from flows.processes.supervision import crash_dead_runs, supervise, watch_heartbeats
from flows.report import Tick, markdown
from ser.corpora.catalogue import check_present
from ser.files import read_json
from ser.io.tracking import bundles, journal, lineage, registry, runs, store, versions
from ser.io.tracking.versions import MODEL, Version
from ser.io.web.loopback import bypass_proxies
from ser.params import Params, load_params
from ser.project import BUNDLE, METRICS, TRAIN_RECEIPT

if TYPE_CHECKING:
    from ser.core.scores.gate import Verdict

#: Scores that a version carries as tags.
HEADLINE = ("uar", "accuracy", "precision_macro", "recall_macro", "f1_macro", "chance")
#: Seconds before the second and the third attempt at a stage that crashed.
RETRY_DELAYS = [2.0, 10.0]


@flow(name="retrain", validate_parameters=False)
def retrain(root: str = ".") -> Tick:
    """Bring the project at `root` up to date; registers nothing when nothing changed."""
    project = Path(root).resolve()
    log = get_run_logger()
    bypass_proxies()
    supervise()
    with hold(project):
        try:
            crash_dead_runs(project)
            watch_heartbeats()
        except (PrefectException, HTTPError) as error:
            log.warning("Dead flow runs may be shown as running: %s", error)
        params = load_params(project / "params.yaml")
        check_present(project, params.data.corpora)
        # An MLflow server that is away or a journal that cannot be read is found now, not after
        # a training.
        experiment_id = store.prepare_store(project)
        mend_registry(project)
        outcomes = reproduce_all(project, params)
        receipt = read_json(project / TRAIN_RECEIPT)
        if not runs.run_exists(project, receipt["run_id"]):
            outcomes = train_again(project, outcomes)
            receipt = read_json(project / TRAIN_RECEIPT)
        runs.end_orphans(project)

        # Trainings take hours, in which people may have changed the registry.
        mend_registry(project)
        with journal.locked(project):
            version = versions.find_version(project, receipt["bundle_sha256"])
            wrong = bundles.defect(project, version) if version else None
            if wrong:
                log.warning("%s It is registered again.", wrong.found)
            if version is None or wrong:
                version = register(project, params, receipt)
        verdict = None
        if version.verdict is None or versions.champion(project) is None:
            judge_it = partial(judge, project, params, version)
            version, verdict = registry.attempt(project, version, judge_it)
        champion = registry.check_champion(project, otherwise=version)
        tick = Tick(
            outcomes=tuple(outcomes),
            version=version,
            verdict=verdict,
            champion=champion,
            metrics=read_json(project / METRICS),
            experiment_id=experiment_id,
            mlflow_ui=mlflow_ui(project),
            uncommitted=lineage.uncommitted(project),
        )
        report(tick)
        return tick


def mend_registry(root: Path) -> None:
    """Make journal and registry agree, and log what did not."""
    for message in registry.agree(root):
        get_run_logger().warning(message)


def reproduce_all(root: Path, params: Params) -> list[Outcome]:
    """Every stage in order; one that nothing stale leads to costs no process."""
    stale = dvc.changes(root)
    outcomes: list[Outcome] = []
    for stage in dvc.stage_names(root, params):
        made = [o.stage for o in outcomes if o.did != "unchanged"]
        why = stale.get(stage) or (f"{made[-1]} ran" if made else None)
        outcomes.append(reproduce(root, stage, why))
    return outcomes


def train_again(root: Path, outcomes: list[Outcome]) -> list[Outcome]:
    """Train and evaluate although nothing is stale: MLflow no longer has the run."""
    get_run_logger().warning("MLflow no longer has the run of reports/train.json.")
    train = reproduce(root, "train", "its MLflow run is gone from the store", force=True)
    evaluate = reproduce(root, "evaluate", "train ran again", force=True)
    before = [o for o in outcomes if o.stage not in ("train", "evaluate")]
    return [*before, train, evaluate]


def reproduce(root: Path, stage: str, why: str | None, *, force: bool = False) -> Outcome:
    """Run the stage's task, and log what it did."""
    state = run_stage.with_options(name=stage)(root, stage, why, force=force)
    outcome: Outcome = state.result()
    get_run_logger().info(str(outcome))
    return outcome


@task(
    cache_policy=NO_CACHE,
    task_run_name="{stage}",
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=lambda _task, _run, state: isinstance(
        state.result(raise_on_failure=False), StageCrashed
    ),
)
def run_stage(root: Path, stage: str, why: str | None, *, force: bool = False) -> State[Outcome]:
    """One DVC stage; its final state is named after what it did."""
    if why is None:
        outcome = Outcome(stage, "unchanged", "nothing that it reads has changed")
    else:
        log = get_run_logger()
        log.info("starts, because %s", why)
        outcome = dvc.reproduce(root, stage, why=why, force=force, on_line=log.info)
    return Completed(name=outcome.did.capitalize(), message=outcome.why, data=outcome)


@task(cache_policy=NO_CACHE, task_run_name="register")
def register(root: Path, params: Params, receipt: dict[str, Any]) -> Version:
    """Make the bundle a version of the registered model, and the challenger."""
    # Loads scikit-learn, which a tick without a new model does without.
    from flows.judging import log_training_set

    log_training_set(root, params, receipt["run_id"])
    metrics = read_json(root / METRICS)
    runs.log_lineage(root, receipt["run_id"])
    version = registry.register(
        root,
        root / BUNDLE,
        run_id=receipt["run_id"],
        bundle_sha256=receipt["bundle_sha256"],
        scores={name: metrics["test"][name] for name in HEADLINE},
        tags={
            "split_sha256": receipt["split_sha256"],
            "model": metrics["model"],
            "corpora": "+".join(metrics["protocol"]["corpora"]),
            "protocol": f"{metrics['protocol']['name']} fold {metrics['protocol']['fold']}",
        },
    )
    get_run_logger().info("registered version %d of %s", version.version, MODEL)
    return version


@task(cache_policy=NO_CACHE, task_run_name="judge")
def judge(root: Path, params: Params, version: Version, champion: Version | None) -> Verdict:
    """Compare the challenger with the champion on the challenger's test split."""
    # They load scikit-learn, which a tick without a new model does without.
    from flows.judging import judge_version
    from ser.core.scores.gate import Verdict

    wrong = bundles.defect(root, champion) if champion else None
    if champion and wrong and champion.bundle_sha256 == version.bundle_sha256:
        verdict = Verdict(True, f"It is the champion's bundle again. {wrong.found}")
    else:
        # Where the champion is damaged, this names what to do.
        registry.check_champion(root, otherwise=version)
        verdict = judge_version(root, params, version, champion)
    get_run_logger().info(verdict.reason)
    return verdict


@task(cache_policy=NO_CACHE, task_run_name="report")
def report(tick: Tick) -> None:
    """Publish the tick as a Markdown artifact, and log its summary."""
    create_markdown_artifact(key="retrain", markdown=markdown(tick), description=tick.summary)
    get_run_logger().info(tick.summary)


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
