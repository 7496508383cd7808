import pytest

from ser.core.utterance.emotions import EMOTIONS
from ser.corpora.base import Labels, by_name, recordings_digest
from ser.corpora.catalogue import (
    CORPORA,
    check_own_name,
    check_present,
    corpus_named,
    label_files,
    list_recordings,
)
from ser.corpora.published.ravdess import RAVDESS
from ser.errors import CorpusError, MissingCorpus, UnknownCorpus
from ser.params import SplitParams
from ser.params.protocols import PUBLISHED


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_each_corpus_declares_what_a_user_must_know(corpus):
    assert corpus.title
    assert corpus.licence
    assert corpus.citation
    assert corpus.homepage.startswith("http")
    assert all(len(language) == 2 for language in corpus.languages)
    assert corpus.languages
    assert corpus.protocols
    assert set(corpus.codes.values()) <= set(EMOTIONS)
    assert corpus.utterances > corpus.speakers > 1


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_each_protocol_that_a_corpus_names_can_be_chosen(corpus):
    """And a published one is defined for just this corpus's speakers."""
    for protocol in corpus.protocols:
        SplitParams(protocol=protocol)
        if protocol in PUBLISHED:
            assert PUBLISHED[protocol].people == (corpus.people or corpus.name)
            assert len(PUBLISHED[protocol].speakers) == corpus.speakers


def test_the_singers_are_the_speakers_of_ravdess():
    assert CORPORA["ravdess-song"].people == "ravdess"
    assert [corpus.name for corpus in CORPORA.values() if corpus.people] == ["ravdess-song"]


@pytest.mark.parametrize("name", ["ravdess", "cremad", "tess", "emodb"])
def test_the_digest_is_that_of_the_published_checksums(name, checksums):
    published = checksums(name)
    assert len(published) == CORPORA[name].utterances
    assert recordings_digest(published.items()) == CORPORA[name].digest


def test_the_digest_knows_recordings_whatever_their_folders_and_order():
    one = [("Actor_01/a.wav", "11"), ("Actor_02/b.wav", "22")]
    moved = [("b.wav", "22"), ("x/y/a.wav", "11")]
    swapped = [("a.wav", "22"), ("b.wav", "11")]
    assert recordings_digest(one) == recordings_digest(moved)
    assert recordings_digest(one) != recordings_digest(swapped)


def test_a_recording_in_two_folders_is_refused(lay_out):
    name = "03-01-01-01-01-01-01"
    folder = lay_out([f"Actor_01/{name}.wav", f"copy/Actor_01/{name}.wav", f"copy/{name}.flac"])
    with pytest.raises(CorpusError, match=r"are one recording by their names \(and 1 more pair"):
        label_files(folder, RAVDESS)


def test_two_identities_are_two_recordings(lay_out):
    labels = Labels("s", "unknown", "calm", "unknown")
    label = by_name(lambda path: labels, identity=str)
    folder = lay_out(["a/x.wav", "b/x.wav"])
    assert len(label(folder, list_recordings(folder, RAVDESS))) == 2


def test_hidden_files_are_no_recordings(lay_out):
    folder = lay_out(["03-01-01-01-01-01-01.wav", "._03-01-01-01-01-01-01.wav", "notes.txt"])
    assert len(label_files(folder, RAVDESS)) == 1


def test_an_unknown_corpus_names_the_known_ones_and_the_user_s_own(tmp_path):
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "corpus.yaml").touch()
    with pytest.raises(UnknownCorpus, match=r"'ravdes'; known are synthetic, .*iemocap, calls\."):
        corpus_named("ravdes", tmp_path)
    with pytest.raises(UnknownCorpus, match="ser corpus add folder PATH --name NAME"):
        corpus_named("../calls", tmp_path / "calls")


def test_an_own_corpus_cannot_take_the_name_of_a_published_one(tmp_path):
    (tmp_path / "tess").mkdir()
    (tmp_path / "tess" / "corpus.yaml").touch()
    assert corpus_named("tess", tmp_path) is CORPORA["tess"]


@pytest.mark.parametrize("name", ["ravdess", "folder", "", "../x", "a/b", "Calls", "-x", "ä"])
def test_a_name_that_an_own_corpus_cannot_have(name):
    with pytest.raises(CorpusError, match="cannot be called"):
        check_own_name(name)


def test_a_corpus_that_is_not_in_data_raw_is_named(tmp_path):
    check_present(tmp_path, ("synthetic",))
    with pytest.raises(MissingCorpus, match="data/raw/cremad does not exist"):
        check_present(tmp_path, ("synthetic", "cremad"))
    with pytest.raises(UnknownCorpus, match="'calls'"):
        check_present(tmp_path, ("calls",))
