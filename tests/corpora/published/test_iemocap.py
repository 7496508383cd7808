from collections import Counter
from pathlib import Path

import pytest

from ser.corpora.base import Labels
from ser.corpora.catalogue import label_files, list_recordings
from ser.corpora.published.iemocap import EMOTION_CODES, IEMOCAP, evaluations
from ser.errors import CorpusError, MissingCorpus, UnknownEmotion

TURNS = {
    "Ses01F_impro01": {"Ses01F_impro01_F000": "neu", "Ses01F_impro01_M000": "fru"},
    "Ses01M_script01_1": {"Ses01M_script01_1_F000": "xxx", "Ses01M_script01_1_M000": "exc"},
    "Ses03M_impro08b": {"Ses03M_impro08b_M000": "oth"},
    "Ses05M_script01_1b": {"Ses05M_script01_1b_F012": "sad"},
}


def release(folder: Path, turns=TURNS) -> Path:
    """IEMOCAP_full_release with these dialogues, and what else lies around in it."""
    for dialogue, codes in turns.items():
        session = folder / "IEMOCAP_full_release" / f"Session{dialogue[4]}"
        for turn in codes:
            touch(session / "sentences" / "wav" / dialogue / f"{turn}.wav")
            touch(session / "sentences" / "wav" / dialogue / f"._{turn}.wav")
        touch(session / "dialog" / "wav" / f"{dialogue}.wav")
        evaluation = session / "dialog" / "EmoEvaluation"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for number, (turn, code) in enumerate(codes.items()):
            lines += [
                f"[{number}.2901 - {number + 2}.2357]\t{turn}\t{code}\t[2.5000, 2.5000, 2.5000]",
                "C-E2:\tNeutral;\t()",
                "C-F1:\tNeutral; Frustration;\t()",
                "A-E3:\tval 3; act 2; dom  2;\t()",
                "",
            ]
        write(evaluation / f"{dialogue}.txt", "\n".join(lines))
        (evaluation / f"._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07Mac OS X\xff[")
        write(
            evaluation / "Categorical" / f"{dialogue}_e1_cat.txt",
            "".join(f"{turn} :Anger; ()\n" for turn in codes),
        )
    return folder


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_turn_is_labelled_by_its_dialogue_s_evaluation(tmp_path):
    labels = {file.stem: label for file, label in label_files(release(tmp_path), IEMOCAP).items()}
    assert labels["Ses01F_impro01_M000"] == Labels(
        speaker="Ses01M",
        sex="male",
        emotion="frustration",
        intensity="unspecified",
        sentence="impro01",
    )
    assert labels["Ses05M_script01_1b_F012"].speaker == "Ses05F"
    assert labels["Ses05M_script01_1b_F012"].sentence == "script01_1b"


def test_without_a_majority_there_is_no_label(tmp_path):
    folder = release(tmp_path)
    assert len(list_recordings(folder, IEMOCAP)) == 6
    labelled = {file.stem for file in label_files(folder, IEMOCAP)}
    assert labelled == {
        "Ses01F_impro01_F000",
        "Ses01F_impro01_M000",
        "Ses01M_script01_1_M000",
        "Ses05M_script01_1b_F012",
    }


def test_one_session_s_folder_can_be_named(tmp_path):
    session = release(tmp_path) / "IEMOCAP_full_release" / "Session1"
    assert len(label_files(session, IEMOCAP)) == 3


def test_the_files_to_keep_are_those_that_labels_come_from(tmp_path):
    folder = release(tmp_path)
    kept = {path for pattern in IEMOCAP.labelling for path in folder.glob(pattern)}
    for path in folder.rglob("*.txt"):
        if path not in kept:
            path.unlink()
    assert len(label_files(folder, IEMOCAP)) == 4
    assert not any("Categorical" in path.parts for path in kept)


def test_each_session_has_its_woman_and_its_man(tmp_path):
    turns = {
        f"Ses0{s}{worn}_impro01": {
            f"Ses0{s}{worn}_impro01_{spoken}{n:03d}": code
            for n, code in enumerate(EMOTION_CODES)
            for spoken in "FM"
        }
        for s in range(1, 6)
        for worn in "FM"
    }
    labels = label_files(release(tmp_path, turns), IEMOCAP)
    assert len(labels) == 5 * 2 * 9 * 2
    people = Counter((label.speaker, label.sex) for label in labels.values())
    assert len(people) == IEMOCAP.speakers
    assert all(sex == {"F": "female", "M": "male"}[speaker[-1]] for speaker, sex in people)
    assert set(people.values()) == {18}
    assert {label.emotion for label in labels.values()} == set(EMOTION_CODES.values())


def test_a_turn_that_nobody_evaluated_is_an_error_but_for_the_published_kind(tmp_path):
    folder = release(tmp_path)
    wav = folder / "IEMOCAP_full_release/Session1/sentences/wav/Ses01F_impro01"
    (wav / "Ses01F_impro01_MXX0.wav").touch()
    assert len(label_files(folder, IEMOCAP)) == 4
    (wav / "Ses01F_impro01_M001.wav").touch()
    with pytest.raises(CorpusError, match=r"M001\.wav is in no dialog/EmoEvaluation"):
        label_files(folder, IEMOCAP)


def test_dialogues_alone_are_no_recordings(tmp_path):
    touch(tmp_path / "Session1/dialog/wav/Ses01F_impro01.wav")
    with pytest.raises(MissingCorpus, match="holds no recordings"):
        label_files(tmp_path, IEMOCAP)


def test_what_does_not_fit_is_named(tmp_path):
    turns = {"Ses01F_impro01": {"Ses01F_impro01_F000": "joy"}}
    with pytest.raises(UnknownEmotion, match="emotion code joy; IEMOCAP defines neu neutral"):
        label_files(release(tmp_path / "a", turns), IEMOCAP)
    touch(release(tmp_path / "b") / "IEMOCAP_full_release/Session1/sentences/wav/x/anger.wav")
    with pytest.raises(CorpusError, match="not a name of IEMOCAP"):
        label_files(tmp_path / "b", IEMOCAP)
    folder = release(tmp_path / "c")
    write(folder / "Session9/dialog/EmoEvaluation/x.txt", "[6.2901 - 8.2357] Ses01F neu\n")
    with pytest.raises(CorpusError, match="expected a line such as"):
        evaluations(folder)


def test_two_copies_of_the_release_are_refused(tmp_path):
    folder = release(tmp_path)
    release(tmp_path / "again")
    with pytest.raises(CorpusError, match="are one recording"):
        label_files(folder, IEMOCAP)
    other = {"Ses01F_impro01": {"Ses01F_impro01_F000": "ang"}}
    release(tmp_path / "again", other)
    with pytest.raises(CorpusError, match="labels Ses01F_impro01_F000"):
        evaluations(folder)
