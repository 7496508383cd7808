"""`ser benchmark` on a small embedded corpus: all folds, tracked, resumable, compared."""

import json
import time

import mlflow
import numpy as np
import pandas as pd
import pytest

from ser.benchmark.designs import assign_all, count_folds
from ser.benchmark.enrolling import DRAWS, _draws
from ser.benchmark.folds import Clock
from ser.benchmark.page import page
from ser.benchmark.workspace import HOME
from ser.cli import main
from ser.io.tracking.store import BENCHMARKS, tracking_uri
from ser.params import load_params, parse_params

#: What an issue of the platform's users reads from the file.
KEYS = {"uar", "uar_ci95", "accuracy", "f1_macro", "folds", "seconds"}


COMMAND = (
    *("ser.cli", "benchmark", "--corpus", "synthetic", "--protocol", "grouped-kfold"),
    *("--model", "logistic_regression"),
)


def run(project, *options):
    return project.call(*COMMAND, *options)


@pytest.fixture(scope="module")
def benchmarked(trained, tmp_path_factory):
    """A project with a plain and an enrolled result in results/, three folds each."""
    project = trained.copied_to(tmp_path_factory.mktemp("benchmarked"))
    project.set(split__folds=3, augment__versions=1)
    for name, options in {"plain": [], "enrolled": ["--enrolled"]}.items():
        done = run(project, "--json", f"results/{name}.json", "--page", "page.md", *options)
        assert done.returncode == 0, done.stderr
    return project


def test_the_result_holds_what_users_read(benchmarked):
    result = benchmarked.json("results/plain.json")
    assert set(result) >= KEYS
    low, high = result["uar_ci95"]
    assert low < result["uar"] < high
    assert result["folds"] == len(result["per_fold"]) == 3
    assert result["speakers"] == 6
    assert result["normalisation"] == "plain"
    assert 0 < result["seconds"] < 600
    assert set(result["uar_by_sex"]) == {"female", "male"}
    assert result["parameters"] > 0
    assert result["inference_ms"] > 0


def test_every_speaker_is_tested_once_by_a_model_that_never_heard_them(benchmarked):
    folds = benchmarked.json("results/plain.json")["per_fold"]
    tested = [speaker for fold in folds for speaker in fold["test_speakers"]]
    assert len(tested) == len(set(tested)) == 6
    for fold in folds:
        assert set(fold["dev_speakers"]).isdisjoint(fold["test_speakers"])


def test_the_score_is_that_of_the_stored_predictions(benchmarked):
    (plain, enrolled) = (benchmarked.json(f"results/{n}.json") for n in ("plain", "enrolled"))
    home = benchmarked.root / HOME / "synthetic" / "runs"
    stored = {}
    for place in home.iterdir():
        tables = [pd.read_parquet(path) for path in place.glob("fold-*/predictions.parquet")]
        table = pd.concat(tables)
        right = (table["emotion"] == table["predicted"]).groupby(table["emotion"]).mean()
        stored[round(float(right.mean()), 9)] = len(table)
    # Other tests store other benchmarks.
    for result in (plain, enrolled):
        assert stored[round(result["uar"], 9)] == result["utterances"]


def test_the_score_grows_with_the_clips_that_a_speaker_is_known_by(benchmarked):
    curve = benchmarked.json("results/enrolled.json")["by_enrolment_clips"]
    assert [(row["known_by"], row["clips"]) for row in curve] == [
        ("any", clips) for clips in (0, 1, 3, 10)
    ]
    assert curve[-1]["uar"] > curve[0]["uar"]
    assert all(0 <= row["ece"] <= 1 and 0 < row["coverage"] <= 1 for row in curve)
    assert benchmarked.json("results/plain.json")["by_enrolment_clips"] == []


def test_the_folds_runs_are_nested_in_one(benchmarked):
    client = mlflow.MlflowClient(tracking_uri(benchmarked.root))
    experiment = client.get_experiment_by_name(BENCHMARKS)
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    parents = set()
    for name in ("plain", "enrolled"):
        folds = benchmarked.json(f"results/{name}.json")["per_fold"]
        children = [runs[fold["run_id"]] for fold in folds]
        (parent,) = {run.data.tags["mlflow.parentRunId"] for run in children}
        assert all("test/uar" in run.data.metrics for run in (*children, runs[parent]))
        parents.add(parent)
    assert len(parents) == 2
    assert all(run.info.status == "FINISHED" for run in runs.values())


def test_the_page_shows_both_results_and_how_they_were_made(benchmarked):
    text = (benchmarked.root / "page.md").read_text()
    plain = benchmarked.json("results/plain.json")
    assert f"**{plain['uar']:.3f}**" in text
    assert "logistic_regression, enrolled" in text
    assert plain["command"] in text
    assert f"commit `{plain['commit'][:7]}`, splits `{plain['split_sha256'][:12]}`" in text
    picture = "page-synthetic-grouped-kfold.png"
    assert f"]({picture})" in text
    assert (benchmarked.root / picture).read_bytes().startswith(b"\x89PNG")


def test_published_scores_and_the_human_line_stand_beside_ours(benchmarked):
    result = benchmarked.json("results/plain.json")
    text = page([{**result, "corpus": "ravdess", "protocol": "ravdess-luna5"}])
    for words in ("residual LSTM", "0.623", "human listeners"):
        assert words in text


def test_a_benchmark_that_was_stopped_goes_on(benchmarked, monkeypatch):
    """Of three folds the first two stay; the third is made again and gives the same."""
    before = benchmarked.json("results/plain.json")
    home = benchmarked.root / HOME / "synthetic" / "runs"
    folders = {
        fold["run_id"]: path.parent
        for path in home.glob("*/fold-*/fold.json")
        for fold in [json.loads(path.read_text())]
    }
    last = folders[before["per_fold"][2]["run_id"]]
    (last / "fold.json").unlink()
    # As after a crash: another process must find what this one left.
    done = benchmarked.run(*COMMAND, "--json", "again/plain.json")
    assert done.returncode == 0, done.stderr
    after = benchmarked.json("again/plain.json")
    same = [fold["run_id"] for fold in after["per_fold"]]
    assert same[:2] == [fold["run_id"] for fold in before["per_fold"][:2]]
    assert same[2] != before["per_fold"][2]["run_id"]
    assert after["uar"] == before["uar"]


def test_ten_calm_clips_are_a_row_of_their_own():
    emotion = np.array(["calm"] * 8 + ["neutral"] * 4 + ["anger"] * 8)
    drawn = list(_draws(np.arange(100, 120), emotion, np.random.default_rng(0)))
    calm = [known for known_by, _, _, known in drawn if known_by == "calm"]
    assert len(calm) == DRAWS
    assert all(len(set(known)) == 10 and known.max() < 112 for known in calm)
    any_mood = {clips for known_by, clips, _, _ in drawn if known_by == "any"}
    assert any_mood == {0, 1, 3, 10}


def test_time_before_a_cut_counts(tmp_path):
    first = Clock(tmp_path / "elapsed.json")
    time.sleep(0.2)
    first.note()
    again = Clock(tmp_path / "elapsed.json")
    assert again.before >= 0.2
    assert again.seconds >= again.before


def test_a_parameter_can_be_set_and_stands_in_the_command(benchmarked):
    """Another constant of regularisation is another benchmark, in its own run."""
    done = run(benchmarked, "--set", "model.logistic_regression.c=1e-6", "--json", "set/c.json")
    assert done.returncode == 0, done.stderr
    result, before = benchmarked.json("set/c.json"), benchmarked.json("results/plain.json")
    assert result["command"].endswith("--set model.logistic_regression.c=1e-6")
    assert result["per_fold"][0]["run_id"] != before["per_fold"][0]["run_id"]
    assert result["ece"] != before["ece"]


def test_what_is_no_result_is_left_out_of_the_page_and_alone(benchmarked):
    folder = benchmarked.root / "beside"
    folder.mkdir()
    beside = {"params": '{"a": 1}', "list": "[1, 2]", "text": "not JSON", "empty": ""}
    for name, content in beside.items():
        (folder / f"{name}.json").write_text(content)
    done = run(benchmarked, "--json", "beside/plain.json", "--page", "beside/page.md")
    assert done.returncode == 0, done.stderr
    assert "logistic_regression" in (folder / "page.md").read_text()
    for name, content in beside.items():
        assert (folder / f"{name}.json").read_text() == content


def test_a_benchmark_is_repeated_after_the_gate_or_the_evaluation_changed(benchmarked):
    assert run(benchmarked, "--json", "again/before.json").returncode == 0
    before = benchmarked.json("again/before.json")
    benchmarked.set(gate__min_probability=0.8, evaluate__bootstrap=300)
    try:
        done = run(benchmarked, "--json", "again/gate.json")
    finally:
        benchmarked.set(gate__min_probability=0.5, evaluate__bootstrap=2000)
    assert done.returncode == 0, done.stderr
    after = benchmarked.json("again/gate.json")
    assert [f["run_id"] for f in after["per_fold"]] == [f["run_id"] for f in before["per_fold"]]


def test_results_of_other_emotions_stand_under_a_heading_and_a_chance_of_their_own(benchmarked):
    whole = {
        **benchmarked.json("results/plain.json"),
        "corpus": "ravdess",
        "protocol": "emodb-loso",
    }
    fewer = {
        **whole,
        "labels": "4-class",
        "chance": 0.25,
        "per_class": {k: whole["per_class"][k] for k in list(whole["per_class"])[:4]},
    }
    text = page([fewer, whole], figure="page-{section}.png")
    first, second = text.split("\n## ")[1:]
    assert first.startswith("ravdess, emodb-loso, 4-class")
    assert "chance 0.250" in first
    assert "0.771" not in first
    assert "page-ravdess-emodb-loso-4-class.png" in first
    assert "chance 0.167" in second
    assert "0.771" in second


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--corpus", "ravdess", "--protocol", "ravdess-luna5"], "ser corpus info ravdess"),
        (["--corpus", "synthetic", "--protocol", "ravdess-luna5"], "ravdess"),
        (["--corpus", "synthetic", "--protocol", "luna"], "split.protocol is 'luna'"),
        (["--corpus", "sinthetic", "--protocol", "holdout"], "No corpus is called"),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--model", "bert"],
            "No model is called",
        ),
        (["--corpus", "synthetic", "--protocol", "holdout", "--page", "x.md"], "--json"),
        (["--corpus", "synthetic", "--protocol", "holdout", "--json", "src"], "Is a directory"),
        (["--corpus", "synthetic", "--protocol", "holdout", "--set", "seed"], "KEY=VALUE"),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--set", "model.name=svc"],
            "--model sets that",
        ),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--set", "model.lda.shrinkage=0"],
            "model.lda.shrinkage is 0; input should be greater than 0",
        ),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--set", "model.lda=3"],
            "model.lda is a section; name a parameter in it",
        ),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--set", "split=3"],
            "split is a section",
        ),
        (["--corpus", "synthetic", "--protocol", "holdout", "--set", "seed.x=1"], "no keys"),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--set", "augment.noise_db=[40, 5]"],
            "they are [40.0, 5.0]; expected two numbers, -20 <= low <= high <= 100",
        ),
        (
            ["--corpus", "synthetic", "--protocol", "holdout", "--set", "train.epochs=3"],
            "train.epochs is not a parameter",
        ),
    ],
)
def test_what_cannot_be_benchmarked_is_one_line(benchmarked, options, words, monkeypatch, capsys):
    monkeypatch.chdir(benchmarked.root)
    monkeypatch.setattr("sys.argv", ["ser", "benchmark", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_protocol_has_as_many_folds_as_it_says(benchmarked):
    params = load_params(benchmarked.root / "params.yaml")
    counts = {name: count_folds(name, params, 6) for name in
              ("holdout", "grouped-kfold", "leave-one-speaker-out", "ravdess-luna5")}  # fmt: skip
    assert counts == {
        "holdout": 1,
        "grouped-kfold": 3,
        "leave-one-speaker-out": 6,
        "ravdess-luna5": 5,
    }
    values = json.loads(params.model_dump_json())
    values["split"]["protocol"] = "leave-one-speaker-out"
    home = benchmarked.root / HOME / "synthetic"
    splits = assign_all(home, parse_params(values))
    tested = [set(f.loc[f["split"] == "test", "speaker"]) for f in splits]
    assert np.all([len(one) == 1 for one in tested])
    assert len(set.union(*tested)) == 6
