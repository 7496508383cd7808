"""Silero's network without torch, and the choice between it and the built-in detector."""

import sys

import numpy as np
import pytest
import soundfile
from scipy.special import expit

from ser.core.uncertainty.abstention import decide
from ser.core.utterance.waveform import mono
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import AudioError, BundleError, ParamsError
from ser.params import AbstentionParams, SyntheticParams
from ser.vad import silero
from ser.vad.detect import choose_detector, speech_seconds
from support.signals import SR
from support.sounds import SOUNDS

needs_silero = pytest.mark.skipif(not silero.installed(), reason="the extra `vad` is not installed")
DETECTORS = ["energy", pytest.param("silero", marks=needs_silero)]


@pytest.fixture(scope="module")
def spoken():
    return [speak(u, sr=SR) for u in utterances(SyntheticParams(speakers=2, sentences=1), seed=3)]


@pytest.fixture
def without_silero(monkeypatch):
    for cached in (silero.installed, silero.load_weights):
        cached.cache_clear()
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    yield
    for cached in (silero.installed, silero.load_weights):
        cached.cache_clear()


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("name", SOUNDS)
def test_no_detector_finds_speech_where_there_is_none(name, detector):
    assert speech_seconds(SOUNDS[name](2.0).astype(np.float32), sr=SR, detector=detector) == 0


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_finds_speech_loud_and_soft(spoken, detector):
    for y in spoken[::3]:
        loud = speech_seconds(y, sr=SR, detector=detector)
        soft = speech_seconds(y * np.float32(0.01), sr=SR, detector=detector)
        assert 0.3 < loud <= y.size / SR
        assert soft == pytest.approx(loud, abs=0.07)


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_finds_actors_speech(real_corpora, detector):
    for file in sorted((real_corpora / "ravdess").rglob("*.flac"))[::180]:
        y, sr = soundfile.read(file, dtype="float32")
        assert speech_seconds(mono(y), sr=sr, detector=detector) > 0.9, file.name


@pytest.mark.parametrize("detector", DETECTORS)
def test_no_samples_hold_no_speech_and_unfit_ones_are_refused(detector):
    assert speech_seconds(np.zeros(0, np.float32), sr=SR, detector=detector) == 0
    with pytest.raises(AudioError, match="expected finite"):
        speech_seconds(np.full(SR, np.nan, np.float32), sr=SR, detector=detector)
    with pytest.raises(AudioError, match="shape"):
        speech_seconds(np.zeros((SR, 2), np.float32), sr=SR, detector=detector)


@needs_silero
def test_torch_and_we_agree_on_the_network(spoken):
    """The package's own TorchScript, given the same weights."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad

    torch.set_num_threads(threads)
    theirs = load_silero_vad()
    theirs.load_state_dict(
        {_torch_name(k): torch.from_numpy(v.copy()) for k, v in silero.load_weights().items()},
        strict=False,
    )
    y = np.concatenate(spoken[:2])
    expected = theirs.audio_forward(torch.from_numpy(y)[None], SR).numpy()[0]
    ours = silero.speech_probabilities(y, sr=SR)
    assert ours.dtype == np.float32
    assert np.ptp(expected) > 0.9
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def _torch_name(name):
    layer, kind = name.split(".")
    if layer == "stft_conv":
        return "_model.stft.forward_basis_buffer"
    if layer == "final_conv":
        return f"_model.decoder.decoder.2.{kind}"
    if layer == "lstm_cell":
        return f"_model.decoder.rnn.{kind}"
    return f"_model.encoder.{int(layer[-1]) - 1}.reparam_conv.{kind}"


def by_numpy(y: np.ndarray) -> np.ndarray:
    """The network layer by layer, each as the sum that defines it: P(speech) of y at 16 kHz."""
    w = silero.load_weights()
    n = -(-y.size // silero.FRAME)
    y = np.pad(y, (silero.CONTEXT, n * silero.FRAME - y.size)).astype(np.float64)
    hidden, cell, found = np.zeros(128), np.zeros(128), []
    for start in range(0, n * silero.FRAME, silero.FRAME):
        frame = np.pad(y[start : start + 576], (0, 64), mode="reflect")
        spectrum = [w["stft_conv.weight"][:, 0] @ frame[s : s + 256] for s in range(0, 385, 128)]
        x = np.stack([np.hypot(part[:129], part[129:]) for part in spectrum], axis=1)
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            x = np.pad(x, [(0, 0), (1, 1)])
            steps = [
                np.einsum("oik,ik->o", w[f"{name}.weight"], x[:, s : s + 3])
                for s in range(0, x.shape[1] - 2, stride)
            ]
            x = np.maximum(np.stack(steps, axis=1) + w[f"{name}.bias"][:, None], 0)
        gates = w["lstm_cell.weight_ih"] @ x[:, 0] + w["lstm_cell.weight_hh"] @ hidden
        gates = np.split(gates + w["lstm_cell.bias_ih"] + w["lstm_cell.bias_hh"], 4)
        take, keep, new, give = expit(gates[0]), expit(gates[1]), np.tanh(gates[2]), expit(gates[3])
        cell = keep * cell + take * new
        hidden = give * np.tanh(cell)
        logit = w["final_conv.weight"][0, :, 0] @ np.maximum(hidden, 0) + w["final_conv.bias"][0]
        found.append(expit(logit))
    return np.array(found)


@needs_silero
def test_the_graph_computes_the_layers_of_the_network(spoken):
    y = np.concatenate([spoken[0], spoken[3] * np.float32(0.01)])
    np.testing.assert_allclose(silero.speech_probabilities(y, sr=SR), by_numpy(y), atol=1e-5)


@needs_silero
@pytest.mark.parametrize("frames", [1, 7, 1000])
def test_blocks_of_any_size_give_the_same_probabilities(spoken, monkeypatch, frames):
    whole = silero.speech_probabilities(spoken[0], sr=SR)
    monkeypatch.setattr(silero, "BLOCK", frames)
    np.testing.assert_allclose(silero.speech_probabilities(spoken[0], sr=SR), whole, atol=1e-6)


def speech_and_none(spoken) -> list[np.ndarray]:
    """Speech with silence and noise before, within or behind it, cut anywhere, and no speech."""
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.02, 2 * SR).astype(np.float32)
    parts = [np.zeros(SR // 2, np.float32), noise, *spoken, *(own(1.0) for own in SOUNDS.values())]
    found = []
    for _ in range(60):
        y = np.concatenate([parts[i] for i in rng.integers(len(parts), size=3)])
        found.append(y[: rng.integers(SR // 5, y.size)].astype(np.float32))
    return found


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("least", [0.0, 0.3, 1.0])
def test_stopping_early_changes_no_decision(spoken, detector, least):
    params = AbstentionParams(min_speech_seconds=least)
    refused = 0
    for y in speech_and_none(spoken):
        whole = speech_seconds(y, sr=SR, detector=detector)
        short = speech_seconds(y, sr=SR, detector=detector, enough=least)
        assert short <= whole
        decision = decide(params, speech_seconds=whole)
        assert decide(params, speech_seconds=short) == decision
        refused += decision is not None
    assert 0 < refused < 60


@needs_silero
def test_what_follows_enough_speech_is_not_computed(spoken, monkeypatch):
    y = np.concatenate([spoken[0], np.zeros(60 * SR, np.float32)])
    frames = []
    compute = silero.Silero.probabilities
    monkeypatch.setattr(
        silero.Silero,
        "probabilities",
        lambda self, y: frames.append(y.size // silero.FRAME) or compute(self, y),
    )
    assert speech_seconds(y, sr=SR, detector="silero", enough=0.3) >= 0.3
    assert sum(frames) * silero.FRAME < spoken[0].size + silero.BLOCK * silero.FRAME


@needs_silero
def test_the_networks_package_is_read_but_never_imported(monkeypatch):
    """Importing it sets the threads of the whole process."""
    silero.load_weights.cache_clear()
    monkeypatch.delitem(sys.modules, "silero_vad", raising=False)
    speech_seconds(np.ones(SR, np.float32), sr=SR, detector="silero")
    assert "silero_vad" not in sys.modules


@needs_silero
def test_silero_is_the_choice_where_it_is_installed():
    assert choose_detector() == "silero"
    assert choose_detector("energy") == "energy"


def test_without_silero_the_built_in_detector_answers(without_silero, spoken):
    assert choose_detector() == "energy"
    assert speech_seconds(spoken[0], sr=SR) == speech_seconds(spoken[0], sr=SR, detector="energy")


def test_asking_for_silero_in_vain_names_the_extra(without_silero, spoken):
    with pytest.raises(ParamsError, match=r"ser-platform\[vad\].*energy"):
        speech_seconds(spoken[0], sr=SR, detector="silero")


def test_an_unknown_detector_is_refused():
    with pytest.raises(ParamsError, match="'webrtc'; expected auto, silero or energy"):
        choose_detector("webrtc")


@needs_silero
def test_weights_of_another_network_are_refused(monkeypatch):
    silero.load_weights.cache_clear()
    monkeypatch.setitem(silero.SHAPES, "conv1.bias", (64,))
    with pytest.raises(BundleError, match="another network"):
        silero.load_weights()
    silero.load_weights.cache_clear()
