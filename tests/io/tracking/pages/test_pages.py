"""What an experiment's page, a run's and a version's say, in a real store."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode
from pathlib import Path

import pytest

from ser.core.utterance.emotions import COLOURS
from ser.io.tracking import runs, store
from ser.io.tracking.pages import describe, experiments, history, views
from ser.io.tracking.pages.descriptions import version_description
from ser.io.tracking.pages.experiments import NOTE, OURS, note_tags, one_by_one, page_tags
from ser.io.tracking.pages.metrics import named_scores
from ser.io.tracking.pages.names import Logged

PARAMS = {
    "data": {"corpora": ["synthetic"]},
    "split": {"protocol": "holdout", "fold": 1},
    "model": {"name": "svc", "enrolled": False, "svc": {"c": 10.0}},
}
TAGS = {"model": "svc", "corpora": "synthetic", "protocol": "holdout fold 1", "split_sha256": "s"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pages")
    store.prepare_store(root)
    return root


def test_an_experiment_is_described_and_a_person_s_words_stay() -> None:
    made = page_tags(store.EXPERIMENT, {})
    assert made["mlflow.experiment.primaryMetric.name"] == "test/uar"
    assert made["mlflow.experimentKind"] == "custom_model_development"
    assert page_tags(store.EXPERIMENT, made) == {}
    older = {**made, NOTE: "as an older release wrote it", OURS: experiments._sha256(
        "as an older release wrote it")}  # fmt: skip
    assert page_tags(store.EXPERIMENT, older)[NOTE] == made[NOTE]
    for words in ("mine", ""):
        assert page_tags(store.EXPERIMENT, {**made, NOTE: words}) == {}
    assert NOTE not in page_tags(store.EXPERIMENT, {NOTE: "mine, before this release"})
    chosen = {"mlflow.experiment.primaryMetric.name": "test/ece"}
    assert not page_tags(store.EXPERIMENT, chosen).keys() & chosen.keys()


@pytest.mark.parametrize("found", [{}, {NOTE: "older", OURS: experiments._sha256("older")}])
def test_a_kill_between_two_writes_leaves_a_description_ours(found: dict[str, str]) -> None:
    wanted = note_tags("new", found)
    written = dict(found)
    for name, value in one_by_one(wanted, found):
        written[name] = value
        assert note_tags("newer", written)[NOTE] == "newer"
    assert written == wanted


def test_an_experiment_that_is_there_gets_what_its_page_lacks(root: Path) -> None:
    client = store.connect(root)
    experiment = store.prepare_store(root)
    client.delete_experiment_tag(experiment, views.TAG)

    store.prepare_store(root)

    assert views.TAG in client.get_experiment(experiment).tags


def test_the_saved_view_ranks_by_uar_and_has_a_chart_for_each_emotion() -> None:
    state = json.loads(views.view_tag())["state"].removeprefix("deflate;")
    view = json.loads(zlib.decompress(b64decode(state)))
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`test/uar`", False)
    drawn = {chart.get("metricKey") for chart in view["compareRunCharts"]}
    assert {f"test/recall_{emotion}" for emotion in COLOURS} <= drawn
    sections = {section["uuid"] for section in view["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in view["compareRunCharts"]} <= sections


def test_runs_are_named_by_what_differs_and_never_alike(root: Path) -> None:
    def start(c: float) -> str:
        params = {**PARAMS, "model": {**PARAMS["model"], "svc": {"c": c}}}
        with runs.start_run(root, name=None, params=params, tags=TAGS) as run:
            pass
        return run.run_id

    ids = [start(c) for c in (10.0, 30.0, 30.0, 10.0, 30.0)]

    found = [history.load_run(root, run_id) for run_id in ids]
    assert [run.name for run in found] == [
        "svc · synthetic · holdout 1",
        "svc c=30 · synthetic · holdout 1",
        "svc again · synthetic · holdout 1",
        "svc c=10 · synthetic · holdout 1",
        "svc c=30 · synthetic · holdout 1 (2)",
    ]
    assert found[1].tags["differs"] == "model.svc.c 10 → 30"
    assert found[1].tags["compared_with"] == found[0].name
    assert history.compared_with(root, found[1])["the run before"].run_id == ids[0]


def test_the_verdict_reaches_the_run_and_its_description(root: Path) -> None:
    with runs.start_run(root, name=None, params=PARAMS, tags=TAGS) as run:
        run.log_metrics({"test/uar": 0.71234, "test/chance": 1 / 6})
    describe.describe_run(root, run.run_id)

    describe.set_verdict(root, run.run_id, version=3, verdict="kept", reason="It is worse.")

    found = history.load_run(root, run.run_id)
    assert (found.tags["version"], found.tags["verdict"]) == ("3", "kept")
    assert "UAR 0.712, chance 0.167" in found.tags[NOTE]
    assert "**Version 3: kept.** It is worse." in found.tags[NOTE]
    # A person's own description stays.
    store.connect(root).set_tag(run.run_id, NOTE, "mine")
    describe.set_verdict(root, run.run_id, version=3, verdict="promoted", reason="By hand.")
    assert history.load_run(root, run.run_id).tags[NOTE] == "mine"
    # A run that was lost is none.
    describe.set_verdict(root, "0" * 32, version=3, verdict="kept", reason="")


def test_a_version_s_description_has_score_verdict_lineage_and_links() -> None:
    tags = {
        **TAGS,
        "champion": "version 2",
        "mlflow.source.git.commit": "c" * 40,
        "git.dirty": "true",
        "dvc.lock.sha256": "d" * 64,
        "data.synthetic": "e" * 32 + ".dir",
        "flow.run": "3f0c7a5e-0000-4000-8000-000000000000",
        "flow.name": "nightly",
        "flow.url": "http://prefect/1",
    }
    metrics = {"test/uar": 0.7, "test/uar_low": 0.6, "test/uar_high": 0.8, "test/chance": 0.125}
    logged = Logged({}, tags, metrics, "svc")
    text = version_description(logged, run_url="#/run", verdict="kept", reason="a | b\nc")
    assert text.startswith("kept, UAR 0.700 [0.600, 0.800], chance 0.125\n")
    for words in (
        "**kept**. a \\| b c",
        "version 2",
        "c" * 12,
        "d" * 12,
        "e" * 32,
        f"[{logged.name}](#/run)",
        "[nightly](http://prefect/1)",
    ):
        assert words in text
    assert tags["flow.run"] not in text
    assert "not judged yet" in version_description(logged)


def test_dev_and_test_have_the_same_names_of_scores() -> None:
    scores = {
        "uar": 0.123456,
        "uar_ci95": [0.1, 0.2],
        "chance": 0.5,
        "per_class": {"anger": {"recall": 1.0}},
        "uar_by_sex": {"female": 0.1},
        "uar_by_corpus": {"ravdess": 0.2},
    }
    test, dev = (named_scores(split, scores) for split in ("test", "dev"))
    assert [name.removeprefix("test/") for name in test] == [
        name.removeprefix("dev/") for name in dev
    ]
    assert test["test/uar"] == 0.1235
    assert {"test/recall_anger", "test/uar_female", "test/uar_ravdess", "test/uar_low"} <= set(test)
