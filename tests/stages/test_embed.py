"""An encoder of the hub through the whole pipeline: a small one, random, made on the spot."""

import json
import shutil

import numpy as np
import pytest

from flows.stages import changes
from ser.bundle import load_bundle, load_encoder_of
from ser.core.utterance.tables import posterior_columns
from ser.errors import EncoderError
from ser.io.audio.read import load_mono
from ser.io.storage.embeddings import read_embeddings
from ser.io.storage.tables import read_table
from ser.predictor import Predictor
from ser.stages.learning import answers
from support.encoders import save_encoder

FOLDS, EMBEDDINGS = "data/interim/folds.parquet", "data/embeddings"
#: So that a random encoder's head learns for seconds.
SHORT = {"model__layers__max_epochs": 3, "encoder__name": "encoder"}


@pytest.fixture(scope="module")
def heard(trained, tmp_path_factory):
    """A project whose model `layers` learnt by an encoder in its folder `encoder`."""
    project = trained.copied_to(tmp_path_factory.mktemp("heard"))
    save_encoder(project.root / "encoder", "wavlm-layer")
    project.set(model__name="layers", model__enrolled=True, **SHORT)
    assert set(changes(project.root)) == {"embed", "train"}
    for stage in ("embed", "train", "evaluate"):
        done = project.call(f"ser.stages.{stage}")
        assert done.returncode == 0, done.stderr
    return project


def test_without_an_encoder_nothing_is_embedded(trained):
    assert read_embeddings(trained.root / EMBEDDINGS) == {}


def test_every_recording_is_embedded_once_and_a_second_run_computes_none(heard):
    folds = read_table(heard.root / FOLDS)
    stored = read_embeddings(heard.root / EMBEDDINGS)
    assert set(stored) == set(folds["sha256"])
    assert {layers.shape for layers in stored.values()} == {(3, 64)}
    done = heard.call("ser.stages.embed")
    assert f"{len(stored)} recordings" in done.stdout
    assert "0 computed" in done.stdout


def test_serving_hears_what_training_heard(heard, monkeypatch):
    monkeypatch.chdir(heard.root)
    bundle = load_bundle(heard.root / "models/bundle")
    assert bundle.takes_enrolment
    row = read_table(heard.root / FOLDS).iloc[[0]]
    stored = read_embeddings(heard.root / EMBEDDINGS)[row["sha256"].iloc[0]]
    predictor = Predictor(bundle, load_encoder_of(bundle))
    y, sr = load_mono(heard.root / row["file"].iloc[0])
    fresh = predictor.enrol([(y, sr)])
    own = answers(heard.root, bundle, row)[posterior_columns(answers(heard.root, bundle, row))]
    np.testing.assert_allclose(predictor.posteriors(y, sr=sr, voice=fresh), own.iloc[0], atol=1e-4)
    assert stored.dtype == np.float32


def test_another_encoder_of_the_same_name_is_refused(heard, tmp_path, monkeypatch):
    save_encoder(tmp_path / "encoder", "wavlm-layer", seed=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match="the model was trained on"):
        load_encoder_of(load_bundle(heard.root / "models/bundle"))
    with pytest.raises(EncoderError, match="takes an encoder and none was given"):
        Predictor(load_bundle(heard.root / "models/bundle"))


def test_predict_without_the_encoder_is_one_line(heard, tmp_path):
    project = heard.copied_to(tmp_path)
    shutil.rmtree(project.root / "encoder")
    recording = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    done = project.call("ser.cli", "predict", str(recording), "--model", "models/bundle")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "'encoder' is not on this machine" in line


def test_a_model_that_hears_by_an_encoder_needs_its_name(project):
    project.set(model__name="layers")
    done = project.call("ser.stages.train")
    assert done.returncode == 2
    assert "encoder.name" in done.stderr


def test_benchmarks_hear_by_the_encoder_too(heard, tmp_path):
    project = heard.copied_to(tmp_path)
    project.set(model__name="transfer", model__transfer__members=["layers", "lda"])
    project.set(split__folds=2, augment__versions=0)
    command = ["benchmark", "--corpus", "synthetic", "--protocol", "grouped-kfold"]
    done = project.call("ser.cli", *command, "--json", "r.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((project.root / "r.json").read_text())
    assert 0 < result["uar"] <= 1
    assert result["inference_ms"] > 0


def test_an_adapted_encoder_learns_and_answers(heard, tmp_path):
    project = heard.copied_to(tmp_path)
    short = {"model__lora__max_epochs": 1, "model__lora__head__max_epochs": 1}
    project.set(model__name="lora", model__enrolled=False, **short)
    done = project.call("ser.stages.train")
    assert done.returncode == 0, done.stderr
    recording = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    done = project.call("ser.cli", "predict", str(recording), "--model", "models/bundle", "--json")
    assert done.returncode == 0, done.stderr
    assert "posteriors" in done.stdout
