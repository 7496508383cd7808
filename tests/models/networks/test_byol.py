"""BYOL-S from a weights file: frozen below discriminants, or tuned. The weights are made here."""

import hashlib

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ser.core.features.byol_mel import N_MELS, byol_log_mel
from ser.errors import BundleError, ParamsError
from ser.models.base import Examples, Fitting, Inputs
from ser.models.build import build_model, model_from_files
from ser.models.networks.byol import ByolModel
from ser.models.networks.model import NeuralModel
from ser.models.networks.ntt import AudioNtt, load_encoder, weights_sha256
from ser.models.voices import posteriors, posteriors_by_speaker
from ser.params import ByolParams, MachineParams, ModelParams, Params, TrainParams

CLASSES = ("neutral", "happiness", "anger")
SHORT = TrainParams(max_epochs=2, batch_size=16, learning_rate=0.01, average=0.8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state dict as it is published: the encoder, without statistics and without a head."""
    torch.manual_seed(0)
    network = AudioNtt(n_mels=N_MELS, n_classes=3, params=ByolParams())
    state = {
        name: value
        for name, value in network.state_dict().items()
        if name.startswith(("features.", "fc."))
    }
    path = tmp_path_factory.mktemp("weights") / "encoder.pth"
    torch.save(state, path)
    return path


def examples(n: int = 36, *, seed: int = 0, loud: float = 15.0) -> Examples:
    """A raised band is the emotion."""
    rng = np.random.default_rng(seed)
    emotion = np.arange(n) % 3
    log_mel = []
    for label in emotion:
        x = rng.normal(-40, 6, size=(int(rng.integers(20, 60)), N_MELS))
        x[:, 5 + 18 * label : 20 + 18 * label] += loud
        log_mel.append(x.astype(np.float16))
    speaker = np.array([f"s{i // 3 % 4}" for i in range(n)])
    return Examples(Inputs(log_mel=log_mel), np.asarray(CLASSES)[emotion], speaker)


def build(weights, *, tune: bool = False):
    params = ModelParams(name="byol_s", byol_s={"weights": str(weights), "tune": tune})
    return build_model(params, SHORT, classes=CLASSES, machine=MachineParams(threads=1))


@pytest.fixture(scope="module")
def model(weights) -> ByolModel:
    return build(weights).fit(examples(), examples(12, seed=1), Fitting(3))


def test_the_frozen_encoder_hears_the_difference(model):
    held_out = examples(30, seed=2)
    found = posteriors(model, held_out.inputs)
    assert (np.asarray(CLASSES)[found.argmax(axis=1)] == held_out.emotion).mean() > 0.8
    assert np.allclose(found.sum(axis=1), 1)


def test_training_leaves_the_frozen_encoder_as_it_was(model, weights):
    published = torch.load(weights, weights_only=True)
    state = model.encoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in published.items())


@pytest.mark.parametrize("tune", [False, True])
def test_an_embedding_does_not_depend_on_its_batch(weights, tune):
    model = build(weights, tune=tune).fit(examples(), examples(12, seed=1), Fitting(3))
    log_mel = examples(9, seed=2).inputs.log_mel
    together = model.embed(Inputs(log_mel=[*log_mel, np.zeros((300, N_MELS))]))[:-1]
    alone = np.concatenate([model.embed(Inputs(log_mel=[x])) for x in log_mel])
    assert np.abs(together - alone).max() < 1e-4


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 600, 1300])
def test_every_length_has_a_posterior(model, n_frames):
    found = posteriors(model, Inputs(log_mel=[np.full((n_frames, N_MELS), -40.0)]))
    assert np.isfinite(found).all()


def test_files_bring_back_the_same_model_without_the_weights_file(model):
    files = model.to_files()
    again = model_from_files("byol_s", files)
    inputs = examples(6, seed=2).inputs
    assert np.array_equal(posteriors(again, inputs), posteriors(model, inputs))
    assert again.to_files() == files
    assert again.n_parameters == model.n_parameters > 250_000


def test_the_frozen_model_takes_enrolment(weights):
    enrolled = build(weights).fit(
        examples(loud=3), examples(12, seed=1, loud=3), Fitting(3, enrolled=True)
    )
    held_out = examples(24, seed=2, loud=3)
    again = model_from_files("byol_s", enrolled.to_files())
    known = posteriors_by_speaker(again, held_out)
    assert not np.array_equal(known, posteriors(again, held_out.inputs))
    assert (np.asarray(CLASSES)[known.argmax(axis=1)] == held_out.emotion).mean() > 0.8


def test_a_tuned_encoder_learns_slowly_and_keeps_its_statistics(weights):
    tuned = build(weights, tune=True)
    assert isinstance(tuned, NeuralModel)
    tuned.fit(examples(), examples(12, seed=1), Fitting(3))
    published = torch.load(weights, weights_only=True)
    state = tuned.network.state_dict()
    assert torch.equal(state["features.1.running_mean"], published["features.1.running_mean"])
    moved = (state["fc.0.weight"] - published["fc.0.weight"]).abs().max()
    assert 0 < moved < 0.01
    again = model_from_files("byol_s", tuned.to_files())
    inputs = examples(6, seed=2).inputs
    assert np.array_equal(posteriors(again, inputs), posteriors(tuned, inputs))


def test_weights_that_do_not_fit_are_a_line(tmp_path, weights):
    with pytest.raises(ParamsError, match=r"byol_s\.weights is null"):
        build_model(ModelParams(name="byol_s"), SHORT, classes=CLASSES).fit(
            examples(), examples(), Fitting(0)
        )
    with pytest.raises(ParamsError, match=r"missing\.pth, which cannot be read"):
        build(tmp_path / "missing.pth").fit(examples(), examples(), Fitting(0))
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ParamsError, match=r"layer\.weight besides"):
        build(tmp_path / "other.pth").fit(examples(), examples(), Fitting(0))


def test_weights_are_known_by_their_hash(weights):
    params = ByolParams(weights=str(weights))
    own = weights_sha256(params)
    assert own == hashlib.sha256(weights.read_bytes()).hexdigest()
    pinned = params.model_copy(update={"weights_sha256": own})
    load_encoder(pinned, n_mels=64, n_classes=3)
    with pytest.raises(ParamsError, match=f"is {own}; expected 00"):
        load_encoder(params.model_copy(update={"weights_sha256": "00"}), n_mels=64, n_classes=3)


def test_a_pickle_as_weights_does_not_execute(tmp_path):
    planted = tmp_path / "planted"

    class Bomb:
        def __reduce__(self):
            return (open, (str(planted), "w"))

    torch.save({"fc.0.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(ParamsError, match="no tensors of AudioNTT2020 alone"):
        build(tmp_path / "bomb.pth").fit(examples(), examples(), Fitting(0))
    assert not planted.exists()


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.json", "model.skops"])
def test_broken_files_are_bundle_errors(model, name):
    files = model.to_files()
    for broken in ({**files, name: files[name][:-20]}, {k: files[k] for k in files if k != name}):
        with pytest.raises(BundleError):
            model_from_files("byol_s", broken)


def test_its_log_mel_is_librosa_s_with_its_own_bank():
    import librosa

    y = np.random.default_rng(0).normal(0, 0.1, 20_000).astype(np.float32)
    power = librosa.feature.melspectrogram(
        y=y, sr=16_000, n_fft=1024, hop_length=160, n_mels=64, fmin=60, fmax=7800, htk=True,
        norm=None, power=2.0,
    )  # fmt: skip
    theirs = 10 * np.log10(power.T + np.finfo(np.float32).eps)
    np.testing.assert_allclose(byol_log_mel(y), theirs, atol=1e-3)


def test_a_model_with_the_encoder_needs_the_log_mel_it_was_taught_on():
    model = {"name": "transfer", "byol_s": {"weights": "byol.pth"}}
    with pytest.raises(ValidationError, match=r"features\.log_mel byol_s"):
        Params(model=model)
    Params(model=model, features={"log_mel": "byol_s"})
    with pytest.raises(ValidationError, match=r"name their file in model\.byol_s\.weights"):
        Params(model={"name": "transfer"}, features={"log_mel": "byol_s"})
    with pytest.raises(ValidationError, match="hop_length 160"):
        Params(features={"log_mel": "byol_s", "hop_length": 128})


def test_the_published_weights_hear_real_speech(real_corpora):
    path = real_corpora.parent / "weights" / "byol-s" / "byols-audiontt2020-512d.pth"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the corpora")
    model = build(path).fit(examples(), examples(12, seed=1), Fitting(3))
    assert np.isfinite(posteriors(model, examples(6, seed=2).inputs)).all()
