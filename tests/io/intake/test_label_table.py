"""Tables as spreadsheets, scripts and publishers save them."""

import os

import pytest

from ser.corpora.own.columns import choose_columns, parse_columns
from ser.errors import CorpusError
from ser.io.intake.label_table import read_label_table

HEADER, ROWS = "file,emotion,speaker", ["a.wav,Wut,Jörg", "b.wav,sad,03"]
PLAIN = "\n".join([HEADER, *ROWS])


def saved(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"sep=;"\r\n' + PLAIN.replace(",", ";").replace("\n", "\r\n"),
        "sep=\t\r\n" + PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("cp1252"),
        f"\n\n{PLAIN}\n\n,,\n",
        "\n".join(f"{line},,," for line in PLAIN.split("\n")),
        PLAIN.replace("Wut", '"Wut"').replace(" ", "  "),
        PLAIN.replace("a.wav,", "  a.wav\t , "),
        f"# labels of 2024, checked\n\n#\n{PLAIN}",
        f'sep=,\n"# labels, checked"\r\n{PLAIN}',
        f"# labels\r{PLAIN}".replace("\n", "\r"),
        f"# {PLAIN}",
        f"#{PLAIN}".replace(",", "\t"),
        "\n".join(f'"{line}"' for line in PLAIN.split("\n")),
        "\r\n".join(f'"{line}";' for line in PLAIN.split("\n")),
        "# labels\n" + "\n".join(f'"{line}"' for line in PLAIN.replace(",", ";").split("\n")),
        '"file,emotion,speaker"\n"a.wav,""Wut"",Jörg"\nb.wav,sad,03',
    ],
)
def test_what_people_save_is_read(tmp_path, content):
    rows = read_label_table(saved(tmp_path, content)).rows
    assert list(rows.columns) == ["file", "emotion", "speaker"]
    assert rows.to_numpy().tolist() == [["a.wav", "Wut", "Jörg"], ["b.wav", "sad", "03"]]


def test_only_what_is_not_utf_8_comes_with_a_note(tmp_path):
    assert read_label_table(saved(tmp_path, PLAIN)).notes == ()
    (note,) = read_label_table(saved(tmp_path, PLAIN.encode("cp1252"))).notes
    assert "read as Windows-1252 (a.wav,Wut,Jörg)" in note


def test_a_ragged_row_is_named_by_its_own_line_and_counted(tmp_path):
    content = f"{HEADER}\n\n{ROWS[0]}\nb.wav,sad,03,\nc.wav,sad\nd.wav,sad,4,x\n"
    with pytest.raises(CorpusError, match=r"has 2 rows .* line 5 has 2 fields, expected 3 \(file,"):
        read_label_table(saved(tmp_path, content))


def test_lines_are_counted_across_quoted_line_breaks_and_sep(tmp_path):
    content = 'sep=;\nfile;emotion;note\na.wav;sad;"two\nlines"\nb.wav;sad;\n'
    assert read_label_table(saved(tmp_path, content)).rows.index.tolist() == [3, 5]


def test_lines_are_counted_across_comments_and_quotes_of_whole_lines(tmp_path):
    content = '# labels\n\n"file,emotion"\n\n"a.wav,""sad, very"""\n"b.wav,sad"\n'
    rows = read_label_table(saved(tmp_path, content)).rows
    assert rows.index.tolist() == [5, 6]
    assert rows["emotion"].tolist() == ["sad, very", "sad"]


def test_a_number_sign_is_a_column_and_one_quoted_column_stays_one(tmp_path):
    rows = read_label_table(saved(tmp_path, "#;Datei;Wort\n1;a.wav;#sad\n")).rows
    assert rows.iloc[0].to_dict() == {"#": "1", "Datei": "a.wav", "Wort": "#sad"}
    rows = read_label_table(saved(tmp_path, '"file"\n"a, b.wav"\n')).rows
    assert rows["file"].tolist() == ["a, b.wav"]


def test_quotes_in_tab_separated_text_are_text(tmp_path):
    content = 'file\ttext\na.wav\t"Halt!\nb.wav\t5" lang\n'
    rows = read_label_table(saved(tmp_path, content, "t.tsv")).rows
    assert rows["text"].tolist() == ['"Halt!', '5" lang']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "Excel or OpenDocument workbook; save the sheet as CSV UTF-8"),
        (b"\x1f\x8brest", "packed"),
        ('file,emotion\na.wav,"sad\n', "line 2: .*quote not closed"),
        (b"file,emotion" + bytes(300), "zero bytes"),
        (" \n\n", "it is empty"),
        (",,,\n", "it is empty"),
        ("file\temotion\na.wav\t" + "x" * 140_000, "line 2: .*field limit"),
        ("x" * 140_000, "field limit"),
    ],
)
def test_what_is_no_table_says_so_in_a_line(tmp_path, content, message):
    with pytest.raises(CorpusError, match=message) as caught:
        read_label_table(saved(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_pipe_or_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "link.csv"):
        with pytest.raises(CorpusError, match="is a pipe; expected a file"):
            read_label_table(tmp_path / name)
    for place in (tmp_path, "/dev/zero"):
        with pytest.raises(CorpusError, match=r"is a (folder|device)|cannot be read"):
            read_label_table(tmp_path / place)


def test_columns_are_understood_by_the_names_that_people_give_them():
    headers = ["file_id", "Emotion ", "raw_text", "normalized_text", "Speaker ID", "GENDER", "age"]
    assert choose_columns(headers) == {
        "file": "file_id",
        "emotion": "Emotion ",
        "speaker": "Speaker ID",
        "sex": "GENDER",
        "sentence": "normalized_text",
    }


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *[("start", "end"), ("start_time", "end_time"), ("StartTime", "StopTime")],
        *[("begin", "stop"), ("Onset", "Offset"), ("xmin", "xmax"), ("start", "Duration")],
    ],
)
def test_times_of_segments_have_many_names(start, end):
    chosen = choose_columns(["file", end, start])
    ours = "duration" if end == "Duration" else "end"
    assert chosen == {"file": "file", "start": start, ours: end}


def test_an_offset_without_an_onset_is_asked_about():
    """It ends a segment beside an onset, and starts one beside a duration."""
    headers = ["file", "offset", "duration"]
    with pytest.raises(CorpusError, match=r"offset may be the start or the end.*'start=offset'"):
        choose_columns(headers)
    assert choose_columns(headers, {"start": "offset"})["duration"] == "duration"
    assert choose_columns(headers, {"end": "offset"}) == {"file": "file", "end": "offset"}


def test_columns_can_be_named_and_a_doubt_is_asked():
    headers = ["path", "filename", "label", "Name, full"]
    with pytest.raises(CorpusError, match=r"path and filename may each be the file.*--columns"):
        choose_columns(headers)
    chosen = parse_columns(["file=filename,speaker=Name, full"])
    assert choose_columns(headers, chosen) == {
        "file": "filename",
        "speaker": "Name, full",
        "emotion": "label",
    }
    with pytest.raises(CorpusError, match=r"names 'who' for speaker; the table has path, "):
        choose_columns(headers, {"speaker": "who"})
    with pytest.raises(CorpusError, match="two columns 'Label' and 'label '"):
        choose_columns(["Label", "label "])
    for words in (["mood=x"], ["file"], ["file=a,file=b"]):
        with pytest.raises(CorpusError, match="--columns"):
            parse_columns(words)
