"""A bundle travels as files; what is damaged, foreign or a pickle is refused."""

import json
import pickle
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ser.bundle import bundle_sha256, load_bundle, save_bundle
from ser.errors import BundleError
from ser.models.base import Inputs


@pytest.fixture
def directory(trained, tmp_path):
    shutil.copytree(trained.root / "models" / "bundle", tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_the_features_of_a_former_release_lack_stays_off(directory):
    head = json.loads((directory / "bundle.json").read_text())
    for name in ("trim_noise_db", "noise_floor_db"):
        assert head["features"].pop(name) is not None
    (directory / "bundle.json").write_text(json.dumps(head))
    features = load_bundle(directory).features
    assert features.trim_noise_db is None
    assert features.noise_floor_db is None


def test_a_loaded_bundle_saves_to_the_same_bytes(directory, tmp_path):
    save_bundle(load_bundle(directory), tmp_path / "again")
    assert bundle_sha256(tmp_path / "again") == bundle_sha256(directory)


def test_a_failed_save_keeps_the_old_bundle(directory, tmp_path, monkeypatch):
    bundle, before = load_bundle(directory), bundle_sha256(directory)
    monkeypatch.setattr(type(bundle.model), "to_files", lambda self: {"weights": None})
    with pytest.raises(TypeError):
        save_bundle(bundle, directory)
    assert bundle_sha256(directory) == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_no_file_of_a_bundle_is_a_pickle(directory):
    for path in directory.iterdir():
        with pytest.raises((pickle.UnpicklingError, ValueError, KeyError, EOFError)):
            pickle.loads(path.read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head | {"format": 99}, "has format 99; this release reads 2"),
        (lambda head: head | {"model": "oracle"}, "'oracle'"),
        (lambda head: head | {"classes": ["anger"]}, "names anger"),
        (lambda head: head | {"features": {"hop": 1}}, "does not describe a model"),
        (lambda head: [], "has format None"),
    ],
)
def test_a_card_that_lies_is_refused(directory, change, message):
    card = directory / "bundle.json"
    card.write_text(json.dumps(change(json.loads(card.read_text()))))
    with pytest.raises(BundleError, match=message):
        load_bundle(directory)


def test_weights_that_execute_code_are_refused(directory, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    for path in directory.iterdir():
        if path.name != "bundle.json":
            path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(BundleError):
        load_bundle(directory)
    assert not (tmp_path / "executed").exists()


def test_missing_or_cut_weights_are_refused(directory):
    weights = next(p for p in directory.iterdir() if p.name != "bundle.json")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BundleError):
        load_bundle(directory)
    weights.unlink()
    with pytest.raises(BundleError):
        load_bundle(directory)


def test_a_prediction_does_not_depend_on_the_sampling_rate_it_came_in(directory):
    from ser.core.utterance.waveform import resample
    from ser.predictor import Predictor

    predictor = Predictor(load_bundle(directory))
    t = np.arange(32_000) / 16_000
    y = (0.3 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 2 * t)).astype(np.float32)
    one = predictor.posteriors(y, sr=16_000)
    other = predictor.posteriors(resample(y, sr_in=16_000, sr_out=24_000), sr=24_000)
    assert one == pytest.approx(other, abs=0.05)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("calibrations", "each", 0, "temperature"), 0.0),
        (("calibrations", "each", 0, "temperature"), -1.0),
        (("calibrations", "each", 0, "temperature"), float("nan")),
        (("calibrations", "each", 0, "temperature"), float("inf")),
        (("calibrations", "each", 0, "temperature"), "warm"),
        (("calibrations", "each", 0, "temperature"), [1.0]),
        (("calibrations", "each", 0, "threshold"), float("nan")),
        (("calibrations", "each", 0, "coverage"), 1.5),
        (("calibrations", "clips"), [-1]),
        (("calibrations", "clips"), "0"),
        (("calibrations", "each"), []),
        (("calibrations",), None),
        (("features", "level_db"), float("-inf")),
        (("features", "sr"), "fast"),
        (("features", "trim_margin_seconds"), float("inf")),
        (("abstention", "max_clipped_share"), float("nan")),
        (("encoder",), "wavlm"),
        (("classes",), ["anger", "anger"]),
        (("classes",), ["rage", "anger"]),
        (("card",), []),
        (("model",), ["cnn"]),
    ],
)
def test_every_value_of_a_bundle_is_checked(directory, key, value):
    path = directory / "bundle.json"
    head = json.loads(path.read_text())
    *outer, last = key
    part = head
    for name in outer:
        part = part[name]
    part[last] = value
    path.write_text(json.dumps(head))
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(directory)


def test_weights_that_give_no_numbers_give_no_answer(directory):
    bundle = load_bundle(directory)
    model = SimpleNamespace(
        enrolment=None,
        embed=lambda inputs: np.zeros((1, 2)),
        classify=lambda embeddings, own=None: np.full((1, 2), np.nan),
    )
    with pytest.raises(BundleError, match="not finite"):
        replace(bundle, model=model).posteriors(Inputs())
