"""The pipeline under real DVC, from nothing to scores."""

import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from flows.report import left_out_text
from flows.stages import changes
from project import Project
from ser.bundle import load_bundle
from ser.core import metrics
from ser.core.sentences import sentence_text
from ser.io import dvc, lineage, mlflow_store
from ser.io.audio import load_audio
from ser.io.mlflow_store import connect
from ser.params import load_params
from ser.predictor import Predictor
from ser.stages.base import FEATURES
from ser.stages.learning import answers, chosen_params, learn
from ser.stages.train import tag_text


def test_repro_makes_every_artefact_once(trained):
    assert trained.json("reports/metrics.json")["test"]["utterances"] == 36
    assert trained.repro() == []


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


def test_dev_answers_are_of_a_model_that_had_not_heard_dev(trained):
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


def test_one_model_parameter_reruns_train_and_evaluate_alone(project):
    project.set(model__logistic_regression__c=0.5)
    assert project.repro() == ["train", "evaluate"]


def test_what_only_says_how_a_machine_works_makes_nothing_again(project):
    project.set(machine__threads=1, machine__download=True)
    assert project.repro() == []
    assert "machine" not in chosen_params(load_params(project.root / "params.yaml"))
    assert "machine" not in project.json("models/bundle/bundle.json")["card"]["parameters"]


def test_a_clone_has_nothing_to_do_whatever_was_tried_before(project, tmp_path):
    """The manifest of a corpus that was tried and given up must leave no trace in dvc.lock."""
    manifests = project.root / "data/interim/manifests"
    before = (project.root / "dvc.lock").read_text()
    shutil.copy(manifests / "synthetic.parquet", manifests / "tried.parquet")
    assert project.repro() == ["gather"]
    assert (project.root / "dvc.lock").read_text() == before

    def git(folder, *arguments):
        command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    git(project.root, "add", *lineage.uncommitted(project.root))
    git(project.root, "commit", "-qm", "a model")
    git(tmp_path, "clone", "-q", str(project.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    # Of a project and its clone, each has a cache of its own: the remote is all that they share.
    remote = ["remote", "add", "--local", "--default", "store", str(tmp_path / "store")]
    for one, verb in ((project, "push"), (clone, "pull")):
        assert one.run("dvc", *remote).returncode == 0
        done = one.run("dvc", verb)
        assert done.returncode == 0, done.stderr
    assert clone.repro() == []
    assert lineage.uncommitted(clone.root) == ()


def test_manifests_of_other_corpora_than_those_asked_for_are_refused(project):
    project.set(data__corpora=["synthetic", "ravdess"])
    done = project.call("ser.stages.split")
    assert done.returncode == 2
    assert "manifest.parquet holds synthetic; data.corpora names synthetic, ravdess" in done.stderr


def test_another_fold_computes_no_feature_again_and_the_gate_s_parameter_nothing(project):
    project.set(gate__min_probability=0.4)
    assert project.repro() == []
    project.set(split__fold=2)
    assert project.repro("split") == ["split"]
    assert set(changes(project.root)) == {"train", "evaluate"}


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
        "alter",
        "embed",
        "train",
        "evaluate",
    ):
        name, *arguments = stage.split()
        done = again.call(f"ser.stages.{name}", *arguments)
        assert done.returncode == 0, done.stderr
    for folder in (
        "data/raw/synthetic",
        "data/interim",
        "data/features",
        "data/altered",
        "models/bundle",
    ):
        assert contents(again.root / folder) == contents(trained.root / folder)
    metrics_file = "reports/metrics.json"
    assert again.json(metrics_file) == trained.json(metrics_file)


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
        run = mlflow_store.connect(project.root).get_run(receipt["run_id"])
        # The score of the model, not of the last epoch, is what MLflow shows.
        assert run.data.metrics["dev/uar"] == receipt["dev"]["uar"]
        assert {"epoch/train_loss", "epoch/dev_uar"} <= set(run.data.metrics)
        inputs.add(run.data.tags["inputs.sha256"])
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.digest == dvc.locked_md5(project.root, FEATURES)
    assert len(inputs) == 1
    assert weights[0] == weights[1]
    assert any(name.endswith(".safetensors") for name in weights[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".gitignore"
    }


def flip(path: Path) -> None:
    """One bit, its size, mode and times kept: nothing that DVC looks at."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def cached(project: Project, stage: str, name: str) -> Path:
    """DVC's own copy of a file in a stage's folder."""
    locked = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]
    md5 = locked["outs"][0]["md5"]
    cache = project.root / ".dvc/cache/files/md5"
    listing = json.loads((cache / md5[:2] / md5[2:]).read_text())
    (entry,) = [e["md5"] for e in listing if e["relpath"].endswith(name)]
    return cache / entry[:2] / entry[2:]


def test_a_flipped_bit_anywhere_stops_training_and_is_named(project):
    recording = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    shard = next((project.root / "data/features").glob("*.arrow"))
    victims = {
        recording: recording.name,
        shard: shard.name,
        cached(project, "synthesize", recording.name): recording.name,
        cached(project, "featurize", shard.name): shard.name,
    }
    before = (project.root / "models/bundle/bundle.json").read_bytes()
    # DVC reads the files of a project that was copied once.
    assert changes(project.root) == {}
    for victim in victims:
        flip(victim)
    assert changes(project.root) == {}
    for victim in victims:
        flip(victim)
    project.set(model__logistic_regression__c=0.5)
    for victim, name in victims.items():
        flip(victim)
        done = project.call("ser.stages.train")
        assert done.returncode == 2, victim
        assert name in done.stderr
        assert done.stderr.count("\n") == 1
        flip(victim)
    assert (project.root / "models/bundle/bundle.json").read_bytes() == before
    assert project.call("ser.stages.train").returncode == 0


def test_featurize_refuses_a_recording_that_changed_and_keeps_its_folder(project):
    victim = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    flip(victim)
    done = project.run("dvc", "repro", "--force", "-s", "featurize")
    assert done.returncode != 0
    assert f"{victim.name} does not hold the bytes that the manifest recorded" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project.root / "data/features/shards.json").exists()


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
    for stage in ("manifest synthetic", "gather", "split", "featurize", "alter", "train"):
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


def test_an_edit_of_the_file_that_excludes_makes_the_manifest_stale(project):
    first, second = sorted((project.root / "data/raw/synthetic").rglob("*.wav"))[:2]
    names = [path.relative_to(project.root / "data/raw").as_posix() for path in (first, second)]
    (project.root / "leave.txt").write_text(f"{names[0]}\n")
    project.set(data__exclude="leave.txt")
    done = project.call("ser.stages.manifest", "synthetic")
    assert done.returncode == 2
    assert "Add the line `- leave.txt` to the deps of the stage manifest" in done.stderr
    pipeline = project.root / "dvc.yaml"
    dep = "        - data/raw/${item}\n"
    pipeline.write_text(pipeline.read_text().replace(dep, f"{dep}        - leave.txt\n"))
    assert project.repro("-s", "manifest@synthetic") == ["manifest@synthetic"]
    (project.root / "leave.txt").write_text("".join(f"{name}\n" for name in names))
    assert changes(project.root)["manifest@synthetic"] == "leave.txt changed"
    assert project.call("ser.stages.manifest", "synthetic").returncode == 0
    assert len(pd.read_parquet(project.root / "data/interim/manifests/synthetic.parquet")) == 106


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


def test_debug_shows_the_traceback(project):
    done = project.call("ser.stages.manifest", "emovo", "--debug")
    assert "Traceback" in done.stderr


def test_parameters_and_metrics_read_as_dvc_shows_them(project):
    project.set(model__name="svc")
    diff = project.run("dvc", "params", "diff", "--json").stdout
    assert '"new": "svc"' in diff
    (shown,) = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)[""][
        "data"
    ].values()
    scores = project.json("reports/metrics.json")
    assert shown["data"]["test"]["uar"] == scores["test"]["uar"]
    # A column each in `dvc exp show`.
    assert sum(len(values) for values in shown["data"].values()) <= 10
    done = project.run("dvc", "plots", "show")
    assert done.returncode == 0, done.stderr
    page = (project.root / "dvc_plots" / "index.html").read_text()
    assert "Confusion" in page
    assert "Recall by emotion" in page
    # A model without epochs is a point.
    assert "Learning curves" in page
    (point,) = pd.read_csv(project.root / "reports/plots/curves.csv").to_dict("records")
    assert point["dev_uar"] == pytest.approx(scores["dev"]["uar"], rel=1e-5)
