"""`ser audit` on folders that people might have."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from ser.audit import audit_folder, label_folder, lines
from ser.errors import CorpusError
from ser.io.intake.own import add_own, prepare_own
from ser.io.storage.copies import find_copies
from support.spoken import SR, spoken_in


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """EMOTION/SPEAKER/x.wav: three emotions, four speakers, two sentences."""
    return spoken_in(tmp_path_factory.mktemp("calls"))


@pytest.fixture
def folder(spoken, tmp_path):
    shutil.copytree(spoken, tmp_path / "calls")
    return tmp_path / "calls"


def test_a_clean_folder_is_clean_and_a_random_split_is_measured(folder):
    found = audit_folder(folder)
    assert found.is_clean
    assert found.corpus == "folder"
    assert found.to_dict()["speakers"] == 4
    assert found.to_dict()["emotions"] == {"anger": 8, "sadness": 8, "neutral": 8}
    assert found.inflation.folds == 4
    assert found.inflation.chance == pytest.approx(1 / 3)
    json.dumps(found.to_dict())
    assert any("A random split would claim UAR" in line for line in lines(found))


def test_copies_under_other_names_speakers_and_labels_are_named(folder):
    first, second = sorted(folder.glob("angry/*/*.wav"))[:2]
    shutil.copy(first, folder / "angry" / "spk03" / "copy.wav")
    y, sr = soundfile.read(second)
    target = folder / "sad" / second.parent.name / "softer.ogg"
    soundfile.write(target, 0.4 * np.pad(y, 1_000), sr, format="OGG", subtype="OPUS")
    found = audit_folder(folder, measure=False)
    assert sorted(found.copies["kind"]) == ["alike", "bytes"]
    assert len(found.crossing) == 1
    assert len(found.relabelled) == 1
    said = "\n".join(lines(found))
    assert "copy.wav (same bytes, but another speaker)" in said
    assert "softer.ogg" in said
    assert "but another emotion" in said
    assert not found.is_clean


def test_a_recording_is_no_copy_of_what_merely_has_its_fingerprint(folder):
    """Candidates are read again, and decided by their samples."""
    table = audit_folder(folder, measure=False).table
    same = table["fingerprint"].iloc[[0] * len(table)].reset_index(drop=True)
    assert find_copies(folder, table.head(4), same.head(4)).empty


def test_sentences_that_nobody_names_are_not_counted(folder):
    found = audit_folder(folder, measure=False)
    assert found.to_dict()["sentences"] == 0
    assert found.to_dict()["sentence_unknown"] == 1.0
    assert "sentences unknown" in lines(found)[0]


def test_unreadable_recordings_are_listed_and_the_others_audited(folder):
    victim = next(folder.rglob("*.wav"))
    victim.write_bytes(victim.read_bytes()[:2000])
    found = audit_folder(folder, measure=False)
    assert len(found.table) == 23
    assert victim.name in found.unreadable[0]
    assert "breaks off" in found.unreadable[0]


def test_a_published_corpus_is_known_by_its_names(tmp_path):
    path = tmp_path / "wav" / "03a01Fa.wav"
    path.parent.mkdir()
    soundfile.write(path, np.sin(np.arange(SR) / 20), SR)
    name, labels, unlabelled = label_folder(tmp_path, None, {}, [])
    assert (name, unlabelled) == ("emodb", 0)
    assert [label.emotion for label in labels.values()] == ["happiness"]


def test_what_nobody_can_label_says_what_was_tried(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(SR), SR)
    with pytest.raises(CorpusError, match=r"not named as those of synthetic, ravdess.*EMOTION/"):
        audit_folder(tmp_path)


def test_own_words_and_speakers_can_be_described_as_for_adding(spoken, tmp_path):
    wavs = sorted(spoken.rglob("*.wav"))
    for wav in wavs:
        word = {"angry": "cross"}.get(wav.parts[-3], wav.parts[-3])
        target = tmp_path / "calls" / word / f"{wav.parent.name}-{wav.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(wav, target)
    mapping = tmp_path / "words.yaml"
    mapping.write_text("cross: anger\n")
    described = {"mapping": mapping, "pattern": r"(?P<speaker>spk\d+)-"}
    found = audit_folder(tmp_path / "calls", described=described, measure=False).to_dict()
    assert found["speakers"] == 4
    assert found["emotions"] == {"anger": 8, "sadness": 8, "neutral": 8}


def test_columns_and_files_that_are_not_read_are_named_once(folder):
    wavs = [wav.relative_to(folder) for wav in sorted(folder.rglob("*.wav"))]
    rows = [f"{wav},{wav.parts[0]},{wav.parts[1]},7" for wav in wavs]
    (folder / "t.csv").write_text("\n".join(["file,emotion,speaker,age", *rows]))
    described = {"table": folder / "t.csv"}
    said = "\n".join(lines(audit_folder(folder, described=described, measure=False)))
    assert "note: Columns that are not read: age." in said
    assert "Not read:" not in said.replace("not read:", "")
    (folder / "other.csv").write_text("x")
    found = audit_folder(folder, described=described, measure=False)
    assert [note for note in found.notes if note.startswith("Not read")] == ["Not read: 1 .csv."]


def test_one_speaker_leaves_nothing_to_compare(folder):
    for path in folder.rglob("*.wav"):
        if path.parent.name != "spk01":
            path.unlink()
    assert audit_folder(folder).inflation is None


def test_an_own_corpus_is_audited_by_the_labels_that_it_came_in_with(folder, tmp_path):
    words = tmp_path / "words.yaml"
    words.write_text("angry: fear\n")
    own = prepare_own(folder, mapping=words, facts={"title": "calls"})
    add_own(own, folder, tmp_path / "raw" / "mine")
    found = audit_folder(tmp_path / "raw" / "mine", measure=False)
    assert found.corpus == "mine"
    assert found.to_dict()["emotions"] == {"fear": 8, "sadness": 8, "neutral": 8}
    assert found.notes == ()


def ravdess(folder, *names):
    t = np.arange(SR) / 20
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(t * (1 + number / 7)) * np.hanning(SR), SR)


RAVDESS = [f"Actor_01/03-01-0{emotion}-01-01-01-01.wav" for emotion in range(1, 7)]


@pytest.mark.parametrize(
    ("stray", "message"),
    [
        ("notes.wav", r"6 of 7 names .*notes\.wav is not a name of RAVDESS"),
        ("02-01-05-01-01-01-01.wav", r"6 of 7 names .*has modality 02; only audio"),
    ],
)
def test_one_stray_file_does_not_hide_which_corpus_it_is(tmp_path, stray, message):
    ravdess(tmp_path, *RAVDESS, stray)
    with pytest.raises(CorpusError, match=rf"looks like ravdess .{message}"):
        audit_folder(tmp_path)


def test_a_doubled_folder_is_a_finding(tmp_path):
    ravdess(tmp_path, *RAVDESS)
    shutil.copytree(tmp_path / "Actor_01", tmp_path / "copy" / "Actor_01")
    found = audit_folder(tmp_path, measure=False)
    assert (found.corpus, len(found.table)) == ("ravdess", 12)
    assert (found.copies["kind"] == "bytes").sum() == 6
    assert any("6 recordings stand twice by their names" in note for note in found.notes)


def test_what_an_audit_does_not_read_is_counted(folder, tmp_path):
    (folder / "talk.wma").write_bytes(b"x")
    (folder / "film.mp4").write_bytes(b"x")
    (tmp_path / "passwd").write_text("root")
    (folder / "angry" / "spk01" / "x.wav").symlink_to(tmp_path / "passwd")
    said = "\n".join(lines(audit_folder(folder, measure=False)))
    assert "1 .wma" in said
    assert "1 .mp4" in said
    assert "1 recordings are links out of the folder, first angry/spk01/x.wav" in said


@pytest.mark.parametrize("keep", ["angry/spk01/*", "angry/*/*", "*/spk01/*"])
def test_a_folder_that_is_too_small_to_measure_is_audited_all_the_same(folder, keep):
    kept = set(folder.glob(keep))
    for path in set(folder.rglob("*.wav")) - kept:
        path.unlink()
    found = audit_folder(folder)
    assert found.inflation is None
    assert any("is not known: Found" in line for line in lines(found))
