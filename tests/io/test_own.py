import pandas as pd
import pytest
import yaml

from ser.corpora.catalogue import corpus_named, label_files
from ser.corpora.own import own_corpus
from ser.errors import CorpusError, MissingCorpus, UnknownEmotion
from ser.io.checksums import read_sums
from ser.io.ingest import Ingested
from ser.io.own import add_own, prepare_own, read_label_table, read_mapping

FACTS = {"title": "Calls of 2024", "licence": "internal", "languages": ["de"]}


@pytest.fixture
def source(tmp_path):
    """Four recordings, two speakers, with German words."""
    for name in ("Wut/anna/1.wav", "Wut/ben/1.wav", "calm/anna/1.wav", "Lachen/ben/1.wav"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "source" / "notes.txt").write_text("not a recording")
    (tmp_path / "mapping.yaml").write_text("Wut: anger\nLachen: drop\n")
    return tmp_path / "source"


@pytest.fixture
def calls(tmp_path, source):
    """data/raw/calls, as `ser corpus add folder` writes it."""
    own = prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)
    add_own(own, source, tmp_path / "raw" / "calls")
    return tmp_path / "raw" / "calls"


def test_own_recordings_become_a_corpus_like_any_other(tmp_path, calls):
    corpus = corpus_named("calls", tmp_path / "raw")
    assert (corpus.name, corpus.title, corpus.licence) == ("calls", "Calls of 2024", "internal")
    assert (corpus.languages, corpus.speakers, corpus.utterances) == (("de",), 2, 3)
    assert corpus.codes == {"Wut": "anger", "calm": "calm"}
    labels = {file.as_posix(): label for file, label in label_files(calls, corpus).items()}
    assert {file: label.emotion for file, label in labels.items()} == {
        "Wut/anna/1.wav": "anger",
        "Wut/ben/1.wav": "anger",
        "calm/anna/1.wav": "calm",
    }
    assert labels["Wut/ben/1.wav"].speaker == "ben"


def test_only_labelled_recordings_come_in_byte_by_byte(calls):
    files = sorted(path.relative_to(calls).as_posix() for path in calls.rglob("*.*"))
    assert files == [
        "Wut/anna/1.wav",
        "Wut/ben/1.wav",
        "calm/anna/1.wav",
        "corpus.yaml",
        "labels.csv",
    ]
    assert set(read_sums(calls)) == set(files)
    assert (calls / "Wut/ben/1.wav").read_bytes() == b"Wut/ben/1.wav"


def test_the_same_folder_gives_the_same_files(tmp_path, source):
    one, two = (
        prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS) for _ in range(2)
    )
    assert one.files == two.files
    assert one.left_out == 1


def test_speakers_called_na_or_numbered_with_zeros_keep_their_names(tmp_path, source):
    rows = "file,emotion,speaker,age\nWut/anna/1.wav,sad,NA,31\nWut/ben/1.wav,sad,007,32\n"
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    own = prepare_own(source, table=tmp_path / "table.csv", drop_unlisted=True, facts=FACTS)
    assert (own.left_out, own.ignored) == (2, ("age",))
    add_own(own, source, tmp_path / "calls")
    labels = label_files(tmp_path / "calls", own_corpus(tmp_path / "calls"))
    assert [label.speaker for label in labels.values()] == ["NA", "007"]


def test_csv_and_parquet_say_the_same(tmp_path):
    table = pd.DataFrame({"file": ["a.wav", "b.wav"], "speaker": [3, 4], "sentence": [1, None]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    parquet = read_label_table(tmp_path / "t.parquet").fillna("")
    assert parquet["speaker"].tolist() == ["3", "4"]
    assert parquet["sentence"].tolist() == ["1", ""]
    assert read_label_table(tmp_path / "t.csv")["speaker"].tolist() == ["3", "4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv does not exist"),
        ("latin.csv", "file,emotion\nä,Ärger\n".encode("latin-1"), "is not UTF-8"),
        ("empty.csv", b"", r"empty.csv is not readable as CSV"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "is not readable as CSV"),
        ("broken.parquet", b"PAR1 no", "is not readable as Parquet"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_label_table(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("", "holds no mapping"),
        ("- Wut", "holds no mapping"),
        ("Wut: [", "is not YAML"),
        ("no: anger", "maps False to 'anger'; expected words. Put both in quotes"),
        ("Wut:", "maps 'Wut' to None"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "m.yaml").write_text(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_mapping(tmp_path / "m.yaml")
    assert "\n" not in str(caught.value)


def test_a_word_that_is_mapped_twice_is_refused_with_its_lines(tmp_path):
    (tmp_path / "m.yaml").write_text("Wut: anger\nLachen: drop\n'Wut': fear\n")
    with pytest.raises(CorpusError, match="'Wut' stands twice, in lines 1 and 3") as caught:
        read_mapping(tmp_path / "m.yaml")
    assert "\n" not in str(caught.value)


def test_numbers_may_be_words(tmp_path):
    (tmp_path / "m.yaml").write_text("1: anger\n'no': fear\n")
    assert read_mapping(tmp_path / "m.yaml") == {"1": "anger", "no": "fear"}


def test_what_cannot_be_added_leaves_nothing(tmp_path, source):
    with pytest.raises(UnknownEmotion, match="Lachen, Wut"):
        prepare_own(source, facts=FACTS)
    with pytest.raises(CorpusError, match=r"languages\.0 is 'german'"):
        prepare_own(
            source, mapping=tmp_path / "mapping.yaml", facts={**FACTS, "languages": ["german"]}
        )
    with pytest.raises(MissingCorpus, match="is not a folder"):
        prepare_own(tmp_path / "mapping.yaml", facts=FACTS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingCorpus, match="holds no recordings"):
        prepare_own(tmp_path / "empty", facts=FACTS)
    own = prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)
    (source / "Wut/ben/1.wav").unlink()
    with pytest.raises(CorpusError, match=r"ben/1\.wav, which is not there"):
        add_own(own, source, tmp_path / "raw" / "calls")
    assert not (tmp_path / "raw" / "calls").exists()


def test_a_corpus_that_is_here_grows_and_keeps_its_facts(tmp_path, source, calls):
    (source / "Wut" / "carl").mkdir()
    (source / "Wut" / "carl" / "1.wav").write_bytes(b"carl")
    mapping = tmp_path / "mapping.yaml"
    own = prepare_own(source, mapping=mapping, facts={"title": "calls"})
    assert add_own(own, source, calls) == Ingested(added=1, total=4)
    corpus = own_corpus(calls)
    assert (corpus.title, corpus.speakers, corpus.utterances) == ("Calls of 2024", 3, 4)
    assert add_own(own, source, calls) == Ingested(added=0, total=4)


def test_a_recording_that_is_here_keeps_its_label(tmp_path, source, calls):
    (tmp_path / "mapping.yaml").write_text("Wut: fear\nLachen: drop\n")
    own = prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)
    with pytest.raises(CorpusError, match="has other labels than the one in"):
        add_own(own, source, calls)
    assert set(own_corpus(calls).codes.values()) == {"anger", "calm"}


def test_recordings_and_labels_must_be_the_same_files(calls):
    (calls / "new.wav").touch()
    with pytest.raises(CorpusError, match=r"labels\.csv of calls does not list new\.wav"):
        label_files(calls, own_corpus(calls))
    (calls / "new.wav").unlink()
    (calls / "Wut/ben/1.wav").unlink()
    with pytest.raises(CorpusError, match=r"lists Wut/ben/1\.wav, which is not there"):
        label_files(calls, own_corpus(calls))


def test_files_that_were_edited_wrongly_are_named(calls):
    card = yaml.safe_load((calls / "corpus.yaml").read_text())
    (calls / "corpus.yaml").write_text(yaml.safe_dump({**card, "license": "x"}))
    with pytest.raises(CorpusError, match=r"calls/corpus\.yaml: license is 'x'"):
        own_corpus(calls)
    (calls / "corpus.yaml").write_text("- x: [")
    with pytest.raises(CorpusError, match="not readable as YAML"):
        own_corpus(calls)
    (calls / "corpus.yaml").write_text(yaml.safe_dump(card))
    labels = (calls / "labels.csv").read_text()
    (calls / "labels.csv").write_text(labels.replace("anger", "rage"))
    with pytest.raises(UnknownEmotion, match="rage"):
        own_corpus(calls)
    (calls / "labels.csv").write_text(labels.replace("speaker", "who"))
    with pytest.raises(CorpusError, match="has the columns file, emotion, who"):
        own_corpus(calls)
