"""The default model, from its bundle: answers without torch, as the networks that were trained."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ser.bundle import Bundle, bundle_sha256, load_bundle, save_bundle
from ser.core.utterance.emotions import EMOTIONS
from ser.corpora.synthetic.speak import speak, utterances
from ser.front_end import FrontEnd
from ser.models.base import Examples, Fitting, Inputs
from ser.models.build import build_model
from ser.models.ensemble import members
from ser.models.networks.architectures import EmotionCnn
from ser.params import AbstentionParams, FeatureParams, ModelParams, SyntheticParams, TrainParams
from ser.predictor import Predictor

SR = 16_000
FEATURES, ABSTENTION = FeatureParams(), AbstentionParams()


@pytest.fixture(scope="module")
def said():
    """What speakers of the embedded corpus say, and its samples."""
    corpus = utterances(SyntheticParams(speakers=3, sentences=2), seed=2)
    return [(one, speak(one, sr=SR)) for one in corpus]


@pytest.fixture(scope="module")
def inputs(said):
    extract = FrontEnd(FEATURES, ABSTENTION).extract
    features = [extract(y, sr=SR).features for _, y in said]
    functionals = pd.DataFrame([one.functionals for one in features])
    return Inputs(functionals, [one.log_mel for one in features])


@pytest.fixture(scope="module")
def trained_here(said, inputs):
    """The default ensemble, whose networks are still torch's."""
    emotion, speaker = (np.array([getattr(u, n) for u, _ in said]) for n in ("emotion", "speaker"))
    examples = Examples(inputs, emotion, speaker)
    classes = tuple(name for name in EMOTIONS if name in emotion)
    model = build_model(ModelParams(), TrainParams(max_epochs=3), classes=classes)
    train, dev = np.flatnonzero(speaker != speaker[0]), np.flatnonzero(speaker == speaker[0])
    with pytest.MonkeyPatch.context() as patch:
        # On one core networks are trained in this process.
        patch.setattr(members, "cpu_count", lambda: 1)
        model.fit(examples.take(train), examples.take(dev), Fitting(1))
    return Bundle("ensemble", model, FEATURES, abstention=ABSTENTION)


@pytest.fixture(scope="module")
def folder(trained_here, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble") / "bundle"
    save_bundle(trained_here, folder)
    return folder


def test_what_is_loaded_answers_as_what_was_trained(trained_here, folder, inputs):
    loaded = load_bundle(folder)
    for ours, theirs in zip(loaded.model.members[:2], trained_here.model.members[:2], strict=True):
        assert isinstance(theirs.network, EmotionCnn)
        np.testing.assert_allclose(ours.embed(inputs), theirs.embed(inputs), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        loaded.posteriors(inputs), trained_here.posteriors(inputs), atol=1e-4
    )


def test_a_bundle_without_torch_is_the_same_bundle(folder, tmp_path):
    save_bundle(load_bundle(folder), tmp_path / "again")
    assert bundle_sha256(tmp_path / "again") == bundle_sha256(folder)


PREDICT = """
import sys
from pathlib import Path
import numpy as np
from ser.bundle import load_bundle
from ser.predictor import Predictor
prediction = Predictor(load_bundle(Path(sys.argv[1]))).predict(np.load(sys.argv[2]), sr=16_000)
print(dict(prediction.posteriors))
print(sorted({"torch", "lightning", "librosa", "numba"} & set(sys.modules)))
"""


@pytest.mark.parametrize("threads", [1, 4])
def test_a_prediction_loads_neither_torch_nor_numba_and_has_the_same_bytes_anywhere(
    folder, said, tmp_path, monkeypatch, threads
):
    y = said[5][1]
    np.save(tmp_path / "y.npy", y)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", str(threads))
    command = [sys.executable, "-c", PREDICT, str(folder), str(tmp_path / "y.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    posteriors, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    prediction = Predictor(load_bundle(folder)).predict(y, sr=SR)
    assert prediction.posteriors
    assert posteriors == str(prediction.posteriors)
