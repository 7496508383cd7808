"""New recordings come in by themselves, and those that are unfit are refused by name."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.corpora.catalogue import corpus_named, list_recordings
from ser.errors import CorpusError
from ser.inbox import taking as inbox
from ser.inbox.corrections import Inbox
from ser.params import FeatureParams
from support.signals import voice

SR = 16_000
FEATURES = FeatureParams()


@pytest.fixture(autouse=True)
def dvc(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is put under DVC: DVC itself is tried where a tick is."""
    added: list[Path] = []
    monkeypatch.setattr("ser.io.intake.dvc.add", lambda root, path: added.append(path))
    return added


def speak(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice(seconds=1.0, seed=seed), SR)


def arrive(root: Path, rows: dict[str, tuple[str, str]], name: str = "calls") -> Path:
    """Recordings and their table: path -> emotion, speaker."""
    folder = root / "data/inbox" / name
    for number, file in enumerate(rows):
        speak(folder / file, seed=100 * len(rows) + number)
    lines = ["file,emotion,speaker", *(f"{file},{','.join(row)}" for file, row in rows.items())]
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def take(root: Path, name: str = "calls") -> inbox.Taken:
    return inbox.take_in(root, name, features=FEATURES, settle_seconds=0.0)


def there(root: Path, name: str = "calls") -> set[str]:
    raw = root / "data/raw"
    return {str(f) for f in list_recordings(raw / name, corpus_named(name, raw))}


GOOD = {f"{i}.wav": (("anger", "fear")[i % 2], f"s{i % 3}") for i in range(6)}


def test_what_is_fit_comes_in_and_each_bad_recording_is_refused_by_name(tmp_path, dvc):
    folder = arrive(
        tmp_path,
        {
            **GOOD,
            "word.wav": ("grumpy", "s1"),
            "nobody.wav": ("anger", ""),
            "broken.wav": ("anger", "s1"),
            "silent.wav": ("anger", "s1"),
            "short.wav": ("anger", "s1"),
            "double.wav": ("anger", "s1"),
        },
    )
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(40))
    soundfile.write(folder / "silent.wav", np.zeros(SR), SR)
    soundfile.write(folder / "short.wav", voice(seconds=1.0)[:100], SR)
    shutil.copy(folder / "0.wav", folder / "double.wav")
    speak(folder / "unlisted.wav", seed=77)

    taken = take(tmp_path)

    assert taken.added == len(GOOD), taken.refused
    assert there(tmp_path) == set(GOOD)
    assert dvc == [Path("data/raw/calls")]
    reasons = {one.file: one.reason for one in taken.refused}
    assert reasons == {
        "word.wav": "label",
        "nobody.wav": "label",
        "unlisted.wav": "label",
        "broken.wav": reasons["broken.wav"],
        "silent.wav": reasons["silent.wav"],
        "short.wav": "too short",
        "double.wav": "copy",
    }
    assert all(one.file in one.why for one in taken.refused)
    assert not folder.exists()
    (kept,) = (tmp_path / "data/inbox/refused/calls").iterdir()
    with (kept / "refused.csv").open(encoding="utf-8") as table:
        assert {row["file"] for row in csv.DictReader(table)} == set(reasons)
    assert (kept / "word.wav").exists()
    assert inbox.waiting(tmp_path) == []


def test_a_corpus_grows_and_what_it_has_already_is_no_news(tmp_path):
    arrive(tmp_path, GOOD)
    take(tmp_path)
    folder = arrive(tmp_path, {"new.wav": ("anger", "s9")})
    for file in GOOD:
        shutil.copy(tmp_path / "data/raw/calls" / file, folder / file)
    rows = [f"{file},{','.join(row)}" for file, row in GOOD.items()]
    with (folder / "labels.csv").open("a", encoding="utf-8") as table:
        table.write("\n" + "\n".join(rows))

    taken = take(tmp_path)

    assert (taken.added, taken.refused) == (1, ())
    assert there(tmp_path) == {*GOOD, "new.wav"}


def test_after_a_kill_between_corpus_and_inbox_the_next_time_finishes(tmp_path, monkeypatch):
    arrive(tmp_path, GOOD)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_clear", killed)
        with pytest.raises(KeyboardInterrupt):
            take(tmp_path)
    assert inbox.waiting(tmp_path) == ["calls"]

    taken = take(tmp_path)

    assert (taken.added, taken.refused) == (0, ())
    assert there(tmp_path) == set(GOOD)
    assert inbox.waiting(tmp_path) == []


def test_folders_name_the_labels_where_there_is_no_table(tmp_path):
    for emotion, speaker in (("anger", "a"), ("fear", "b"), ("sulky", "b")):
        speak(tmp_path / "data/inbox/calls" / emotion / speaker / "1.wav", seed=ord(emotion[0]))
    taken = take(tmp_path)
    assert taken.added == 2
    assert [(one.file, one.reason) for one in taken.refused] == [("sulky/b/1.wav", "label")]


def test_a_folder_that_still_changes_waits(tmp_path):
    folder = arrive(tmp_path, GOOD)
    taken = inbox.take_in(tmp_path, "calls", features=FEATURES, settle_seconds=60.0)
    assert taken.waits
    assert folder.exists()
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (0, 0))
    assert inbox.take_in(tmp_path, "calls", features=FEATURES, settle_seconds=60.0).added == 6


def test_a_table_that_is_wrong_itself_is_one_error_and_all_stays(tmp_path):
    folder = arrive(tmp_path, GOOD)
    (folder / "labels.csv").write_text("path,feeling\n0.wav,anger\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="lacks"):
        take(tmp_path)
    assert inbox.waiting(tmp_path) == ["calls"]
    assert not (tmp_path / "data/raw/calls").exists()


def test_a_name_that_no_corpus_may_have_is_one_error(tmp_path):
    arrive(tmp_path, GOOD, name="My Calls")
    with pytest.raises(CorpusError, match="Rename it"):
        take(tmp_path, "My Calls")


def test_corrections_and_refused_recordings_are_no_corpora(tmp_path):
    place = tmp_path / "data/inbox"
    Inbox(place, days=30, megabytes=1).store("0" * 32, {"label": "anger"}, b"RIFF")
    (place / "refused/calls/1").mkdir(parents=True)
    (place / "refused/calls/1/refused.csv").write_text("file\n", encoding="utf-8")
    (place / "empty").mkdir()
    assert inbox.waiting(tmp_path) == []


def test_the_server_deletes_no_recordings_of_a_corpus(tmp_path):
    folder = arrive(tmp_path, GOOD)
    box = Inbox(tmp_path / "data/inbox", days=30, megabytes=1)
    box.store("0" * 32, {"label": "anger"}, None)
    for path in (folder, tmp_path / "data/inbox" / ("0" * 32)):
        os.utime(path, (0, 0))
    assert box.purge() == 1
    assert (folder / "0.wav").exists()


def test_an_unfit_recording_of_a_published_corpus_stays_out(tmp_path):
    """Its name has the labels, so it would come in with the others."""
    folder = tmp_path / "data/inbox/ravdess"
    for take_ in ("01", "02"):
        speak(folder / f"Actor_01/03-01-05-01-01-{take_}-01.wav", seed=int(take_))
    soundfile.write(folder / "Actor_01/03-01-04-01-01-01-01.wav", np.zeros(SR), SR)
    speak(folder / "Actor_01/notes.wav", seed=9)
    taken = take(tmp_path, "ravdess")
    assert taken.added == 2
    assert {one.file for one in taken.refused} == {
        "Actor_01/03-01-04-01-01-01-01.wav",
        "Actor_01/notes.wav",
    }
    assert len(list((tmp_path / "data/raw/ravdess").rglob("*.wav"))) == 2


def test_a_long_recording_comes_in_by_its_segments_and_an_unfit_one_keeps_it_out(tmp_path):
    folder = tmp_path / "data/inbox/calls"
    folder.mkdir(parents=True)
    for name, quiet in (("good.wav", False), ("bad.wav", True)):
        y = np.tile(voice(seconds=1.0, seed=len(name)), 400)
        y[: 2 * SR] = 0.0 if quiet else y[: 2 * SR]
        soundfile.write(folder / name, y, SR)
    rows = ["file,emotion,speaker,start,end"]
    rows += [f"{name},anger,s1,0,2\n{name},fear,s2,2,4" for name in ("good.wav", "bad.wav")]
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    taken = take(tmp_path)
    assert there(tmp_path) == {"good.wav"}
    assert [one.file for one in taken.refused] == ["bad.wav"]


def test_what_disagrees_with_the_corpus_is_refused_and_the_others_come_in(tmp_path):
    arrive(tmp_path, GOOD)
    take(tmp_path)
    rows = {"0.wav": ("anger", "s0"), "1.wav": ("anger", "s1"), "new.wav": ("fear", "s2")}
    folder = arrive(tmp_path, rows)
    # 0.wav is another recording of that name; 1.wav has another label than it had.
    shutil.copy(tmp_path / "data/raw/calls/1.wav", folder / "1.wav")
    taken = take(tmp_path)
    assert there(tmp_path) == {*GOOD, "new.wav"}
    assert {one.file: one.reason for one in taken.refused} == {"0.wav": "name", "1.wav": "label"}


def test_what_arrives_amid_the_work_waits_for_the_next_time(tmp_path, monkeypatch):
    folder = arrive(tmp_path, {**GOOD, "word.wav": ("grumpy", "s1")})
    bring = inbox._bring

    def slowly(*arguments: object) -> object:
        speak(folder / "late.wav", seed=5)
        with (folder / "labels.csv").open("a", encoding="utf-8") as table:
            table.write("\nlate.wav,fear,s1")
        return bring(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_bring", slowly)
        taken = take(tmp_path)
    assert (taken.added, [one.file for one in taken.refused]) == (len(GOOD), ["word.wav"])
    assert inbox.waiting(tmp_path) == ["calls"]
    assert take(tmp_path).added == 1
    assert there(tmp_path) == {*GOOD, "late.wav"}
    assert inbox.waiting(tmp_path) == []
