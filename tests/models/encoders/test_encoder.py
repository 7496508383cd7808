import json
import pickle
import sys
import warnings

import numpy as np
import pytest
import torch

from ser.errors import AudioError, EmptyAudio, EncoderError
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.loading import load_encoder
from support.encoders import NAMES, SR, WHISPER, save_encoder, waveform

PADDABLE = {"wav2vec2-layer", "hubert-layer", "wavlm-layer", WHISPER}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    return {name: save_encoder(root / name, name) for name in NAMES}


@pytest.fixture(scope="module")
def encoders(folders) -> dict[str, SpeechEncoder]:
    return {name: load_encoder(str(folder)) for name, folder in folders.items()}


def clips() -> list[np.ndarray]:
    return [waveform(s, seed=i, pitch=100 + 40 * i) for i, s in enumerate((0.9, 0.31, 0.9, 0.52))]


def own_answer(encoder: SpeechEncoder, y: np.ndarray) -> np.ndarray:
    """Mean and deviation of what transformers itself says of one clip, every layer."""
    made = encoder.extractor(y, sampling_rate=SR, return_tensors="pt")
    x = made[encoder.extractor.model_input_names[0]]
    with torch.no_grad():
        states = torch.stack(encoder.model(x, output_hidden_states=True).hidden_states)[:, 0]
    if encoder.model.config.model_type == "whisper":
        states = states[:, : int(np.ceil(y.size / 320))]
    return torch.cat([states.mean(1), states.std(1, correction=0)], dim=1).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_is_what_transformers_makes_of_the_clip_alone(encoders, name):
    encoder, heard = encoders[name], clips()
    found = encoder.encode(heard)
    assert found.shape == (4, 3, 64)
    assert found.dtype == np.float32
    assert found.std(axis=0).max() > 0.01, "the clips sound alike: the test can prove nothing"
    expected = np.stack([own_answer(encoder, y) for y in heard])
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_an_embedding_does_not_depend_on_its_batch(encoders, name):
    encoder, heard = encoders[name], clips()
    assert encoder.paddable == (name in PADDABLE)
    alone = np.concatenate([encoder.encode([y]) for y in heard])
    np.testing.assert_array_equal(encoder.encode(heard), alone)
    np.testing.assert_allclose(encoder.encode(heard, batch_size=4), alone, atol=2e-5)


@pytest.mark.parametrize("name", ["wav2vec2-group", "hubert-batch-norm", "data2vec"])
def test_padding_would_change_what_is_not_called_paddable(encoders, monkeypatch, name):
    """The exceptions earn their place."""
    encoder, heard = encoders[name], clips()
    alone = encoder.encode(heard)
    monkeypatch.setattr(SpeechEncoder, "paddable", True)
    assert np.abs(encoder.encode(heard, batch_size=4) - alone).max() > 1e-3


def test_whispers_own_padding_is_not_pooled(encoders):
    """It pads to its 2 s: half a second is 25 frames of 100, and silence that was sent counts."""
    encoder, y = encoders[WHISPER], waveform(0.5)
    frames = [piece.frames for piece in encoder.pieces(y)]
    assert frames == [25]
    longer = np.concatenate([y, np.zeros(SR // 2, np.float32)])
    assert [piece.frames for piece in encoder.pieces(longer)] == [50]
    assert np.abs(encoder.encode([y]) - encoder.encode([longer])).max() > 1e-3


@pytest.mark.parametrize("name", ["wav2vec2-layer", WHISPER])
def test_long_recordings_are_heard_in_windows_and_weighed_by_their_length(encoders, name):
    encoder = encoders[name]
    y = waveform(5.0)
    pieces = list(encoder.pieces(y, window_seconds=2.0))
    assert len(pieces) == 3
    assert all(piece.values.shape[-1] <= 2 * SR for piece in pieces)
    (found,) = encoder.encode([y], window_seconds=2.0)
    with torch.no_grad():
        pooled = [encoder.pool([piece]) for piece in pieces]
    mean = np.concatenate([m.double().numpy() for m, _ in pooled])
    deviation = np.concatenate([d.double().numpy() for _, d in pooled])
    frames = [piece.frames for piece in pieces]
    expected_mean = np.average(mean, axis=0, weights=frames)
    second = np.average(deviation**2 + mean**2, axis=0, weights=frames)
    np.testing.assert_allclose(found[:, :32], expected_mean, atol=1e-5)
    np.testing.assert_allclose(found[:, 32:], np.sqrt(second - expected_mean**2), atol=1e-4)


def test_a_window_hears_nearly_what_the_whole_hears(encoders):
    encoder, y = encoders["wav2vec2-layer"], waveform(3.0)
    whole, cut = encoder.encode([y])[0], encoder.encode([y], window_seconds=1.0)[0]
    assert np.abs(whole - cut).max() < 0.15 * np.abs(whole).max()


def test_the_encoders_own_normalisation_is_applied(tmp_path):
    y = waveform(0.5)
    scaled = [
        save_encoder(tmp_path / f"{on}", "hubert-layer", normalise=on) for on in (True, False)
    ]
    normalised, raw = (load_encoder(str(folder)) for folder in scaled)
    assert np.abs(normalised.encode([y]) - normalised.encode([0.1 * y])).max() < 1e-3
    assert np.abs(raw.encode([y]) - raw.encode([0.1 * y])).max() > 1e-2
    assert normalised.reference.sha256 != raw.reference.sha256


@pytest.mark.parametrize("name", NAMES)
def test_the_shortest_clip_is_heard_and_a_shorter_one_refused(encoders, name):
    encoder = encoders[name]
    y = waveform(0.2)[: encoder.min_samples]
    if name != "sew":  # it halves the frames, and one alone leaves none
        assert np.isfinite(encoder.encode([y])).all()
    if y.size > 1:
        with pytest.raises(AudioError, match="the shortest that the encoder takes"):
            encoder.encode([y[:-1]])


def test_unfit_waveforms_are_refused_in_words(encoders):
    encoder = encoders["hubert-layer"]
    with pytest.raises(EmptyAudio, match="no samples"):
        encoder.encode([np.zeros(0, np.float32)])
    with pytest.raises(AudioError, match="shape"):
        encoder.encode([np.zeros((2, 9000), np.float32)])
    with pytest.raises(AudioError, match="NaN"):
        encoder.encode([np.full(9000, np.nan, np.float32)])
    assert encoder.encode([]).shape == (0, 3, 64)


def test_half_precision_on_disk_is_computed_in_single(tmp_path):
    import transformers

    folder = save_encoder(tmp_path / "e", "hubert-layer")
    transformers.HubertModel.from_pretrained(folder).half().save_pretrained(folder)
    assert next(load_encoder(str(folder)).model.parameters()).dtype == torch.float32


def test_the_hash_is_of_settings_and_weights(tmp_path, encoders):
    same = load_encoder(str(save_encoder(tmp_path / "same", "hubert-layer")))
    other = load_encoder(str(save_encoder(tmp_path / "other", "hubert-layer", seed=1)))
    assert (
        same.reference.sha256 == encoders["hubert-layer"].reference.sha256 != other.reference.sha256
    )
    (tmp_path / "same" / "README.md").write_text("A card is no weight.")
    assert load_encoder(str(tmp_path / "same")).reference.sha256 == same.reference.sha256


def test_loading_draws_no_chance_and_says_nothing(folders, capfd):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_encoder(str(folders["wav2vec2-group"]))
    assert torch.equal(before, torch.get_rng_state())
    assert capfd.readouterr().err == ""


def test_a_name_of_the_hub_is_found_in_the_cache_and_never_asked_for(
    monkeypatch, tmp_path, encoders
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr("socket.socket.connect", lambda *place: asked.append(place))
    monkeypatch.setattr("socket.getaddrinfo", lambda *place, **_: asked.append(place) or [])
    cache, revision = tmp_path / "models--someone--known", "0" * 40
    save_encoder(cache / "snapshots" / revision, "hubert-layer")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(revision)
    assert (
        load_encoder("someone/known").reference.sha256 == encoders["hubert-layer"].reference.sha256
    )
    assert load_encoder("someone/known", revision=revision).reference.name == "someone/known"
    with pytest.raises(EncoderError, match="'someone/encoder' is not on this machine") as caught:
        load_encoder("someone/encoder")
    assert "\n" not in str(caught.value)
    assert asked == []


def test_without_the_extra_the_error_names_it(monkeypatch, folders):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EncoderError, match=r"pip install 'ser-platform\[pretrained\]'"):
        load_encoder(str(folders[WHISPER]))


def test_what_is_no_speech_encoder_is_refused(tmp_path):
    import transformers

    transformers.ASTModel(
        transformers.ASTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
    ).save_pretrained(tmp_path / "ast")
    transformers.ASTFeatureExtractor().save_pretrained(tmp_path / "ast")
    with pytest.raises(EncoderError, match="audio-spectrogram-transformer, which does not take"):
        load_encoder(str(tmp_path / "ast"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match="no encoder: it has no config"):
        load_encoder(str(tmp_path / "empty"))


def test_an_architecture_that_is_not_known_is_refused_and_its_code_not_run(folders, tmp_path):
    folder = save_encoder(tmp_path / "e", "hubert-layer")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine", "AutoConfig": "mine.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(str(folder))
    assert not (tmp_path / "run").exists()


class Harmful:
    """Its pickle writes a file when it is read."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_a_pickle_of_more_than_tensors_is_refused_and_not_run(tmp_path):
    folder = save_encoder(tmp_path / "e", "hubert-layer")
    state = torch.load(bin_of(folder), weights_only=True)
    torch.save({**state, "extra": Harmful(tmp_path / "run")}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="save it as safetensors"):
        load_encoder(str(folder))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful(tmp_path / "run")))
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(str(folder))
    assert not (tmp_path / "run").exists()


def test_tensors_in_a_torch_file_are_read(tmp_path, encoders):
    folder = save_encoder(tmp_path / "e", "hubert-layer")
    bin_of(folder)
    heard = clips()
    np.testing.assert_array_equal(
        load_encoder(str(folder)).encode(heard), encoders["hubert-layer"].encode(heard)
    )


def bin_of(folder):
    """The folder's weights as a torch file instead."""
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    torch.save(load_file(path), folder / "pytorch_model.bin")
    path.unlink()
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("name", ["hubert-layer", WHISPER])
def test_missing_weights_are_not_guessed(tmp_path, name):
    from safetensors.torch import load_file, save_file

    folder = save_encoder(tmp_path / "e", name)
    path = folder / "model.safetensors"
    weights = load_file(path)
    unused = [key for key in weights if key.startswith(("decoder.", "masked_spec"))]
    kept = {key: value for key, value in weights.items() if key not in unused}
    save_file(kept, path, metadata={"format": "pt"})
    assert unused
    load_encoder(str(folder))
    lost = next(key for key in kept if "layers.1" in key)
    del kept[lost]
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="lacks 1 of its weights"):
        load_encoder(str(folder))


def test_a_cut_file_is_refused(tmp_path):
    folder = save_encoder(tmp_path / "e", "hubert-layer")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(str(folder))
    path.unlink()
    with pytest.raises(EncoderError, match="holds no weights"):
        load_encoder(str(folder))
