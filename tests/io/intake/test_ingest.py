import errno
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from ser.corpora.base import Labels, recordings_digest
from ser.corpora.published.ravdess import RAVDESS
from ser.errors import CorpusError, MissingCorpus, UnknownEmotion
from ser.files import one_at_a_time
from ser.io.intake.checksums import SUMS, Changes, changed
from ser.io.intake.ingest import Ingested, ingest, unpacked

NAMES = ("Actor_01/03-01-01-01-01-01-01.wav", "Actor_02/03-01-05-02-01-01-02.wav")
NEW = "Actor_02/03-01-06-02-01-01-02.wav"


@pytest.fixture
def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1600), 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path, wav):
    for name in (*NAMES, "Actor_01/._03-01-01-01-01-01-01.wav", "readme.txt"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav)
    return tmp_path / "source"


def taken(dest):
    return sorted(p.relative_to(dest).as_posix() for p in dest.rglob("*") if p.is_file())


def test_a_folder_s_recordings_come_in_and_nothing_else(tmp_path, folder):
    assert ingest(folder, tmp_path / "raw", RAVDESS) == Ingested(added=2, total=2)
    assert taken(tmp_path / "raw") == sorted([*NAMES, SUMS])


def test_zip_and_tar_give_the_same_recordings(tmp_path, folder, wav):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    for source in ("a.zip", "a.tar.gz"):
        dest = tmp_path / f"raw-{source}"
        ingest(tmp_path / source, dest, RAVDESS)
        assert taken(dest) == sorted([*NAMES, SUMS])
        assert (dest / NAMES[0]).read_bytes() == wav


def test_one_unknown_code_and_nothing_comes_in(tmp_path, folder, wav):
    (folder / "03-01-99-01-01-01-01.wav").write_bytes(wav)
    with pytest.raises(UnknownEmotion, match="emotion code 99"):
        ingest(folder, tmp_path / "raw", RAVDESS)
    assert not (tmp_path / "raw").exists()
    # The lock stays, empty and ignored by git.
    assert sorted(p.name for p in tmp_path.iterdir()) == [".raw.lock.tmp", "source"]


def test_a_byte_flipped_in_a_packed_archive_is_noticed(tmp_path, folder):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    packed = bytearray((tmp_path / "a.tar.gz").read_bytes())
    # The last eight bytes are the checksum and the length of what was packed.
    packed[-8] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(packed)
    with pytest.raises(CorpusError, match="is damaged"):
        ingest(tmp_path / "a.tar.gz", tmp_path / "raw", RAVDESS)
    assert not (tmp_path / "raw").exists()


def test_new_recordings_are_added_and_those_here_are_left_alone(tmp_path, folder, wav):
    raw = tmp_path / "raw"
    ingest(folder, raw, RAVDESS)
    inode = (raw / NAMES[0]).stat().st_ino
    (folder / NEW).write_bytes(wav + b"new")
    assert ingest(folder, raw, RAVDESS) == Ingested(added=1, total=3)
    assert taken(raw) == sorted([*NAMES, NEW, SUMS])
    assert (raw / NAMES[0]).stat().st_ino == inode
    assert changed(raw) == Changes()
    assert ingest(folder, raw, RAVDESS) == Ingested(added=0, total=3)


def test_other_bytes_at_the_same_path_are_refused(tmp_path, folder, wav):
    raw = tmp_path / "raw"
    ingest(folder, raw, RAVDESS)
    before = (raw / SUMS).read_text()
    (folder / NAMES[0]).write_bytes(wav + b"x")
    (folder / NEW).write_bytes(wav)
    with pytest.raises(CorpusError, match=r"01-01-01.wav of .* has other bytes .*1 such files"):
        ingest(folder, raw, RAVDESS)
    assert taken(raw) == sorted([*NAMES, SUMS])
    assert (raw / NAMES[0]).read_bytes() == wav
    assert (raw / SUMS).read_text() == before


def test_what_was_damaged_or_deleted_is_restored_by_a_source_that_has_it(tmp_path, folder, wav):
    raw = tmp_path / "raw"
    ingest(folder, raw, RAVDESS)
    before = (raw / SUMS).read_text()
    (raw / NAMES[0]).write_bytes(wav[:-1] + b"x")
    (raw / NAMES[1]).unlink()
    assert ingest(folder, raw, RAVDESS).added == 0
    assert (raw / NAMES[0]).read_bytes() == wav
    assert changed(raw) == Changes()
    assert (raw / SUMS).read_text() == before


@pytest.mark.parametrize("how", ["damaged", "deleted"])
def test_damage_that_the_source_cannot_mend_is_not_blessed(tmp_path, folder, wav, how):
    raw = tmp_path / "raw"
    ingest(folder, raw, RAVDESS)
    if how == "damaged":
        (raw / NAMES[0]).write_bytes(wav[:-1] + b"x")
    else:
        (raw / NAMES[0]).unlink()
    before = taken(raw)
    more = tmp_path / "more"
    (more / NEW).parent.mkdir(parents=True)
    (more / NEW).write_bytes(wav)
    with pytest.raises(CorpusError, match=r"came in with .1 such files.*ser corpus verify raw"):
        ingest(more, raw, RAVDESS)
    assert taken(raw) == before


def test_files_that_dvc_links_into_its_cache_are_never_written_through(tmp_path, folder, wav):
    raw, cache = tmp_path / "raw", tmp_path / "cache"
    labelled = replace(RAVDESS, labelling=("labels.csv",))
    (folder / "labels.csv").write_text("old")
    ingest(folder, raw, labelled)
    cache.mkdir()
    for name in (*NAMES, "labels.csv", SUMS):
        held = cache / name.replace("/", "_")
        (raw / name).rename(held)
        held.chmod(0o444)
        # NAMES[0] as a symlink, the others as hard links: DVC makes either.
        (raw / name).symlink_to(held) if name == NAMES[0] else (raw / name).hardlink_to(held)
    before = {path: path.read_bytes() for path in cache.iterdir()}
    (folder / "labels.csv").write_text("new")
    (folder / NEW).write_bytes(wav)
    assert ingest(folder, raw, labelled) == Ingested(added=1, total=3)
    assert {path: path.read_bytes() for path in cache.iterdir()} == before
    assert (raw / "labels.csv").read_text() == "new"
    assert (raw / NAMES[0]).is_symlink()
    assert changed(raw) == Changes()


def test_label_files_come_in_and_may_only_grow(tmp_path, wav):
    def label(folder, files):
        emotions = dict(line.split(",") for line in (folder / "labels.csv").read_text().split())
        return {
            file: Labels("1", "female", emotions[file.name], "a", "normal")
            for file in files
            if file.name in emotions
        }

    corpus = replace(RAVDESS, label=label, labelling=("labels.csv",))
    source, raw = tmp_path / "source", tmp_path / "raw"
    source.mkdir()
    (source / "a.wav").write_bytes(wav)
    (source / "b.wav").write_bytes(wav)
    (source / "labels.csv").write_text("a.wav,anger\n")
    ingest(source, raw, corpus)
    # A recording without a label comes in too: the stage `manifest` counts it.
    assert taken(raw) == [SUMS, "a.wav", "b.wav", "labels.csv"]
    (source / "labels.csv").write_text("a.wav,fear\nb.wav,anger\n")
    with pytest.raises(CorpusError, match=r"labels a.wav otherwise"):
        ingest(source, raw, corpus)
    (source / "labels.csv").write_text("a.wav,anger\nb.wav,anger\n")
    assert ingest(source, raw, corpus) == Ingested(added=0, total=2)
    (source / "c.wav").write_bytes(wav)
    assert ingest(source, raw, corpus) == Ingested(added=1, total=3)
    assert changed(raw) == Changes()


def test_labels_that_the_caller_made_come_in_beside_the_recordings(tmp_path, folder, wav):
    raw = tmp_path / "raw"
    (folder / "labels.csv").write_text("the user's")
    own = replace(RAVDESS, labelling=("labels.csv",))
    ingest(folder, raw, own, notes={"labels.csv": b"two"})
    assert (raw / "labels.csv").read_bytes() == b"two"
    (folder / NEW).write_bytes(wav)
    grown = ingest(folder, raw, own, notes={"labels.csv": b"three"})
    assert grown == Ingested(added=1, total=3)
    assert (raw / "labels.csv").read_bytes() == b"three"
    assert changed(raw) == Changes()


def test_label_files_are_found_below_any_folders(tmp_path, folder):
    path = folder / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.parent.mkdir(parents=True)
    path.write_text("labels")
    corpus = replace(RAVDESS, labelling=("**/dialog/EmoEvaluation/*.txt",))
    for source in (folder, folder / "Session1"):
        (source / "03-01-01-01-01-01-03.wav").write_bytes(b"x")
        ingest(source, tmp_path / source.name, corpus)
        assert any(name.endswith("Ses01F_impro01.txt") for name in taken(tmp_path / source.name))


def test_recordings_other_than_published_come_in_by_add_only(tmp_path, folder, wav):
    sums = [(name, hashlib.sha256(wav).hexdigest()) for name in NAMES]
    published = replace(RAVDESS, utterances=2, digest=recordings_digest(sums))
    ingest(folder, tmp_path / "raw", published, as_published=True)
    (folder / NAMES[0]).write_bytes(wav + b"x")
    with pytest.raises(CorpusError, match=r"2 recordings, as many .* `ser corpus add ravdess"):
        ingest(folder, tmp_path / "raw2", published, as_published=True)
    (folder / NAMES[0]).unlink()
    with pytest.raises(CorpusError, match="holds 1 recordings; 2 are published"):
        ingest(folder, tmp_path / "raw2", published, as_published=True)
    assert not (tmp_path / "raw2").exists()
    ingest(folder, tmp_path / "raw2", published)


def test_two_names_that_fall_together_are_refused(tmp_path, folder, wav):
    (folder / "actor_01").mkdir()
    (folder / "actor_01/03-01-02-01-01-01-01.wav").write_bytes(wav)
    with pytest.raises(CorpusError, match="differ only by case or Unicode form"):
        ingest(folder, tmp_path / "raw", RAVDESS)
    (folder / "Actor_01").rename(tmp_path / "Actor_01")
    ingest(folder, tmp_path / "raw", RAVDESS)
    (tmp_path / "more").mkdir()
    (tmp_path / "Actor_01").rename(tmp_path / "more/Actor_01")
    # Also against what is here already.
    with pytest.raises(CorpusError, match="differ only by case or Unicode form"):
        ingest(tmp_path / "more", tmp_path / "raw", RAVDESS)


def test_a_git_lfs_pointer_is_no_recording(tmp_path, folder):
    (folder / NAMES[0]).write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    )
    with pytest.raises(CorpusError, match="is a Git LFS pointer"):
        ingest(folder, tmp_path / "raw", RAVDESS)


def test_a_kill_while_a_corpus_is_swapped_loses_nothing(tmp_path, folder, wav):
    raw = tmp_path / "raw"
    ingest(folder, raw, RAVDESS)
    # As it stands between the two renames.
    raw.rename(tmp_path / ".raw.before.tmp")
    (tmp_path / ".raw.ingest.tmp" / "build").mkdir(parents=True)
    (folder / NEW).write_bytes(wav)
    assert ingest(folder, raw, RAVDESS) == Ingested(added=1, total=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".raw.lock.tmp", "raw", "source"]


def test_two_commands_do_not_change_one_corpus_at_once(tmp_path, folder):
    with (
        one_at_a_time(tmp_path / "raw"),
        pytest.raises(CorpusError, match="Another command is changing"),
    ):
        ingest(folder, tmp_path / "raw", RAVDESS)


def test_what_is_no_corpus_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr(NAMES[0], b"x" * 10_000)
    with zipfile.ZipFile(tmp_path / "bent.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAMES[0], bytes(range(256)) * 40)
    packed = bytearray((tmp_path / "bent.zip").read_bytes())
    packed[100:140] = b"\xff" * 40
    (tmp_path / "bent.zip").write_bytes(packed)
    whole = (tmp_path / "cut.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:200] + bytes(400) + whole[600:])
    for name, error, message in [
        ("none", MissingCorpus, "does not exist"),
        ("empty", MissingCorpus, "holds no recordings"),
        ("file.txt", CorpusError, "neither a folder nor"),
        ("cut.zip", CorpusError, "is damaged"),
        ("bent.zip", CorpusError, "is damaged"),
    ]:
        with pytest.raises(error, match=message):
            ingest(tmp_path / name, tmp_path / "raw", RAVDESS)


def test_a_mirror_that_holds_all_twice_comes_in_once(tmp_path, folder, wav):
    shutil.copytree(folder, folder / "set" / "all")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    for source in (folder, tmp_path / "a.zip"):
        raw = tmp_path / f"raw-{source.stem}"
        ingested = ingest(source, raw, RAVDESS)
        assert ingested == Ingested(added=2, total=2)
        assert ingested.notes[0].startswith("2 recordings are there twice")
        assert taken(raw) == sorted([*NAMES, SUMS])
    (folder / "set" / "all" / NAMES[0]).write_bytes(wav + b"x")
    with pytest.raises(CorpusError, match=r"are one recording by their names but have other byt"):
        ingest(folder, tmp_path / "raw", RAVDESS)


def test_a_recording_that_is_here_in_another_folder_is_here(tmp_path, folder, wav):
    raw = tmp_path / "raw"
    ingest(folder, raw, RAVDESS)
    (folder / NEW).write_bytes(wav)
    folder.rename(tmp_path / "deep")
    (tmp_path / "again").mkdir()
    (tmp_path / "deep").rename(tmp_path / "again" / "audio")
    assert ingest(tmp_path / "again", raw, RAVDESS) == Ingested(added=1, total=3)
    assert taken(raw) == sorted([*NAMES, f"audio/{NEW}", SUMS])


def test_all_wrong_names_are_counted_and_the_first_five_named(tmp_path, folder, wav):
    for name in ("x.wav", "y.wav"):
        (folder / name).write_bytes(wav)
    first = r"first: x\.wav is not a name of RAVDESS; .* Others: y\.wav"
    with pytest.raises(CorpusError, match=rf"^2 problems; {first}\.$"):
        ingest(folder, tmp_path / "raw", RAVDESS)
    for number in range(5):
        (folder / f"z{number}.wav").write_bytes(wav)
    with pytest.raises(CorpusError, match=rf"^7 .*{first}, z0\.wav, z1\.wav, z2\.wav and 2 more"):
        ingest(folder, tmp_path / "raw", RAVDESS)


def test_what_is_not_taken_is_counted(tmp_path, folder, wav):
    (folder / "film.mp4").write_bytes(wav)
    os.mkfifo(folder / "pipe.wav")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(NAMES[0], wav)
        archive.writestr("film.mp4", wav)
    (note,) = ingest(folder, tmp_path / "raw", RAVDESS).notes
    assert all(part in note for part in ("1 .mp4", "1 .txt", "1 pipes, sockets or devices"))
    assert ingest(tmp_path / "a.zip", tmp_path / "zip", RAVDESS).notes == ("Not taken: 1 .mp4.",)


def test_a_disk_that_is_full_while_an_archive_is_unpacked_is_a_line(tmp_path, wav, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(NAMES[0], wav)
    monkeypatch.setattr("ser.io.intake.archive._copy", full)
    message = r"No room at .* for (a\.zip|ravdess) \(No space left on device\)\. Make room"
    with (
        pytest.raises(CorpusError, match=message),
        unpacked(tmp_path / "a.zip", tmp_path / "raw"),
    ):
        pass
    with pytest.raises(CorpusError, match=message):
        ingest(tmp_path / "a.zip", tmp_path / "raw" / "ravdess", RAVDESS)


def test_nobody_waits_for_a_pipe(tmp_path, folder):
    raw = tmp_path / "raw"
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(CorpusError, match="neither a folder nor a ZIP"):
        ingest(tmp_path / "pipe.zip", raw, RAVDESS)
    ingest(folder, raw, RAVDESS)
    (raw / NAMES[0]).unlink()
    os.mkfifo(raw / NAMES[0])
    assert changed(raw).changed == (NAMES[0],)
