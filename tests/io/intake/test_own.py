import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ser.corpora.catalogue import corpus_named, label_files
from ser.corpora.own.shelf import own_corpus
from ser.errors import CorpusError, MissingCorpus, UnknownEmotion
from ser.io.intake.checksums import read_sums
from ser.io.intake.ingest import Ingested
from ser.io.intake.label_table import read_label_table
from ser.io.intake.own import add_own, prepare_own, read_mapping

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
    assert own.left_out == 2
    assert "Columns that are not read: age." in own.notes
    add_own(own, source, tmp_path / "calls")
    labels = label_files(tmp_path / "calls", own_corpus(tmp_path / "calls"))
    assert [label.speaker for label in labels.values()] == ["NA", "007"]


def test_csv_and_parquet_say_the_same(tmp_path):
    table = pd.DataFrame({"file": ["a.wav", "b.wav"], "speaker": [3, 4], "sentence": [1, None]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    parquet = read_label_table(tmp_path / "t.parquet").rows
    assert parquet["speaker"].tolist() == ["3", "4"]
    assert parquet["sentence"].tolist() == ["1", ""]
    assert read_label_table(tmp_path / "t.csv").rows["speaker"].tolist() == ["3", "4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv does not exist"),
        ("odd.csv", b"file,emotion\n\x81,a\n", "is neither UTF-8 nor Windows-1252"),
        ("empty.csv", b"", r"empty.csv is not readable as CSV"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, expected 2"),
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
    assert read_mapping(tmp_path / "m.yaml")["emotion"] == {"1": "anger", "no": "fear"}


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


def test_old_labels_with_one_person_under_two_names_are_refused(calls):
    labels = (calls / "labels.csv").read_text()
    (calls / "labels.csv").write_text(labels.replace("calm,anna", "calm,Anna"))
    with pytest.raises(CorpusError, match=r"labels\.csv: remove the .*'Anna' and 'anna' differ"):
        own_corpus(calls)


def test_a_speaker_who_comes_again_by_another_spelling_is_asked_about(tmp_path, source, calls):
    more = tmp_path / "more"
    (more / "calm" / "Ben").mkdir(parents=True)
    (more / "calm" / "Ben" / "9.wav").write_bytes(b"9")
    own = prepare_own(more, facts=FACTS)
    with pytest.raises(CorpusError, match=r"Together with .*'Ben' and 'ben' differ by spelling"):
        add_own(own, more, calls)
    (tmp_path / "one.yaml").write_text("speaker: {Ben: ben}\n")
    own = prepare_own(more, mapping=tmp_path / "one.yaml", facts=FACTS)
    assert add_own(own, more, calls) == Ingested(added=1, total=4)
    assert own_corpus(calls).speakers == 2


def test_a_published_table_needs_no_script(tmp_path):
    """As nEMO's: other columns, padded speakers, another suffix, files in a folder."""
    (tmp_path / "set" / "samples").mkdir(parents=True)
    for name in ("EB0_anger_1", "KS0_surprised_2"):
        (tmp_path / "set" / "samples" / f"{name}.flac").write_bytes(name.encode())
    (tmp_path / "set" / "data.tsv").write_text(
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
        "EB0_anger_1.wav\tanger\tTak!\ttak\t        EB0\tfemale\t27\n"
        "KS0_surprised_2.wav\tsurprised\tNie.\tnie\t        KS0\tmale\t23\n"
    )
    own = prepare_own(tmp_path / "set", table=Path("data.tsv"), facts=FACTS)
    assert own.labels[["file", "emotion", "speaker", "sex", "sentence"]].to_numpy().tolist() == [
        ["samples/EB0_anger_1.flac", "anger", "EB0", "female", "tak"],
        ["samples/KS0_surprised_2.flac", "surprise", "KS0", "male", "nie"],
    ]
    assert "Columns that are not read: raw_text, age." in own.notes
    assert any("normalized_text is the sentence" in note for note in own.notes)
    assert any("2 files of the table are here by another path" in note for note in own.notes)
    assert not any("Not read" in note for note in own.notes)


def test_nemo_comes_in_as_published(real_corpora, tmp_path):
    folder = real_corpora / "nemo"
    if not folder.is_dir():
        pytest.skip("SER_CORPORA holds no nemo folder")
    own = prepare_own(folder, table=Path("data.tsv"), facts=FACTS)
    rows = pd.read_csv(folder / "data.tsv", sep="\t").sort_values("file_id")
    labels = own.labels.sort_values("file")
    assert labels["speaker"].tolist() == rows["speaker_id"].str.strip().tolist()
    assert labels["sex"].tolist() == rows["gender"].tolist()
    assert labels["sentence"].nunique() == 30
    assert labels["label"].tolist() == rows["emotion"].tolist()


def test_other_formats_and_what_is_no_file_are_counted(tmp_path, source):
    for name in ("a.wma", "b.wma", "c.amr"):
        (source / name).write_bytes(b"x")
    os.mkfifo(source / "pipe.wav")
    (source / "gone.wav").symlink_to(source / "nowhere.wav")
    own = prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)
    (note,) = own.notes
    assert "2 .wma" in note
    assert all(part in note for part in ("1 .amr", "1 .txt", "1 broken links", "1 pipes"))
    assert "ffmpeg -i x.wma x.wav" in note
    for path in source.rglob("*.wav"):
        path.unlink()
    with pytest.raises(MissingCorpus, match=r"no recordings but 2 \.wma"):
        prepare_own(source, facts=FACTS)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path, source):
    (tmp_path / "secret").write_text("secret")
    (source / "Wut" / "ben" / "2.wav").symlink_to(tmp_path / "secret")
    own = prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)
    with pytest.raises(CorpusError, match=r"Wut/ben/2\.wav is a link to .*secret, outside"):
        add_own(own, source, tmp_path / "raw" / "calls")
    (source / "Wut" / "ben" / "2.wav").unlink()
    (source / "Wut" / "ben" / "2.wav").symlink_to("1.wav")
    own = prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)
    assert add_own(own, source, tmp_path / "raw" / "calls").added == 4


def test_a_name_that_is_no_text_is_named(source, tmp_path):
    for name in (b"\xff.wav", b"an\x1bna.wav"):
        (source / "calm" / "anna" / os.fsdecode(name)).write_bytes(b"x")
    with pytest.raises(CorpusError, match=r"^2 problems; first: 'calm/anna/an\\x1bna\.wav'"):
        prepare_own(source, mapping=tmp_path / "mapping.yaml", facts=FACTS)


def test_files_that_hold_us_up_or_nest_for_ever_are_a_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "deep.yaml").write_text("- " * 5_000)
    (tmp_path / "flow.yaml").write_text("{a: " * 5_000)
    (tmp_path / "huge.yaml").write_text("a: b\n" * 300_000)
    for name, message in [
        ("pipe.yaml", "is a pipe"),
        ("deep.yaml", "nested too deeply"),
        ("flow.yaml", "nested too deeply"),
        ("huge.yaml", "over 131,072 bytes"),
    ]:
        with pytest.raises(CorpusError, match=message):
            read_mapping(tmp_path / name)


def test_a_mapping_may_have_parts(tmp_path):
    (tmp_path / "m.yaml").write_text("emotion: {Wut: anger}\nsex: {1: male}\nspeaker: {Ben: ben}\n")
    assert read_mapping(tmp_path / "m.yaml") == {
        "emotion": {"Wut": "anger"},
        "sex": {"1": "male"},
        "speaker": {"Ben": "ben"},
    }
    for content, message in [
        ("emotion: {Wut: anger}\nmood: {a: b}\n", "has the part 'mood'"),
        ("emotion: {Wut: anger}\nsex: male\n", "holds 'male'; expected lines"),
        ("sex: {1: man}\n", "makes the sex '1' 'man'; known are female"),
    ]:
        (tmp_path / "m.yaml").write_text(content)
        with pytest.raises(CorpusError, match=message):
            read_mapping(tmp_path / "m.yaml")


ROW = "Wut/anna/1.wav,anger,anna"


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("from_s,to_s", [f"{ROW},0,1", f"{ROW},1,2"], "from_s, to_s may be.*--columns 'start=…"),
        ("duration", [f"{ROW},1", f"{ROW},2"], "duration may be.*--columns"),
        ("gender", [f"{ROW},f", f"{ROW},f"], "of a recording need columns start and end"),
    ],
)
def test_a_file_listed_twice_without_times_says_what_segments_need(
    tmp_path, source, header, rows, message
):
    (tmp_path / "t.csv").write_text("\n".join([f"file,emotion,speaker,{header}", *rows]))
    with pytest.raises(CorpusError, match=rf"Wut/anna/1\.wav more than once.*{message}"):
        prepare_own(source, table=tmp_path / "t.csv", drop_unlisted=True, facts=FACTS)


def test_times_that_the_table_lacks_are_notes(tmp_path, source):
    def noted(header, row):
        (tmp_path / "t.csv").write_text(f"file,emotion,speaker,{header}\n{ROW},{row}\n")
        return prepare_own(source, table=tmp_path / "t.csv", drop_unlisted=True, facts=FACTS)

    fact = noted("duration", "3.5")
    assert fact.files["labels.csv"].startswith(
        b"file,emotion,speaker,sex,intensity,sentence,label\n"
    )
    assert "Columns that are not read: duration." in fact.notes
    assert any("last to the recording's end" in note for note in noted("begin", "3.5").notes)
    assert any("begin with the recording" in note for note in noted("stop,length", "3,2").notes)
    assert noted("Start_Time,StopTime", "1,2").labels[["start", "end"]].to_numpy().tolist() == [
        [1, 2]
    ]


def test_times_may_have_a_decimal_comma_as_spreadsheets_save_it(tmp_path, source):
    row = ROW.replace(",", ";")
    (tmp_path / "t.csv").write_text(f"file;emotion;speaker;start;end\n{row};0,000;3,470\n")
    own = prepare_own(source, table=tmp_path / "t.csv", drop_unlisted=True, facts=FACTS)
    assert own.labels[["start", "end"]].to_numpy().tolist() == [[0, 3.47]]
