import io
import tarfile
import zipfile

import numpy as np
import pytest
import soundfile

from ser.corpora.ravdess import RAVDESS
from ser.errors import CorpusError, MissingCorpus, UnknownEmotion
from ser.io.checksums import SUMS
from ser.io.ingest import Ingested, ingest

NAMES = ("Actor_01/03-01-01-01-01-01-01.wav", "Actor_02/03-01-05-02-01-01-02.wav")


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
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_an_archive_cannot_write_outside(tmp_path, wav):
    for name in ("../03-01-01-01-01-01-01.wav", "/tmp/03-01-01-01-01-01-01.wav"):
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            archive.writestr(name, wav)
        with pytest.raises(CorpusError, match="leads out of the archive"):
            ingest(tmp_path / "evil.zip", tmp_path / "raw", RAVDESS)
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        link = tarfile.TarInfo("03-01-01-01-01-01-01.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(CorpusError, match="link or device"):
        ingest(tmp_path / "link.tar", tmp_path / "raw", RAVDESS)
    assert not (tmp_path / "raw").exists()


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


def test_a_corpus_that_is_here_is_not_overwritten(tmp_path, folder):
    ingest(folder, tmp_path / "raw", RAVDESS)
    with pytest.raises(CorpusError, match="exists already"):
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
