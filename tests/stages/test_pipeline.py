"""The pipeline from nothing to scores, and what its stages refuse."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from flows.report import left_out_text
from ser.bundle import load_bundle
from ser.core.scores import metrics
from ser.core.utterance.sentences import sentence_text
from ser.io.intake import dvc
from ser.io.tracking import store
from ser.io.tracking.store import connect
from ser.params import load_params
from ser.predictor import Predictor
from ser.project import FEATURES, RAW
from ser.stages import train as train_stage
from ser.stages.base import MAY_PASS
from ser.stages.learning import answers, learn
from ser.stages.train import tag_text
from support.recordings import load_audio


def test_scores_are_those_of_the_predictions(trained):
    test = trained.json("reports/metrics.json")["test"]
    predictions = pd.read_parquet(trained.root / "reports" / "predictions.parquet")
    assert test["uar"] == pytest.approx(metrics.uar(predictions))
    assert test["accuracy"] == (predictions["emotion"] == predictions["predicted"]).mean()
    low, high = test["uar_ci95"]
    assert low <= test["uar"] <= high
    # Six emotions; two training speakers are enough to be far from chance.
    assert test["chance"] == pytest.approx(1 / 6)
    assert test["uar"] > 0.3


def test_predictions_are_of_the_test_speakers_alone(trained):
    folds = pd.read_parquet(trained.root / "data" / "interim" / "folds.parquet")
    predictions = pd.read_parquet(trained.root / "reports" / "predictions.parquet")
    test = folds[folds["split"] == "test"]
    assert sorted(predictions["file"]) == sorted(test["file"])
    heard = load_bundle(trained.root / "models" / "bundle").card["train_speakers"]
    assert set(heard).isdisjoint(predictions["speaker"])


def test_posteriors_for_dev_are_of_a_model_that_had_not_heard_dev(trained):
    folds = pd.read_parquet(trained.root / "data" / "interim" / "folds.parquet")
    dev = folds[folds["split"] == "dev"]
    given = pd.read_parquet(trained.root / "reports" / "dev.parquet")
    assert list(given["file"]) == list(dev["file"])
    assert trained.json("reports/metrics.json")["dev"]["uar"] == pytest.approx(metrics.uar(given))
    now = answers(trained.root, load_bundle(trained.root / "models" / "bundle"), dev)
    # The bundle was taught those very utterances since.
    assert certainty(now) > certainty(given)


def certainty(predictions):
    """The mean log-posterior of what is true."""
    true = [row[f"p_{row['emotion']}"] for _, row in predictions.iterrows()]
    return np.log(np.maximum(true, 1e-30)).mean()


def test_an_emotion_that_only_dev_has_is_not_learnt_and_counts_as_missed(project):
    folds = pd.read_parquet(project.root / "data" / "interim" / "folds.parquet")
    folds = folds[(folds["split"] != "train") | (folds["emotion"] != "anger")]
    learned = learn(project.root, folds, load_params(project.root / "params.yaml"))
    assert "anger" not in learned.bundle.classes
    angry = learned.dev[learned.dev["emotion"] == "anger"]
    assert len(angry)
    assert (angry["predicted"] != "anger").all()


def test_the_served_answer_equals_the_evaluated_one(trained):
    bundle = load_bundle(trained.root / "models" / "bundle")
    predictor = Predictor(bundle)
    predictions = pd.read_parquet(trained.root / "reports" / "predictions.parquet")
    columns = [f"p_{emotion}" for emotion in bundle.classes]
    for _, row in predictions.iloc[::7].iterrows():
        y = load_audio(trained.root / row["file"], sr=bundle.features.sr)
        served = predictor.predict(y, sr=bundle.features.sr)
        assert served.emotion == row["predicted"]
        np.testing.assert_allclose(
            list(served.posteriors.values()), row[columns].to_numpy(float), atol=1e-5
        )


def test_manifests_of_other_corpora_than_those_asked_for_are_refused(project):
    project.set(data__corpora=["synthetic", "ravdess"])
    done = project.call("ser.stages.split")
    assert done.returncode == 2
    assert "manifest.parquet holds synthetic; data.corpora names synthetic, ravdess" in done.stderr


def test_the_same_seed_twice_gives_the_same_corpus_features_bundle_and_scores(
    trained, checkout, tmp_path
):
    """From nothing, in another folder and without DVC's processes."""
    again = checkout.copied_to(tmp_path)
    for stage in (
        "synthesize",
        "manifest synthetic",
        "gather",
        "split",
        "featurize",
        "explore",
        "embed",
        "train",
        "evaluate",
        "stress",
        "report",
    ):
        name, *arguments = stage.split()
        done = again.call(f"ser.stages.{name}", *arguments)
        assert done.returncode == 0, done.stderr
    for folder in (
        "data/raw/synthetic",
        "data/interim",
        "data/features",
        "data/augmented",
        "models/bundle",
        "reports/explore",
    ):
        assert contents(again.root / folder) == contents(trained.root / folder)
    for file in ("reports/metrics.json", "reports/stress.json", "reports/robustness.json"):
        assert again.json(file) == trained.json(file)


@pytest.mark.filterwarnings("default:.*training starts anew")
def test_a_training_that_was_cut_off_goes_on_in_its_own_run(project, monkeypatch):
    """And one with other parameters gets a run of its own."""

    def away(*_: object) -> None:
        raise ConnectionRefusedError

    project.set(model__name="cnn", train__max_epochs=6)
    client = store.connect(project.root)
    experiment = store.prepare_store(project.root)
    before = {run.info.run_id for run in client.search_runs([experiment])}
    with monkeypatch.context() as broken:
        broken.setattr(train_stage, "save_bundle", away)
        assert project.call("ser.stages.train").returncode == MAY_PASS
    assert project.call("ser.stages.train").returncode == 0

    (run,) = [r for r in client.search_runs([experiment]) if r.info.run_id not in before]
    assert run.info.run_id == project.json("reports/train.json")["run_id"]
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "epoch/train_loss")
    assert [point.step for point in points] == [0, 1, 2, 3, 4, 5]

    with monkeypatch.context() as broken:
        broken.setattr(train_stage, "save_bundle", away)
        assert project.call("ser.stages.train").returncode == MAY_PASS
    project.set(train__max_epochs=3)
    done = project.call("ser.stages.train")
    assert done.returncode == 0, done.stderr
    runs = [r for r in client.search_runs([experiment]) if r.info.run_id not in before]
    assert sorted(r.info.status for r in runs) == ["FAILED", "FINISHED", "FINISHED"]


def test_the_same_seed_twice_gives_the_same_network(project):
    project.set(model__name="cnn", train__max_epochs=2)
    weights, inputs = [], set()
    # In a process of its own, as DVC starts it, and in one that has trained before.
    for train in (project.run, project.call):
        done = train("ser.stages.train")
        assert done.returncode == 0, done.stderr
        weights.append(contents(project.root / "models/bundle"))
        assert not (project.root / ".ser" / "checkpoints").exists()
        receipt = project.json("reports/train.json")
        run = store.connect(project.root).get_run(receipt["run_id"])
        # The score of the model, not of the last epoch, is what MLflow shows.
        assert run.data.metrics["dev/uar"] == receipt["dev"]["uar"]
        assert {"epoch/train_loss", "epoch/dev_uar"} <= set(run.data.metrics)
        inputs.add(run.data.tags["inputs.sha256"])
        digests = {one.dataset.name: one.dataset.digest for one in run.inputs.dataset_inputs}
        assert digests == {
            "synthetic": dvc.tracked_md5(project.root, RAW / "synthetic"),
            "features": dvc.tracked_md5(project.root, FEATURES),
        }
    assert len(inputs) == 1
    assert weights[0] == weights[1]
    assert any(name.endswith(".safetensors") for name in weights[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".gitignore"
    }


def test_the_audit_s_receipt_travels_with_bundle_and_scores(trained):
    receipt = trained.json("data/interim/audit.json")
    assert receipt["copies_across_splits"] == receipt["shared_speakers"] == 0
    assert receipt["utterances"]["test"] == 36
    assert trained.json("models/bundle/bundle.json")["card"]["audit"] == receipt
    scores = trained.json("reports/metrics.json")
    assert scores["protocol"]["audit"] == receipt
    assert (scores["test"]["emotions"], scores["test"]["emotions_missing"]) == (6, [])
    run = connect(trained.root).get_run(trained.json("reports/train.json")["run_id"])
    assert run.data.tags["audit.sentence_overlap"] == str(receipt["sentence_overlap"])
    assert run.data.tags["test.emotions_missing"] == "none"


def test_a_run_says_in_mlflow_which_is_better_and_why(trained):
    client = connect(trained.root)
    run = client.get_run(trained.json("reports/train.json")["run_id"])
    assert run.info.run_name == "logistic_regression · synthetic · holdout 1"
    assert not {key for key in run.data.params if key.startswith(("train.", "gate.", "encoder."))}
    assert run.data.tags["champion"] == "none"
    scores = trained.json("reports/metrics.json")
    assert run.data.metrics["test/uar"] == round(scores["test"]["uar"], 4)
    # A holdout may leave dev a single speaker: then no interval, and one sex.
    both = {name for name in run.data.metrics if name.startswith("test/")}
    assert {"test/recall_anger", "test/uar_low", "test/ece"} <= both
    assert {"dev/recall_anger", "dev/ece"} <= set(run.data.metrics)
    # What `dvc exp show` has columns for, by the same names.
    headline = trained.json("reports/headline.json")
    assert {f"{s}/{name}" for s, of_split in headline.items() for name in of_split} <= set(
        run.data.metrics
    )
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert {"report.html", "model-card.md"} <= set(files)
    described = run.data.tags["mlflow.note.content"]
    assert f"UAR {scores['test']['uar']:.3f}" in described


def test_what_is_not_known_of_sentences_is_unknown_in_every_word(project):
    path = project.root / "data/interim/manifest.parquet"
    manifest = pd.read_parquet(path, dtype_backend="pyarrow")
    manifest.assign(sentence="unknown").to_parquet(path)
    done = project.call("ser.stages.split")
    assert done.returncode == 0, done.stderr
    assert "whether tested sentences are also trained on is unknown" in done.stdout
    assert "100%" not in done.stdout
    receipt = project.json("data/interim/audit.json")
    assert (receipt["sentence_overlap"], receipt["sentence_unknown"]) == (None, 1.0)
    assert "unknown" in sentence_text(receipt["sentence_overlap"], receipt["sentence_unknown"])
    assert tag_text(receipt["sentence_overlap"]) == "unknown"


def test_a_copy_under_another_speaker_s_name_stops_the_split(project):
    """Softer and coded anew: other bytes, other samples, the same recording."""
    folder = project.root / "data/raw/synthetic"
    one, other = (next(folder.glob(f"spk0{speaker}/*_anger_*.wav")) for speaker in (1, 2))
    y, sr = soundfile.read(one)
    coded = io.BytesIO()
    soundfile.write(coded, 0.5 * y, sr, format="OGG", subtype="VORBIS")
    other.unlink()
    other.write_bytes(coded.getvalue())
    assert project.call("ser.stages.manifest", "synthetic").returncode == 0
    assert project.call("ser.stages.gather").returncode == 0
    # Each is tested in turn: in some fold the two stand apart.
    project.set(split__protocol="leave-one-speaker-out")
    done = project.call("ser.stages.split")
    assert done.returncode == 2
    assert "One recording under two names stands in two splits" in done.stderr
    assert one.name in done.stderr
    assert other.name in done.stderr


def test_labels_are_merged_and_dropped_by_the_rule_and_said(project):
    project.set(data__labels={"keep": "4-class", "merge": {"fear": "sadness"}})
    done = project.call("ser.stages.split")
    assert done.returncode == 0, done.stderr
    assert "labels: fear → sadness, 18 utterances." in done.stdout
    assert "labels: disgust is dropped" in done.stdout or "is dropped, 18" in done.stdout
    folds = pd.read_parquet(project.root / "data/interim/folds.parquet")
    assert set(folds["emotion"]) == {"neutral", "happiness", "sadness", "anger"}
    assert project.json("data/interim/audit.json")["labels"]["merged"] == {"fear → sadness": 18}


def test_every_unreadable_recording_is_counted_and_the_first_named(project):
    victims = sorted((project.root / "data/raw/synthetic").rglob("*.wav"))[:3]
    for victim in victims:
        victim.unlink()
        victim.write_bytes(b"RIFF, or so it says")
    done = project.call("ser.stages.manifest", "synthetic")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert victims[0].name in done.stderr
    assert "3 of 108 files fail" in done.stderr


def test_recordings_that_dropped_out_are_counted_beside_every_score(project):
    victims = sorted((project.root / "data/raw/synthetic").rglob("*.wav"))[:4]
    for victim in victims[:3]:
        y, sr = soundfile.read(victim)
        victim.unlink()
        soundfile.write(victim, 0 * y, sr)
    excluded = victims[3].relative_to(project.root / "data/raw").as_posix()
    project.set(data__on_bad="drop", data__exclude=[excluded])
    for stage in ("manifest synthetic", "gather", "split", "featurize", "train"):
        name, *arguments = stage.split()
        done = project.call(f"ser.stages.{name}", *arguments)
        assert done.returncode == 0, done.stderr
    counts = {"synthetic": {"silent": 3, "excluded": 1}}
    assert project.json("data/interim/audit.json")["left_out"] == counts
    assert project.json("models/bundle/bundle.json")["card"]["audit"]["left_out"] == counts
    assert project.json("reports/train.json")["left_out"] == counts
    run = connect(project.root).get_run(project.json("reports/train.json")["run_id"])
    assert run.data.tags["left_out"] == "4"
    assert run.data.tags["left_out.silent"] == "3"
    assert run.data.params["data.exclude"] == json.dumps([excluded])
    assert left_out_text(counts) == " Recordings left out: synthetic (3 silent, 1 excluded)."


@pytest.mark.parametrize(
    ("values", "stage", "message"),
    [
        ({"split__protocl": "holdout"}, ["split"], "Did you mean protocol?"),
        ({"split__protocol": "ravdess-luna5"}, ["split"], "defined for ravdess alone"),
        ({}, ["manifest", "emovo"], "No corpus is called 'emovo'"),
        ({}, ["manifest"], "this stage takes NAME"),
    ],
)
def test_what_a_stage_cannot_do_is_one_line(project, values, stage, message):
    project.set(**values)
    done = project.call(f"ser.stages.{stage[0]}", *stage[1:])
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize("stage", [["split"], ["manifest", "emovo"]])
def test_a_stage_called_in_this_process_answers_as_in_its_own(project, stage):
    """Most tests call stages here, where no Python must start."""
    called, run = (way(f"ser.stages.{stage[0]}", *stage[1:]) for way in (project.call, project.run))
    assert called.returncode == run.returncode
    assert (called.stdout, called.stderr) == (run.stdout, run.stderr)


def test_debug_shows_the_traceback(project):
    done = project.call("ser.stages.manifest", "emovo", "--debug")
    assert "Traceback" in done.stderr
