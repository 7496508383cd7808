"""The flow, on a real pipeline with few speakers, a real registry and a real server."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import psutil
import pytest
from rich.console import Console

from flows import events, stages
from flows.gate import canary
from flows.gate.canary import Canary
from flows.report import Tick, markdown, print_closing
from flows.servers.status import gather
from flows.stages import Outcome, StageCrashed
from ser.bundle import bundle_sha256
from ser.core.gate.comparison import compare
from ser.core.gate.verdict import Rule, Verdict
from ser.core.scores.metrics import uar
from ser.errors import RegistryError, SerError, StageError
from ser.io.storage.tables import read_table
from ser.io.tracking import runs, store
from ser.io.tracking.registry import bundles, journal, promotion, versions
from ser.io.tracking.registry.versions import MODEL
from support.project import Project

pytestmark = pytest.mark.usefixtures("prefect")


def tick(project: Project) -> Tick:
    from flows.pipeline import retrain

    return retrain(root=str(project.root))


def copied(project: Project, folder: Path) -> Project:
    copy = Project(folder / "project")
    shutil.copytree(project.root, copy.root, symlinks=True)
    return copy


def did(result: Tick) -> dict[str, str]:
    return {outcome.stage: outcome.did for outcome in result.outcomes}


@pytest.fixture(scope="module")
def after_one(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Tick]:
    """A project after its first tick, and that tick."""
    project = copied(trained, tmp_path_factory.mktemp("after"))
    return project, tick(project)


@pytest.fixture(scope="module")
def after_two(
    after_one: tuple[Project, Tick], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, Tick]:
    """A project after a second tick, of another model, and that tick."""
    project = copied(after_one[0], tmp_path_factory.mktemp("after"))
    project.set(model__name="lda")
    return project, tick(project)


@pytest.fixture
def project(after_one: tuple[Project, Tick], tmp_path: Path) -> Project:
    """A project after its first tick, the test's own to change."""
    return copied(after_one[0], tmp_path)


@pytest.fixture
def own_artifacts(project: Project) -> Project:
    """The project with artifacts of its own, which the test may change."""
    return with_own_artifacts(project)


def with_own_artifacts(project: Project) -> Project:
    """The same project; its store names a copy of the artifacts in its own folder."""
    now = project.root / "mlruns" / "artifacts"
    with closing(sqlite3.connect(project.root / "mlruns" / "mlflow.db")) as database, database:
        (location,) = database.execute(
            "SELECT artifact_location FROM experiments WHERE name = 'speech-emotion'"
        ).fetchone()
        before = Path(unquote(urlparse(location).path))
        shutil.copytree(before, now, dirs_exist_ok=True)
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(before), str(now))
            )
    return project


def test_the_first_model_is_registered_and_promoted(after_one: tuple[Project, Tick]) -> None:
    project, first = after_one

    assert first.verdict is not None
    assert first.verdict.promote
    champion = versions.champion(project.root)
    assert champion.version == first.champion.version == first.version.version == 1
    assert promotion.is_concluded(champion)
    assert champion.bundle_sha256 == project.json("reports/train.json")["bundle_sha256"]
    assert champion.run_id == project.json("reports/train.json")["run_id"]
    assert champion.tags["uar"] == f"{project.json('reports/metrics.json')['test']['uar']:.4f}"


def test_the_run_ends_with_the_lock_file_of_the_whole_pipeline(
    after_one: tuple[Project, Tick],
) -> None:
    project, first = after_one
    stored = runs.fetch_artifact(project.root, first.version.run_id, "dvc.lock")

    assert stored.read_text() == (project.root / "dvc.lock").read_text()


def test_nothing_changed_registers_nothing_and_says_so(project: Project) -> None:
    second = tick(project)

    assert set(did(second).values()) == {"unchanged"}
    assert second.verdict is None
    assert second.summary.startswith("Nothing changed")
    assert len(versions.all_versions(project.root)) == 1
    assert len(journal.rows(project.root)) == 1


def test_a_changed_model_is_judged_against_the_champion(
    after_one: tuple[Project, Tick], after_two: tuple[Project, Tick]
) -> None:
    old = read_table(after_one[0].root / "reports" / "predictions.parquet")
    project, second = after_two

    assert did(second)["featurize"] == "unchanged"
    train = next(o for o in second.outcomes if o.stage == "train")
    assert train.did == "ran"
    assert "params.yaml: model.name changed" in train.why
    new = read_table(project.root / "reports" / "predictions.parquet")
    found = compare(new, old, min_probability=0.5, min_speakers=1, resamples=2000, seed=7)
    assert (second.verdict.delta_uar, second.verdict.probability) == (
        found.delta_uar,
        found.probability,
    )
    assert {rule.outcome for rule in second.verdict.rules} <= {"passed", "failed", "not judged"}
    assert second.verdict.delta_uar == pytest.approx(uar(new) - uar(old))
    assert second.version.version == 2
    serving = 2 if second.verdict.promote else 1
    assert versions.champion(project.root).version == serving
    assert second.version.verdict == ("promoted" if second.verdict.promote else "kept")
    assert len(journal.rows(project.root)) == 2


def test_every_rule_of_a_verdict_can_be_read_again(after_two: tuple[Project, Tick]) -> None:
    project, second = after_two
    shown = project.call("ser.cli", "verdict", "2")
    assert shown.returncode == 0, shown.stderr
    names = [rule.name for rule in second.verdict.rules]
    assert {"UAR above chance", "ECE", "real-time factor", "unchanged by small"} <= set(names)
    told = json.loads(project.call("ser.cli", "verdict", "2", "--json").stdout)
    assert [rule["name"] for rule in told["rules"]] == names
    # Both ticks compared on the same speakers.
    assert told["comparisons"] == second.verdict.comparisons == 2
    assert "2 on these test utterances" in shown.stdout
    path = runs.fetch_artifact(project.root, second.version.run_id, "reports/verdict.json")
    logged = json.loads(path.read_text())
    assert logged["rules"] == told["rules"]
    text = markdown(second)
    assert all(f"| {name} |" in text for name in names)


def test_status_says_what_serves_and_what_has_changed_since_where_no_server_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    project.set(seed=8)

    facts = gather(project.root)

    assert facts["champion"] == facts["challenger"]
    assert (facts["champion"]["version"], facts["champion"]["verdict"]) == (1, "promoted")
    assert facts["champion"]["dvc_lock_sha256"] == facts["data"]["dvc_lock_sha256"]
    assert facts["data"]["corpora"]["synthetic"].endswith(".dir")
    assert facts["data"]["parameters_changed"] == ["seed"]
    assert (facts["ticks"], facts["mlflow"]["answers"], facts["worker"]) == (None, False, None)


def test_a_version_that_a_kill_left_unjudged_is_judged_not_registered_again(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copied(trained, tmp_path)

    def die(*_: object, **__: object) -> None:
        raise StageError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "attempt", die)
        with pytest.raises(StageError, match="killed"):
            tick(project)
    assert [v.verdict for v in versions.all_versions(project.root)] == [None]

    again = tick(project)

    assert again.verdict is not None
    assert [v.verdict for v in versions.all_versions(project.root)] == ["promoted"]


def test_a_first_model_that_breaks_a_rule_is_refused_once_and_judged_again_by_other_limits(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, told = copied(trained, tmp_path), []
    monkeypatch.setattr(events, "emit", lambda kind, *_, **__: told.append(kind))
    project.set(gate__max_megabytes=0.001)

    first = tick(project)

    assert not first.verdict.promote
    assert first.verdict.reason.startswith("Refused by rule: bundle (MB)")
    assert first.champion is None
    again = tick(project)
    assert again.verdict is None
    assert "judged before (kept)" in again.summary
    assert [(row["event"], row["version"]) for row in journal.rows(project.root)] == [("kept", 1)]
    project.set(gate__max_megabytes=100.0)
    third = tick(project)
    assert set(did(third).values()) == {"unchanged"}
    assert third.champion.version == 1
    assert tick(project).verdict is None
    assert told == ["refusal", "promotion"]


def test_a_run_that_mlflow_lost_is_trained_again(project: Project) -> None:
    lost = project.json("reports/train.json")["run_id"]
    store.connect(project.root).delete_run(lost)

    again = tick(project)

    assert [did(again)[stage] for stage in ("train", "evaluate", "stress")] == ["ran"] * 3
    found = project.json("reports/train.json")["run_id"]
    assert found != lost
    assert runs.run_exists(project.root, found)
    assert len(versions.all_versions(project.root)) == 1, "the same training gives the same bundle"


def unserviceable(project: Project, damage: str) -> None:
    """What people and disks do to a champion."""
    client = store.connect(project.root)
    champion = versions.champion(project.root)
    bundle = bundles.fetch_bundle(project.root)
    if damage in ("files gone", "files and alias gone"):
        shutil.rmtree(bundle)
    if damage == "files changed":
        card = bundle / "bundle.json"
        card.write_text(card.read_text().replace('"hop_length": 160', '"hop_length": 320'))
    if damage in ("alias gone", "files and alias gone"):
        client.delete_registered_model_alias(MODEL, "champion")
    if damage == "version deleted":
        client.delete_model_version(MODEL, str(champion.version))
    if damage == "model deleted":
        client.delete_registered_model(MODEL)


@pytest.mark.parametrize(
    "damage",
    [
        "files gone",
        "files changed",
        "alias gone",
        "files and alias gone",
        "version deleted",
        "model deleted",
    ],
)
def test_a_champion_that_cannot_serve_serves_again_after_the_next_flow(
    own_artifacts: Project, damage: str
) -> None:
    project = own_artifacts
    unserviceable(project, damage)
    with pytest.raises(RegistryError, match="make run"):
        bundles.fetch_bundle(project.root)

    again = tick(project)

    assert set(did(again).values()) == {"unchanged"}
    assert bundle_sha256(bundles.fetch_bundle(project.root)) == again.version.bundle_sha256
    if damage == "alias gone":
        assert tick(project).summary.startswith("Nothing changed")
    else:
        assert "is promoted" in again.summary


def test_what_was_changed_by_hand_in_the_registry_is_logged_and_recorded(
    after_two: tuple[Project, Tick], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = copied(after_two[0], tmp_path)
    root, now = project.root, after_two[1].champion.version
    other = 3 - now
    store.connect(root).set_registered_model_alias(MODEL, "champion", str(other))

    again = tick(project)

    assert again.champion.version == other
    assert f"the journal says version {now}" in caplog.text
    assert journal.rows(root)[-1]["event"] == "moved_by_hand"


def test_from_a_damaged_champion_the_flow_rolls_back_before_it_judges(
    after_two: tuple[Project, Tick], tmp_path: Path
) -> None:
    second = after_two[1]
    project = with_own_artifacts(copied(after_two[0], tmp_path))
    if not second.verdict.promote:
        promotion.promote(project.root, second.version, reason="by hand")
    unserviceable(project, "files changed")
    project.set(model__name="svc")

    third = tick(project)

    assert third.rolled_back.startswith("Rolled back from version 2: ")
    assert third.version.version == 3
    events = [(row["event"], row["version"]) for row in journal.rows(project.root)][-2:]
    assert events[0] == ("rolled_back", 1)
    assert events[1] == ("promoted" if third.verdict.promote else "kept", 3)
    assert journal.rows(project.root)[-1]["previous"] == 1
    assert "rolled back" in third.outcome


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("raise SystemExit('no library')", "no library"),
        ("import numpy; _predict = lambda self, *a, **k: numpy.ones(6) / 6", "differ by up to"),
    ],
)
def test_a_new_champion_that_does_not_answer_as_at_its_evaluation_is_rolled_back_from(
    after_one: tuple[Project, Tick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault, found
) -> None:
    """The fault is in the process of the canary alone, as a server's other libraries would be."""
    project = copied(after_one[0], tmp_path)
    faulty = tmp_path / "faulty"
    faulty.mkdir()
    patch = "from ser.predictor import Predictor; Predictor.posteriors = _predict"
    lines = fault if "_predict" not in fault else f"{fault}; {patch}"
    (faulty / "sitecustomize.py").write_text(
        f"import sys\nif 'flows.gate.canary' in sys.orig_argv: {lines}\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{faulty}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("flows.gate.judging.judge_version", lambda *_: Verdict(True, "better"))
    project.set(model__name="svc")

    second = tick(project)

    assert found in second.rolled_back
    assert versions.champion(project.root).version == 1
    assert [row["event"] for row in journal.rows(project.root)][-2:] == ["promoted", "rolled_back"]
    assert tick(project).champion.version == 1


class Killed(BaseException):
    """Nothing catches it: what it leaves is what a SIGKILL leaves."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(name, die)


def test_what_follows_a_verdict_is_made_up_for_after_a_kill(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(model__name="svc")
    better = Verdict(True, "better", rules=(Rule("size", 1.0, 2.0, "passed"),))
    with monkeypatch.context() as patch:
        patch.setattr("flows.gate.judging.judge_version", lambda *_: better)
        kill_at(patch, "flows.steps.describe")
        with pytest.raises(Killed):
            tick(project)
    assert versions.champion(project.root).version == 2
    asked = []
    monkeypatch.setattr("flows.steps.ask", lambda *a: asked.append(a) or Canary(True, "as before"))

    again = tick(project)

    assert again.verdict == better
    assert [version.version for _, version in asked] == [2]
    assert [row["event"] for row in journal.rows(project.root)] == ["promoted", "promoted"]
    assert tick(project).verdict is None
    assert len(asked) == 1


def test_a_champion_that_no_canary_asked_before_a_kill_is_asked_before_the_next_is_judged(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(model__name="svc")
    with monkeypatch.context() as patch:
        patch.setattr("flows.gate.judging.judge_version", lambda *_: Verdict(True, "better"))
        kill_at(patch, "flows.steps.canary")
        with pytest.raises(Killed):
            tick(project)
    project.set(model__name="lda")
    monkeypatch.setattr("flows.gate.judging.judge_version", lambda *_: Verdict(False, "worse"))
    monkeypatch.setattr("flows.steps.ask", lambda *_: Canary(False, "it answers otherwise"))

    third = tick(project)

    assert "the canary found that it answers otherwise" in third.rolled_back
    assert third.champion.version == 1
    assert third.version.verdict == "kept"


def test_a_registration_that_a_kill_cut_short_is_completed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(model__name="svc")
    with monkeypatch.context() as patch:
        kill_at(patch, "ser.io.tracking.registry.registration.make_challenger")
        with pytest.raises(Killed):
            tick(project)
    assert "challenger" not in versions.get_version(project.root, 2).aliases

    again = tick(project)

    assert again.version.version == 2
    assert "challenger" in versions.get_version(project.root, 2).aliases
    page = store.connect(project.root).get_model_version(MODEL, "2")
    assert page.description


def test_the_canary_ends_with_the_flow_that_asks_it(project: Project) -> None:
    code = (
        "from pathlib import Path; from flows.gate.canary import ask;"
        "from ser.io.tracking.registry.versions import champion;"
        "ask(Path.cwd(), champion(Path.cwd()))"
    )
    asks = psutil.Popen([sys.executable, "-c", code], cwd=project.root)
    canaries: list[psutil.Process] = []
    while not canaries:
        assert asks.poll() is None
        canaries = [p for p in asks.children(recursive=True) if "flows.gate.canary" in p.cmdline()]
        time.sleep(0.01)
    asks.kill()
    asks.wait()

    _, alive = psutil.wait_procs(canaries, timeout=30)
    assert not alive


def test_the_canary_blames_no_version_for_a_recording_that_changed(project: Project) -> None:
    version = versions.champion(project.root)
    assert canary.compare(project.root, version).passed
    for file in (project.root / "data/raw/synthetic").rglob("*.wav"):
        content = file.read_bytes()
        # A link into DVC's cache is replaced, never written through.
        file.unlink()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = canary.compare(project.root, version)
    assert found.passed is None
    assert "has changed" in found.why


def test_a_tick_takes_in_the_inbox_and_names_what_it_refuses(project: Project) -> None:
    from flows.pipeline import retrain

    project.set(intake__settle_seconds=0.0)
    inbox = project.root / "data/inbox/calls"
    for clip in sorted((project.root / "data/raw/synthetic").rglob("*_t1.wav"))[:12]:
        speaker, _, emotion, _ = clip.stem.split("_")
        (inbox / emotion / speaker).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, inbox / emotion / speaker)
    (inbox / "anger/spk01/broken.wav").write_bytes(b"RIFF")

    retrain(root=str(project.root), dry_run=True)
    assert inbox.is_dir(), "a dry run changes nothing"
    again = tick(project)

    (taken,) = again.taken
    assert (taken.added, [one.file for one in taken.refused]) == (12, ["anger/spk01/broken.wav"])
    assert "md5" in (project.root / "data/raw/calls.dvc").read_text()
    assert len(list((project.root / "data/raw/calls").rglob("*.wav"))) == 12
    text = markdown(again)
    assert "12 new, 1 refused" in text
    assert "| calls/anger/spk01/broken.wav | damaged |" in text
    assert tick(project).taken == ()


def test_a_stage_that_fails_ends_the_flow_with_its_own_words(
    trained: Project, tmp_path: Path
) -> None:
    project = copied(trained, tmp_path)
    project.set(data__corpora=["synthetic", "savee"])

    with pytest.raises(SerError, match="savee") as caught:
        tick(project)

    assert "\n" not in str(caught.value)


def test_the_report_names_scores_verdict_stages_and_what_synthetic_scores_mean(
    after_one: tuple[Project, Tick],
) -> None:
    project, first = after_one
    text = markdown(first)

    test = project.json("reports/metrics.json")["test"]
    assert f"{test['uar']:.3f}" in text
    assert "Version 1 is promoted" in text
    assert "say nothing about people" in text
    for outcome in first.outcomes:
        assert f"| {outcome.stage} | {outcome.did} |" in text


def test_the_page_has_the_verdict_and_the_version_its_card(after_one: tuple[Project, Tick]) -> None:
    project, first = after_one
    run_id = first.version.run_id

    page = runs.fetch_artifact(project.root, run_id, "report.html").read_text()
    with bundles.fetch_artifact(project.root, first.version, "model-card.md") as card:
        text = card.read_text()

    assert "Version 1: promoted." in page
    assert "Not judged" not in page
    assert "**Version:** 1 of emotion-recognition" in text
    assert "**Verdict:** promoted. It is the first model" in text


def test_the_end_of_a_run_says_what_git_does_not_hold_yet(
    after_one: tuple[Project, Tick], capsys: pytest.CaptureFixture[str]
) -> None:
    _, first = after_one
    assert first.uncommitted == (
        "dvc.lock",
        "reports/headline.json",
        "reports/metrics.json",
        "reports/robustness.json",
    )

    print_closing(first, Console(width=200))

    said = capsys.readouterr().out
    assert f"git add {' '.join(first.uncommitted)} && git commit" in said
    print_closing(replace(first, uncommitted=()), Console())
    assert "git add" not in capsys.readouterr().out


@pytest.mark.parametrize(("error", "attempts"), [(StageCrashed, 3), (StageError, 1)])
def test_only_a_crash_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[StageError],
    attempts: int,
) -> None:
    from prefect import flow

    from flows import steps

    tried: list[str] = []

    def fail(_: Path, stage: str, **__: object) -> Outcome:
        tried.append(stage)
        raise error("it failed")

    @flow
    def one_stage() -> None:
        steps.run_stage.with_options(retry_delay_seconds=0)(tmp_path, "train", "a test")

    monkeypatch.setattr(stages, "reproduce", fail)
    with pytest.raises(error):
        one_stage()

    assert tried == ["train"] * attempts
