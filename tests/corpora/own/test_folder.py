from pathlib import PurePath

import pandas as pd
import pytest
import yaml

from ser.core.utterance.emotions import EMOTIONS
from ser.corpora.own.folder import COLUMNS, label_recordings
from ser.corpora.own.words import SYNONYMS
from ser.errors import CorpusError, UnknownEmotion


def paths(*names):
    return [PurePath(name) for name in names]


def said(labels, *columns):
    return [tuple(row) for row in labels[list(columns)].to_numpy()]


def table(*rows, columns=("file", "emotion", "speaker")):
    return pd.DataFrame(rows, columns=list(columns))


def test_folders_name_emotion_and_speaker_in_either_order():
    labels = label_recordings(paths("anna/Angry/1.wav", "fear/ben/2.wav"))
    assert list(labels.columns) == [*COLUMNS, "start", "end"]
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
        pattern=r"/(?P<sex>[fm])_(?P<speaker>[a-z]+)_(?P<sentence>\d\d)_",
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
    for way in ("EMOTION/SPEAKER/x.wav", "--pattern", "--table"):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<speaker>", "is no regular expression"),
        ("([a-z]+)", r"has the groups none; expected some"),
        ("(?P<speaker>a)(?P<age>b)", "has the groups speaker, age"),
        (r"(?P<speaker>spk\d+)", "finds no speaker in calm/ben/1.wav"),
        (r"(?P<speaker>ben)/(?P<sex>\d)", "for the sex: '1'; known are female"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern, message):
    with pytest.raises(CorpusError, match=message):
        label_recordings(paths("calm/ben/1.wav"), pattern=pattern)


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
        (table(ROW, ("./a.wav", "calm", "1")), CorpusError, r"lists a\.wav more than once"),
        (
            table(ROW, ("b.wav", "calm", "1")),
            CorpusError,
            r"1 file that the folder lacks, first b\.wav",
        ),
        (
            table(("a.wav", " ", "03")),
            CorpusError,
            "1 rows of the table have no emotion, first row 1",
        ),
        (table(("a.wav", None, "03")), CorpusError, "have no emotion"),
        (table(("a.wav", "sad", "")), CorpusError, "have no speaker"),
        (table(("../a.wav", "sad", "1")), CorpusError, "expected a path inside the folder"),
        (
            table(("/x/b.wav", "sad", "1")),
            CorpusError,
            r"1 file that the folder lacks, first /x/b\.wav",
        ),
        (table(("/x/../a.wav", "sad", "1")), CorpusError, "expected a path inside the folder"),
        (table(("a.wav", "grumpy", "1")), UnknownEmotion, "words: grumpy"),
        (table((*ROW, "x"), columns=(*COLUMNS[:3], "sex")), CorpusError, "for the sex: 'x'"),
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


@pytest.mark.parametrize("word", ["", None, "?", "N/A", "unknown"])
def test_an_unknown_sex_gives_way_to_a_known_one_of_the_same_speaker(word):
    rows = table(
        (*ROW, word),
        ("b.wav", "sad", "03", "f"),
        ("c.wav", "sad", "04", word),
        columns=(*COLUMNS[:3], "sex"),
    )
    labels = label_recordings(paths("a.wav", "b.wav", "c.wav"), table=rows)
    assert said(labels, "sex") == [("female",), ("female",), ("unknown",)]


@pytest.mark.parametrize(
    "word", ["N/A", "nan", "NA", "null", "none", "-", "?", "<NA>", "#N/A", "Unknown", " ", None]
)
def test_words_for_nothing_are_no_sentence_sex_or_intensity(word):
    columns = (*COLUMNS[:3], "sex", "intensity", "sentence")
    labels = label_recordings(paths("a.wav"), table=table((*ROW, *[word] * 3), columns=columns))
    assert said(labels, "sex", "intensity", "sentence") == [("unknown", "unspecified", "unknown")]
    with pytest.raises(CorpusError, match=r"no emotion|Unknown emotion words"):
        label_recordings(paths("a.wav"), table=table(("a.wav", word, "03")))


def test_what_the_table_does_not_say_a_pattern_may():
    rows = table(("x/anna_1.wav", "sad"), columns=("file", "emotion"))
    labels = label_recordings(paths("x/anna_1.wav"), table=rows, pattern="(?P<speaker>[a-z]+)_")
    assert said(labels, *COLUMNS[:3]) == [("x/anna_1.wav", "sadness", "anna")]
    with pytest.raises(CorpusError, match="Both the table and the pattern name the speaker"):
        label_recordings(paths("a.wav"), table=table(ROW), pattern="(?P<speaker>a)")


NFC, NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize("other", [NFD, f"{NFC} ", f"{NFC}\u00a0", f"\u200b{NFC}"])
def test_one_person_by_two_spellings_that_look_the_same_is_one_speaker(other):
    files = paths(f"angry/{NFC}/1.wav", f"sad/{other}/2.wav")
    assert set(label_recordings(files)["speaker"]) == {NFC}
    rows = table(("1.wav", "angry", NFC), ("2.wav", "sad", other))
    assert set(label_recordings(paths("1.wav", "2.wav"), table=rows)["speaker"]) == {NFC}
    found = label_recordings(
        paths(f"1_{NFC}_angry.wav", f"2_{other}_sad.wav"),
        pattern="_(?P<speaker>[^_]+)_(?P<emotion>[a-z]+)",
    )
    assert set(found["speaker"]) == {NFC}


@pytest.mark.parametrize(
    ("a", "b"), [("Anna", "anna"), ("Anna", "Ａnna"), ("Anna M", "AnnaM"), ("spk1", "spk_01")]
)
def test_two_spellings_that_may_be_one_person_are_a_question_with_both_answers(a, b):
    files = paths(f"angry/{a}/1.wav", f"sad/{b}/2.wav")
    rows = table(("1.wav", "angry", a), ("2.wav", "sad", b))
    with pytest.raises(CorpusError, match="differ by spelling alone") as caught:
        label_recordings(files)
    with pytest.raises(CorpusError, match="differ by spelling alone"):
        label_recordings(paths("1.wav", "2.wav"), table=rows)
    one, two = (
        yaml.safe_load(answer.strip(" .").removesuffix(", or"))["speaker"]
        for answer in str(caught.value).split("for one: ")[1].split(" for two: ")
    )
    assert label_recordings(files, speakers=one)["speaker"].nunique() == 1
    assert label_recordings(files, speakers=two)["speaker"].nunique() == 2


def test_words_and_sentences_are_one_whatever_their_spelling():
    rows = table(
        ("1.wav", "Colère", "a", "Féminin", "Il pleut", "Fort"),
        ("2.wav", "COLE\u0300RE ", "a", "fe\u0301minin", "il  pleut", "fort"),
        columns=("file", "emotion", "speaker", "sex", "sentence", "intensity"),
    )
    labels = label_recordings(paths("1.wav", "2.wav"), table=rows, mapping={"colère": "anger"})
    assert (
        said(labels, "emotion", "sex", "sentence", "intensity")
        == [("anger", "female", "Il pleut", "Fort")] * 2
    )


def test_codes_of_the_sexes_need_a_mapping():
    rows = table((*ROW, "2"), columns=(*COLUMNS[:3], "sex"))
    with pytest.raises(CorpusError, match=r"for the sex: '2'.*sex: \{'2': SEX\}"):
        label_recordings(paths("a.wav"), table=rows)
    labels = label_recordings(paths("a.wav"), table=rows, sexes={"2": "male"})
    assert labels["sex"].item() == "male"


def test_a_pattern_names_the_emotion_that_a_file_s_name_holds():
    labels = label_recordings(
        paths("anna/03_W_1.wav", "ben/04_T_1.wav"),
        pattern=r"_(?P<emotion>[A-Z])_(?P<sentence>\d)",
        mapping={"W": "anger", "T": "sadness"},
    )
    assert said(labels, "emotion", "speaker", "sentence") == [
        ("anger", "anna", "1"),
        ("sadness", "ben", "1"),
    ]


def test_all_problems_are_counted():
    with pytest.raises(CorpusError, match=r"^2 problems; first: angry/1\.wav has no folder"):
        label_recordings(paths("angry/1.wav", "angry/2.wav", "calm/ben/1.wav"))
    with pytest.raises(CorpusError, match=r"^2 problems; first: The pattern"):
        label_recordings(paths("angry/1.wav", "sad/2.wav"), pattern="(?P<speaker>x)")


def test_control_characters_are_no_name():
    rows = table(("a.wav", "sad", "an\x1b[2Jna"))
    with pytest.raises(CorpusError, match=r"speaker hold control characters.*'an\\x1b\[2Jna'"):
        label_recordings(paths("a.wav"), table=rows)
