"""`ser benchmark --train … --test …` on the embedded corpus and small ones of other speakers."""

from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.benchmark.answering import abstentions, answered_scores
from ser.benchmark.workspace import HOME
from ser.bundle import load_bundle
from ser.core.utterance.tables import predictions_table
from ser.corpora.synthetic.speak import speak, utterances
from ser.io.intake.own import add_own, prepare_own
from ser.io.storage.manifests import load_manifest
from ser.io.storage.recordings import load_utterances
from ser.io.tracking.store import BENCHMARKS, tracking_uri
from ser.params import SyntheticParams, load_params
from ser.predictor import Predictor
from ser.stages.learning import learn

TRAIN = ("ser.cli", "benchmark", "--model", "lda")


def add(project, tmp, name, *, speakers, seed, sr, words):
    """A corpus of its own speakers; `words`: which emotions it has, under which names."""
    folder = tmp / name
    people = [f"spk{number:02d}" for number in range(1, speakers + 1)]
    for one in utterances(SyntheticParams(speakers=4, sentences=3), seed=seed):
        if one.emotion in words and one.speaker in people:
            path = folder / words[one.emotion] / one.speaker / f"{one.sentence}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speak(one, sr=sr), sr, subtype="PCM_16")
    raw = project.root / "data" / "raw" / name
    add_own(prepare_own(folder, facts={"title": name}), folder, raw)


@pytest.fixture(scope="module")
def between(trained, tmp_path_factory):
    """A project with the embedded corpus, and three of other speakers, rates and emotions."""
    tmp = tmp_path_factory.mktemp("between")
    project = trained.copied_to(tmp)
    project.set(augment__versions=1, abstention__max_novelty_percentile=99.0)
    two = {"anger": "anger", "sadness": "sadness"}
    odd = {"anger": "anger", "neutral": "boredom"}
    four = {**two, "happiness": "joy", "neutral": "boredom"}
    add(project, tmp, "calls", speakers=3, seed=99, sr=8_000, words=four)
    add(project, tmp, "one", speakers=1, seed=5, sr=44_100, words=two)
    add(project, tmp, "odd", speakers=2, seed=6, sr=16_000, words=odd)
    return project


@pytest.fixture(scope="module")
def done(between):
    """Two test corpora of one training corpus."""
    options = ("--train", "synthetic", "--test", "calls,one", "--json", "out/cross.json")
    done = between.call(*TRAIN, *options, "--page", "out/page.md")
    assert done.returncode == 0, done.stderr
    return done


def test_each_test_corpus_is_a_result_of_its_own(between, done):
    calls, one = (between.json(f"out/cross.{name}.json") for name in ("calls", "one"))
    assert calls["corpus"] == "synthetic → calls"
    assert calls["protocol"] == "cross-corpus"
    assert list(calls["per_class"]) == ["happiness", "sadness", "anger"]
    assert calls["chance"] == pytest.approx(1 / 3)
    assert (calls["speakers"], calls["train_speakers"]) == (3, 6)
    low, high = calls["uar_ci95"]
    assert low <= calls["uar"] <= high
    assert calls["command"] == "ser benchmark --train synthetic --test calls --model lda"
    # All of the other emotions are dropped, and said.
    assert calls["dropped"]["calls"] == {"boredom": 9}
    assert set(calls["dropped"]["synthetic"]) & {"boredom", "anger"} == set()
    assert one["chance"] == 0.5
    assert one["uar_ci95"] is None


def test_what_is_dropped_and_how_sure_the_score_is_are_printed(done):
    assert "utterances of calls that are left out: boredom (9)" in done.stdout
    assert "3 emotions in common: happiness, sadness, anger" in done.stdout
    assert "(too few speakers for an interval), chance 0.500" in done.stdout
    assert "Abstention: " in done.stdout


def test_trained_is_on_all_speakers_of_one_corpus_and_tested_on_all_of_the_other(between, done):
    result = between.json("out/cross.calls.json")
    (fold,) = result["per_fold"]
    assert [s.partition("/")[0] for s in fold["test_speakers"]] == ["calls"] * 3
    assert {s.partition("/")[0] for s in fold["dev_speakers"]} == {"synthetic"}
    assert result["audit"]["shared_speakers"] == 0
    assert result["audit"]["speakers"]["train"] + result["audit"]["speakers"]["dev"] == 6


def test_the_page_has_a_section_for_each(between, done):
    text = (between.root / "out" / "page.md").read_text()
    assert "## synthetic → calls, cross-corpus, happiness, sadness, anger" in text
    assert "## synthetic → one, cross-corpus" in text
    assert "| answered |" in text
    for picture in ("page-synthetic-calls-cross-corpus", "page-synthetic-one-cross-corpus"):
        assert list((between.root / "out").glob(f"{picture}*.png"))


def test_the_run_in_mlflow_names_both_sides(between, done):
    client = mlflow.MlflowClient(tracking_uri(between.root))
    experiment = client.get_experiment_by_name(BENCHMARKS)
    (fold,) = between.json("out/cross.calls.json")["per_fold"]
    child = client.get_run(fold["run_id"])
    parent = client.get_run(child.data.tags["mlflow.parentRunId"])
    assert parent.info.experiment_id == experiment.experiment_id
    assert parent.info.status == child.info.status == "FINISHED"
    assert parent.data.tags["corpora"] == "synthetic → calls"
    assert parent.info.run_name.startswith("lda")
    assert "synthetic · cross-corpus calls" in parent.info.run_name
    assert {"test/uar", "test/answered"} <= parent.data.metrics.keys()
    logged = parent.data.params
    assert logged["data.corpora"] == '["synthetic"]'
    assert logged["split.protocol"] == "cross-corpus calls"
    assert {"data.labels.keep", "split.dev_fraction"} <= logged.keys()
    assert "split.test_fraction" not in logged


def test_it_goes_on_where_it_was(between, done):
    before = between.json("out/cross.calls.json")
    again = between.call(
        *TRAIN, "--train", "synthetic", "--test", "calls,one", "--json", "again/x.json"
    )
    assert again.returncode == 0, again.stderr
    after = between.json("again/x.calls.json")
    assert after["per_fold"][0]["run_id"] == before["per_fold"][0]["run_id"]
    assert after == before | {"commit": after["commit"]}


def test_what_would_be_answered_is_what_the_predictor_answers(between, done):
    """Two routes: stored features and signals by themselves, or the predictor on the samples."""
    home = between.root / HOME / "calls+one+synthetic"
    result = between.json("out/cross.calls.json")
    (folder,) = (
        path.parent
        for path in home.glob("runs/*/fold-1/fold.json")
        if result["per_fold"][0]["run_id"] in path.read_text()
    )
    stored = pd.read_parquet(folder / "predictions.parquet")
    predictor = Predictor(load_bundle(folder / "bundle"))
    manifest = load_manifest(home, ("calls", "one", "synthetic")).set_index("file")
    rows = manifest.loc[stored["file"]].reset_index()
    answers = [predictor.predict(y, sr=sr) for y, sr in load_utterances(home, rows)]
    reasons = [a.abstention.reason if a.abstention else "" for a in answers]
    assert stored["abstained"].tolist() == reasons
    assert result["answered"] == pytest.approx(reasons.count("") / len(reasons))


def test_the_signal_and_the_confidence_are_reasons_too(between, done):
    home = between.root / HOME / "calls+one+synthetic"
    bundle = load_bundle(next(home.glob("runs/*/fold-1")) / "bundle")
    rows = load_manifest(home, ("calls", "one", "synthetic")).head(2).assign(split="test")
    even = np.full((2, len(bundle.classes)), 1 / len(bundle.classes))
    predictions = predictions_table(rows, even, bundle.classes)

    def reasons(**limits) -> list[str]:
        strict = bundle.abstention.model_copy(update=limits)
        return abstentions(home, replace(bundle, abstention=strict), predictions, rows)

    assert reasons(min_speech_seconds=30.0) == ["too_short"] * 2
    assert reasons(max_novelty_percentile=None, min_confidence=0.95) == ["unsure"] * 2
    assert reasons(max_novelty_percentile=None) == ["", ""]


def test_where_nothing_is_answered_there_is_no_score_of_answers():
    table = pd.DataFrame(
        {
            "speaker": ["a", "b"],
            "emotion": ["anger", "fear"],
            "predicted": ["anger", "fear"],
            "abstained": ["out_of_domain"] * 2,
        }
    )
    scores = answered_scores(table, resamples=100, seed=1)
    assert scores["answered"] == 0
    assert scores["uar_answered"] is None
    assert scores["abstained"] == {"out_of_domain": 2}


def test_several_corpora_are_trained_on_together_and_enrolled(between):
    done = between.call(*TRAIN, "--train", "one,synthetic", "--test", "calls", "--enrolled",
                        "--merge", "neutral=boredom", "--json", "out/both.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = between.json("out/both.json")
    assert result["corpus"] == "one+synthetic → calls"
    assert list(result["per_class"]) == ["happiness", "sadness", "anger", "boredom"]
    assert result["merged"] == {"neutral → boredom": 18}
    assert result["normalisation"] == "speaker-enrolled"
    assert result["by_enrolment_clips"]
    assert result["train_speakers"] == 7
    assert "--enrolled --merge neutral=boredom" in result["command"]


def test_a_protocol_takes_several_corpora(between):
    done = between.call(*TRAIN, "--corpus", "synthetic,calls", "--protocol", "grouped-kfold",
                        "--set", "split.folds=2", "--labels", "anger,sadness",
                        "--json", "out/within.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = between.json("out/within.json")
    assert result["corpus"] == "calls+synthetic"
    assert set(result["uar_by_corpus"]) == {"calls", "synthetic"}
    assert result["labels"] == "anger, sadness"
    assert "UAR by corpus: calls" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--train synthetic --test synthetic", "stands in --train and in --test"),
        ("--train synthetic", "Give --corpus and --protocol"),
        ("--test calls", "Give --corpus and --protocol"),
        ("--corpus calls --train synthetic --test calls", "Give --corpus and --protocol"),
        ("", "Give --corpus and --protocol"),
        ("--train , --test calls", "names nothing"),
        ("--train synthetic --test odd", "have anger alone in common"),
        ("--train synthetic --test nowhere", "No corpus is called 'nowhere'"),
        ("--train synthetic --test ravdess", "ser corpus info ravdess"),
        ("--train synthetic --test calls --merge calm", "expected OLD=NEW"),
        ("--train synthetic --test calls --merge calm=quiet", "names 'quiet'"),
        ("--train synthetic --test calls --labels 9-class", "data.labels.keep is '9-class'"),
        ("--train one --test calls", "at least 2 are needed"),
        ("--train synthetic --test calls --set split.protocol=x", "--protocol sets that"),
    ],
)
def test_what_cannot_be_compared_is_one_line(between, options, words):
    done = between.call(*TRAIN, *options.split())
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_copies_of_training_recordings_are_refused(between, tmp_path):
    source = between.root / "data" / "raw" / "calls"
    files = {p.parent.parent.name: p for p in sorted(source.rglob("*.wav"))}
    for emotion, path in files.items():
        copy = tmp_path / "copied" / emotion / "someone" / "renamed.wav"
        copy.parent.mkdir(parents=True)
        copy.write_bytes(path.read_bytes())
    raw = between.root / "data" / "raw" / "copied"
    add_own(prepare_own(tmp_path / "copied", facts={"title": "copied"}), tmp_path / "copied", raw)
    done = between.call(*TRAIN, "--train", "calls", "--test", "copied")
    assert done.returncode == 2
    assert "One recording under two names stands in two splits" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_corpora_are_balanced_where_there_are_several_alone(between, done):
    """The parameter decides for two corpora, and changes no byte of a model of one."""
    home = between.root / HOME / "calls+one+synthetic"
    params = load_params(between.root / "params.yaml")
    chosen = params.model.model_copy(update={"name": "lda"})
    manifest = load_manifest(home, ("calls", "one", "synthetic"))
    manifest = manifest[manifest["emotion"].isin(["anger", "sadness"])]

    def weights(corpora: list[str], balance: bool) -> dict[str, bytes]:
        train = params.train.model_copy(update={"balance_corpora": balance})
        own = params.model_copy(update={"model": chosen, "train": train})
        rows = manifest[manifest["corpus"].isin(corpora)]
        last = rows["speaker"].max()
        folds = rows.assign(split=np.where(rows["speaker"] == last, "dev", "train"), fold=1)
        return learn(home, folds, own).bundle.model.to_files()

    assert weights(["synthetic"], True) == weights(["synthetic"], False)
    assert weights(["calls", "synthetic"], True) != weights(["calls", "synthetic"], False)
