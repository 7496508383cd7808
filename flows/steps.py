"""The tasks of the flow `retrain`: one for each DVC stage, and what becomes of its model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, State

from flows import events, stages
from flows.gate.canary import Canary, ask
from flows.report import Tick, markdown, uar_text
from flows.request import Request
from flows.stages import Outcome, StageBusy, StageCrashed
from ser.errors import SerError
from ser.files import read_json, write_json
from ser.inbox import taking as inbox
from ser.inbox.taking import Taken
from ser.io.tracking import runs
from ser.io.tracking.pages.describe import describe_verdict, describe_version
from ser.io.tracking.registry import bundles, promotion, records, registration
from ser.io.tracking.registry.versions import MODEL, Version
from ser.output import one_line
from ser.params import Params
from ser.project import BUNDLE, INBOX, METRICS

if TYPE_CHECKING:
    from ser.core.gate.verdict import Verdict

#: Scores that a version carries as tags.
HEADLINE = ("uar", "accuracy", "precision_macro", "recall_macro", "f1_macro", "chance")
#: A verdict, among the reports of its run.
VERDICT = "verdict.json"
#: Seconds before the second and the third attempt at a stage that crashed.
RETRY_DELAYS = [2.0, 10.0]


def _may_pass(error: object) -> bool:
    """Whether another attempt may succeed; an hour was waited already for a busy DVC."""
    return isinstance(error, StageCrashed) and not isinstance(error, StageBusy)


@task(
    cache_policy=NO_CACHE,
    task_run_name="{stage}",
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=lambda _task, _run, state: _may_pass(state.result(raise_on_failure=False)),
)
def run_stage(root: Path, stage: str, why: str | None, *, force: bool = False) -> State[Outcome]:
    """One DVC stage; its final state is named after what it did."""
    if why is None:
        outcome = Outcome(stage, "unchanged", "nothing that it reads has changed")
    else:
        log = get_run_logger()
        log.info("starts, because %s", why)
        options = ["--force"] if force else []
        outcome = stages.reproduce(root, stage, why=why, on_line=log.info, options=options)
    return Completed(name=outcome.did.capitalize(), message=outcome.why, data=outcome)


@task(cache_policy=NO_CACHE, task_run_name="take in {name}")
def take_in(root: Path, params: Params, name: str) -> Taken:
    """New recordings of the inbox into data/raw, under DVC; which were refused, and why."""
    taken = inbox.take_in(
        root,
        name,
        features=params.features,
        settle_seconds=params.intake.settle_seconds,
    )
    log = get_run_logger()
    if taken.waits:
        log.info("%s/%s %s", INBOX, name, taken.waits)
        return taken
    log.info("%s: %d new recordings, %d refused", name, taken.added, len(taken.refused))
    for one in taken.refused:
        log.warning("refused (%s): %s", one.reason, one_line(one.why))
    return taken


@task(cache_policy=NO_CACHE, task_run_name="register")
def register(root: Path, params: Params, receipt: dict[str, Any], request: Request) -> Version:
    """Make the bundle a version of the registered model, and the challenger."""
    # Loads scikit-learn, which a tick without a new model does without.
    from flows.gate.judging import log_training_set
    from flows.lineage import record

    log_training_set(root, params, receipt["run_id"])
    metrics = read_json(root / METRICS)
    runs.log_lineage(root, receipt["run_id"])
    lineage = record.build(root, params, receipt, request)
    version = registration.register(
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
            **record.tags(lineage),
        },
        record=lineage,
    )
    describe_version(root, version)
    get_run_logger().info("registered version %d of %s", version.version, MODEL)
    return version


@task(
    cache_policy=NO_CACHE,
    task_run_name="push",
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=RETRY_DELAYS,
)
def push(root: Path) -> None:
    """Send to DVC's remote what the version was made of, so that others can make it again."""
    stages.push(root)


@task(cache_policy=NO_CACHE, task_run_name="judge")
def judge(root: Path, params: Params, version: Version, champion: Version | None) -> Verdict:
    """Compare the challenger with the champion on the challenger's test split."""
    # They load scikit-learn, which a tick without a new model does without.
    from flows.gate.judging import judge_version
    from ser.core.gate.verdict import Verdict

    wrong = bundles.defect(root, champion) if champion else None
    if champion and wrong and champion.bundle_sha256 == version.bundle_sha256:
        verdict = Verdict(True, f"It is the champion's bundle again. {wrong.found}")
    else:
        # Where the champion is damaged, this names what to do; a dry run registers nothing.
        if version.version:
            promotion.check_champion(root, otherwise=version)
        verdict = judge_version(root, params, version, champion)
    get_run_logger().info(verdict.reason)
    return verdict


@task(cache_policy=NO_CACHE, task_run_name="canary")
def canary(root: Path, version: Version) -> Canary:
    """The new champion, loaded as a server loads it, on recordings whose answers are known."""
    found = ask(root, version)
    get_run_logger().info("%d recordings: %s", found.utterances, found.why)
    return found


@task(cache_policy=NO_CACHE, task_run_name="describe")
def describe(root: Path, version: Version, verdict: Verdict) -> None:
    """Write the verdict where the version is looked at; it stands whether that succeeds or not."""
    try:
        describe_verdict(root, version)
        records.amend_record(root, version, verdict=verdict.to_dict())
    except SerError as error:
        get_run_logger().warning("%s", error)


def record_verdict(root: Path, version: Version, verdict: Verdict) -> None:
    """Keep the whole verdict with the run, before it is acted upon: `recorded_verdict` finds it
    where a kill comes then."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / VERDICT
        write_json(verdict.to_dict(), path)
        runs.resume_run(root, version.run_id).log_artifact(path, "reports")


def recorded_verdict(root: Path, version: Version) -> Verdict:
    """The verdict on a version that was acted upon."""
    from ser.core.gate.verdict import Verdict

    acted = Verdict(version.verdict == "promoted", version.verdict_reason or "")
    try:
        path = runs.fetch_artifact(root, version.run_id, f"reports/{VERDICT}")
        found = Verdict.from_dict(read_json(path))
    except SerError:
        return acted
    return found if (found.promote, found.reason) == (acted.promote, acted.reason) else acted


@task(cache_policy=NO_CACHE, task_run_name="write report")
def write_report(tree: Path, version: Version) -> None:
    """The run's page with the verdict, and the model card beside the version's bundle.

    The verdict stands whether that succeeds or not.
    """
    # Loads matplotlib and the model, which a tick without a new model does without.
    from ser.report.write import publish

    try:
        publish(tree, version)
    except (SerError, OSError) as error:
        get_run_logger().warning("The report is not written: %s", error)


@task(cache_policy=NO_CACHE, task_run_name="report")
def report(tick: Tick) -> None:
    """Publish the tick as a Markdown artifact and links, and log its summary."""
    create_markdown_artifact(key="retrain", markdown=markdown(tick), description=tick.summary)
    uar = f"{tick.metrics['model']}, test UAR {uar_text(tick.metrics['test'])}"
    links = {"mlflow-run": (tick.run_url, "The run in MLflow", uar)}
    if number := tick.version.version:
        links["mlflow-version"] = (tick.version_url, f"Version {number} in MLflow", tick.outcome)
    for key, (address, text, description) in links.items():
        create_link_artifact(key=key, link=address, link_text=text, description=description)
    events.announce(tick)
    get_run_logger().info(tick.summary)
