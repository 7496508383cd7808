from pathlib import PurePath

import pandas as pd
import pytest
import yaml

from ser.core.emotions import EMOTIONS
from ser.corpora.folder import COLUMNS, label_recordings
from ser.corpora.words import SYNONYMS
from ser.errors import CorpusError, UnknownEmotion


def paths(*names):
    return [PurePath(name) for name in names]


def said(labels, *columns):
    return [tuple(row) for row in labels[list(columns)].to_numpy()]


def table(*rows, columns=("file", "emotion", "speaker")):
    return pd.DataFrame(rows, columns=list(columns))


def test_folders_name_emotion_and_speaker_in_either_order():
    labels = label_recordings(paths("anna/Angry/1.wav", "fear/ben/2.wav"))
    assert list(labels.columns) == list(COLUMNS)
    assert said(labels, "file", "emotion", "speaker", "label") == [
        ("anna/Angry/1.wav", "anger", "anna", "Angry"),
        ("fear/ben/2.wav", "fear", "ben", "fear"),
    ]
    assert (
        said(labels, "sex", "intensity", "sentence") == [("unknown", "unspecified", "unknown")] * 2
    )


@pytest.mark.parametrize("word", [*EMOTIONS, *SYNONYMS])
def test_canonical_and_common_words_need_no_mapping(word):
    labels = label_recordings(paths(f"{word.upper()}/anna/1.wav"))
    assert labels["emotion"].item() == SYNONYMS.get(word, word)


def test_the_user_s_mapping_goes_before_common_words_and_drops():
    labels = label_recordings(
        paths("joy/anna/1.wav", "Wut/anna/1.wav", "laugh/anna/1.wav"),
        mapping={"joy": "excitement", "wut": "anger", "laugh": "drop"},
    )
    assert said(labels, "label", "emotion") == [("Wut", "anger"), ("joy", "excitement")]


def test_a_pattern_says_who_speaks_where_folders_do_not():
    labels = label_recordings(
        paths("2021/happy/f_anna_03_01.wav", "2022/calm/m_ben_04_01.wav"),
        speaker_pattern=r"/(?P<sex>[fm])_(?P<speaker>[a-z]+)_(?P<sentence>\d\d)_",
    )
    assert said(labels, "emotion", "speaker", "sex", "sentence") == [
        ("happiness", "anna", "female", "03"),
        ("calm", "ben", "male", "04"),
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["angry/1.wav"], r"angry/1\.wav has no folder besides its emotion's"),
        (["angry/take1/anna/1.wav"], "has the folders take1, anna besides"),
        (["angry/calm/1.wav"], "two emotions, angry and calm"),
        (["angry/anger/1.wav"], "two emotions"),
    ],
)
def test_a_layout_that_leaves_a_doubt_is_refused_with_three_ways_out(names, message):
    with pytest.raises(CorpusError, match=message) as caught:
        label_recordings(paths("calm/ben/1.wav", *names))
    for way in ("EMOTION/SPEAKER/x.wav", "--speaker-pattern", "--table"):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<speaker>", "is no regular expression"),
        ("([a-z]+)", r"has the groups none; expected speaker"),
        ("(?P<speaker>a)(?P<age>b)", "has the groups speaker, age"),
        (r"(?P<speaker>spk\d+)", "finds no speaker in calm/ben/1.wav"),
        (r"(?P<speaker>ben)/(?P<sex>\d)", "has sex '1'; known are female"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern, message):
    with pytest.raises(CorpusError, match=message):
        label_recordings(paths("calm/ben/1.wav"), speaker_pattern=pattern)


def test_unknown_words_come_with_a_mapping_to_complete():
    files = paths("calm/ben/1.wav", "no/ben/1.wav", "hot anger/ben/1.wav", "no/anna/2.wav")
    with pytest.raises(UnknownEmotion, match="Unknown emotion words: hot anger, no") as caught:
        label_recordings(files)
    assert "\n" not in str(caught.value)
    skeleton = str(caught.value).split("--mapping: ")[1].split(", where")[0]
    words = yaml.safe_load(skeleton)
    assert words == {"hot anger": "EMOTION", "no": "EMOTION"}
    with pytest.raises(UnknownEmotion, match="makes 'hot anger' 'EMOTION'; known are neutral"):
        label_recordings(files, mapping=words)
    mapping = {"hot anger": "anger", "no": "drop"}
    assert said(label_recordings(files, mapping=mapping), "emotion") == [("calm",), ("anger",)]


def test_where_no_folder_is_an_emotion_the_folders_are_shown():
    with pytest.raises(UnknownEmotion, match=r"no folder of a known emotion \(anna, colère\)"):
        label_recordings(paths("colère/anna/1.wav", "colère/anna/2.wav"))
    with pytest.raises(UnknownEmotion, match="no folders at all"):
        label_recordings(paths("1.wav"))


def test_a_mapping_that_contradicts_itself_is_refused():
    with pytest.raises(CorpusError, match="makes 'Wut' both anger and fear"):
        label_recordings(paths("wut/a/1.wav"), mapping={"wut": "anger", "Wut": "fear"})


def test_nothing_left_is_an_error():
    with pytest.raises(CorpusError, match="all are dropped"):
        label_recordings(paths("calm/a/1.wav"), mapping={"calm": "drop"})


def test_a_table_labels_recordings_wherever_they_lie():
    labels = label_recordings(
        paths("b.wav", "a/c.wav"),
        table=table(
            ("./b.wav", " sad ", "03", "F", "", "s1", 31),
            ("a/c.wav", "Wut", "04", None, "strong", None, 32),
            columns=("file", "emotion", "speaker", "sex", "intensity", "sentence", "age"),
        ),
        mapping={"Wut": "anger"},
    )
    assert said(labels, *COLUMNS) == [
        ("a/c.wav", "anger", "04", "unknown", "strong", "unknown", "Wut"),
        ("b.wav", "sadness", "03", "female", "unspecified", "s1", "sad"),
    ]


ROW = ("a.wav", "sad", "03")


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (table(("a.wav", "sad"), columns=("file", "emotion")), CorpusError, "lacks speaker; it ha"),
        (table(ROW, ("./a.wav", "calm", "1")), CorpusError, r"lists a\.wav more than once"),
        (table(ROW, ("b.wav", "calm", "1")), CorpusError, r"1 files .*not there, first b\.wav"),
        (
            table(("a.wav", " ", "03")),
            CorpusError,
            "1 rows of the table have no emotion, first row 1",
        ),
        (table(("a.wav", None, "03")), CorpusError, "have no emotion"),
        (table(("a.wav", "sad", "")), CorpusError, "have no speaker"),
        (table(("../a.wav", "sad", "1")), CorpusError, "expected a path inside the folder"),
        (table(("/a.wav", "sad", "1")), CorpusError, "expected a path inside the folder"),
        (table(("a.wav", "grumpy", "1")), UnknownEmotion, "words: grumpy"),
        (table((*ROW, "x"), columns=(*COLUMNS[:3], "sex")), CorpusError, "has sex 'x'"),
    ],
)
def test_a_table_that_leaves_a_doubt_is_refused(rows, error, message):
    with pytest.raises(error, match=message):
        label_recordings(paths("a.wav"), table=rows)


def test_recordings_that_the_table_does_not_list_are_left_out_only_if_told():
    files = paths("a.wav", "b.wav", "c.wav")
    with pytest.raises(CorpusError, match=r"2 recordings are not in the table, first b\.wav"):
        label_recordings(files, table=table(ROW))
    labels = label_recordings(files, table=table(ROW), drop_unlisted=True)
    assert said(labels, "file") == [("a.wav",)]


def test_one_speaker_has_one_sex():
    rows = table((*ROW, "f"), ("b.wav", "sad", "03", "m"), columns=(*COLUMNS[:3], "sex"))
    with pytest.raises(CorpusError, match="Speaker 03 is female and male"):
        label_recordings(paths("a.wav", "b.wav"), table=rows)


def test_a_table_and_a_pattern_are_one_too_many():
    with pytest.raises(CorpusError, match="a table and a speaker pattern"):
        label_recordings(paths("a.wav"), table=table(ROW), speaker_pattern="(?P<speaker>a)")
