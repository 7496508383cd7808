"""Embeddings cost what is new: real files, a small encoder, real shards."""

import hashlib

import numpy as np
import pytest
import soundfile

from ser.core.utterance.segments import WHOLE
from ser.core.utterance.waveform import trim
from ser.errors import ChangedAudio, CorruptAudio, DamagedFeatures
from ser.io.storage import embeddings as store
from ser.io.storage.filling import Store, fill
from ser.io.storage.shards import INDEX, check_shards
from ser.models.encoders.loading import load_encoder
from support.encoders import SR, save_encoder, waveform
from support.recordings import load_audio


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_encoder(str(save_encoder(tmp_path_factory.mktemp("e"), "hubert-layer")))


class Corpus:
    """Six recordings and a folder of their embeddings."""

    def __init__(self, root, encoder):
        self.root, self.folder, self.encoder = root, root / "embeddings", encoder
        self.paths = {}
        for i in range(6):
            path = root / f"{i}.wav"
            soundfile.write(path, waveform(0.3 + 0.1 * i, seed=i), SR)
            self.paths[hashlib.sha256(path.read_bytes()).hexdigest()] = path
        self.computed = []

    def update(self, recordings=None, *, params=None, encoder=None, stop_after=None):
        encoder = encoder or self.encoder
        recordings = list(self.paths) if recordings is None else recordings
        self.computed = []

        def compute(new):
            files = [(self.paths[sha256].name, sha256, WHOLE) for sha256 in new]
            made = store.encode_recordings(self.root, files, encoder, prepare=lambda y, sr: y)
            for sha256, value in zip(new, made, strict=True):
                if len(self.computed) == stop_after:
                    raise KeyboardInterrupt
                self.computed.append(sha256)
                yield value

        recipe = store.embedding_recipe(encoder, params or {"sr": encoder.sr})
        parts = [[recordings[i : i + 2]] for i in range(0, len(recordings), 2)]
        filled = Store(self.folder, recipe, parts, write=store.write_shard, read=store.read_shard)
        fill([filled], compute=compute)
        return filled


@pytest.fixture
def corpus(tmp_path, encoder):
    return Corpus(tmp_path, encoder)


def test_stored_embeddings_are_those_that_are_computed(corpus):
    assert not corpus.update().failures
    found = store.read_embeddings(corpus.folder)
    assert set(found) == set(corpus.paths)
    for sha256, path in corpus.paths.items():
        expected = corpus.encoder.encode([load_audio(path, sr=SR)])[0]
        np.testing.assert_array_equal(found[sha256], expected)
        assert found[sha256].dtype == np.float32


def test_only_what_is_new_is_computed(corpus):
    recordings = list(corpus.paths)
    assert corpus.update(recordings[:3]).computed == 3
    assert corpus.update(recordings[:3]).computed == 0
    corpus.update()
    assert corpus.computed == recordings[3:]
    assert corpus.update(recordings[::-1]).computed == 0
    assert len(list(corpus.folder.glob("*.arrow"))) == 3


def test_a_folder_is_a_function_of_its_recordings_whatever_was_computed_when(corpus, tmp_path):
    corpus.update(list(corpus.paths)[:3])
    corpus.update()
    grown = {path.name: path.read_bytes() for path in corpus.folder.iterdir()}
    corpus.folder = tmp_path / "at once"
    corpus.update()
    assert {path.name: path.read_bytes() for path in corpus.folder.iterdir()} == grown


def test_another_encoder_or_other_parameters_compute_all_anew(corpus, tmp_path):
    corpus.update()
    corpus.update(params={"sr": SR, "trim_db": 40.0})
    assert len(corpus.computed) == 6
    other = load_encoder(str(save_encoder(tmp_path / "other", "hubert-layer", seed=1)))
    corpus.update(params={"sr": SR, "trim_db": 40.0}, encoder=other)
    assert len(corpus.computed) == 6


def test_what_was_finished_before_an_interruption_is_kept(corpus):
    with pytest.raises(KeyboardInterrupt):
        corpus.update(stop_after=5)
    check_shards(corpus.folder)
    corpus.update()
    assert corpus.computed == list(corpus.paths)[4:]


def test_an_interruption_costs_nothing_that_was_known_before(corpus):
    """The shards are about to be laid otherwise; the old ones must outlive the attempt."""
    recordings = list(corpus.paths)
    corpus.update(recordings[:5])
    with pytest.raises(KeyboardInterrupt):
        corpus.update(recordings[::-1], stop_after=0)
    assert corpus.update(recordings[:5]).computed == 0


def test_a_damaged_shard_is_noticed_and_only_its_recordings_are_computed_again(corpus):
    corpus.update()
    shard = sorted(corpus.folder.glob("*.arrow"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DamagedFeatures, match=f"{shard.name} has SHA-256.*dvc repro -f embed"):
        store.read_embeddings(corpus.folder)
    corpus.update()
    assert len(corpus.computed) == 2
    assert len(store.read_embeddings(corpus.folder)) == 6


def test_a_bent_index_is_noticed(corpus):
    corpus.update()
    index = corpus.folder / INDEX
    index.write_text(index.read_text().replace('"sr": 16000', '"sr": 16001'))
    with pytest.raises(DamagedFeatures, match="dvc repro -f embed"):
        store.read_embeddings(corpus.folder)


def test_a_recording_that_fails_is_named_and_the_others_are_kept(corpus):
    changed, *_, broken = corpus.paths.items()
    soundfile.write(changed[1], waveform(0.5, seed=9), SR)
    broken[1].write_bytes(b"no audio")
    corpus.paths.pop(broken[0])
    corpus.paths[hashlib.sha256(b"no audio").hexdigest()] = broken[1]
    filled = corpus.update()
    assert [type(failure) for failure in filled.failures] == [ChangedAudio, CorruptAudio]
    assert [failure.file for failure in filled.failures] == [changed[1].name, broken[1].name]
    assert len(filled.shards) == 1
    assert len(store.read_embeddings(corpus.folder)) == 2


def test_a_waveform_is_prepared_before_it_is_encoded(corpus):
    sha256, path = next(iter(corpus.paths.items()))
    y = np.concatenate([np.zeros(SR, np.float32), load_audio(path, sr=SR)])
    soundfile.write(path, y, SR)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (found,) = store.encode_recordings(
        path.parent,
        [(path.name, sha256, WHOLE)],
        corpus.encoder,
        prepare=lambda y, sr: trim(y, sr=sr),
    )
    expected = corpus.encoder.encode([trim(load_audio(path, sr=SR), sr=SR)])[0]
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found - corpus.encoder.encode([y])[0]).max() > 1e-3
