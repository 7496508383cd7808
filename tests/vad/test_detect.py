"""Silero's network on NumPy, and the choice between it and the built-in detector."""

import sys

import numpy as np
import pytest
import soundfile

from ser.core.utterance.waveform import mono
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import AudioError, BundleError, ParamsError
from ser.params import SyntheticParams
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
    silero.load_weights.cache_clear()
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    yield
    silero.load_weights.cache_clear()


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
def test_numpy_and_torch_agree_on_the_network(spoken):
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


@needs_silero
def test_a_long_recording_is_worked_on_in_blocks_unnoticed(spoken, monkeypatch):
    whole = silero.speech_probabilities(spoken[0], sr=SR)
    monkeypatch.setattr(silero, "BLOCK", 7)
    np.testing.assert_allclose(silero.speech_probabilities(spoken[0], sr=SR), whole, atol=1e-5)


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
