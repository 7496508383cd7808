"""Archives that mean no good: each is refused, and nothing is outside the folder."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from ser.errors import CorpusError
from ser.io.intake import archive
from ser.io.intake.archive import unpack

GOOD = "Actor_01/a.wav"


def unpacked(tmp_path, source, wanted=lambda path: path.suffix == ".wav"):
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    unpack(source, folder, wanted)
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def outside(tmp_path):
    """All but the archive and what may be unpacked."""
    side = tmp_path / "in" / "side"
    return [p for p in (tmp_path / "in").rglob("*") if p != side and not p.is_relative_to(side)]


def write_zip(path, *entries):
    """Entries are (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def write_tar(path, *members, mode="w"):
    """Members are (name, bytes) or a TarInfo."""
    with tarfile.open(path, mode) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return path


def zip_entry(name, kind):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o644) << 16
    return info


def tar_entry(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


NAMES = {
    "../a.wav": "leads out",
    "Actor_01/../../a.wav": "leads out",
    "Actor_01/..": "leads out",
    "/tmp/ser-test/a.wav": "leads out",
    "//server/share/a.wav": "leads out",
    "C:/a.wav": "leads out",
    "c:a.wav": "leads out",
    "..\\a.wav": "leads out|backslash",
    "\\\\server\\a.wav": "leads out|backslash",
    "C:\\a.wav": "leads out",
    "a\n.wav": "control characters",
    "a\x1b[2J.wav": "control characters",
    f"{'a' * 300}.wav": "is 304 bytes long",
    f"{'ä' * 130}.wav": "is 264 bytes long",
    f"{'long/' * 300}a.wav": "is 1505 bytes long",
    # Also where nobody wants the file.
    "../readme.txt": "leads out",
}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(("name", "said"), NAMES.items())
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, kind, name, said):
    write = write_zip if kind == "zip" else write_tar
    source = write(tmp_path / "evil", (GOOD, b"good"), (name, b"evil"))
    with pytest.raises(CorpusError, match=said):
        unpacked(tmp_path, source)
    assert outside(tmp_path) == []


def test_a_zip_that_windows_packed_with_backslashes_is_read_and_a_tar_says_what_to_do(tmp_path):
    source = write_zip(tmp_path / "a.zip", ("Actor_01\\", b""), ("Actor_01\\a.wav", b"good"))
    assert unpacked(tmp_path / "zip", source) == ["Actor_01/a.wav"]
    source = write_tar(tmp_path / "a.tar", ("Actor_01\\a.wav", b"good"))
    with pytest.raises(CorpusError, match=r"backslash; .* pack it as a ZIP"):
        unpacked(tmp_path / "tar", source)


def test_a_name_with_nul_is_refused(tmp_path):
    source = write_zip(tmp_path / "evil.zip", ("aX.wav", b"evil"))
    source.write_bytes(source.read_bytes().replace(b"aX.wav", b"a\0.wav"))
    with pytest.raises(CorpusError, match="control characters"):
        unpacked(tmp_path, source)


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
@pytest.mark.parametrize("name", ["a.wav", "readme"])
def test_a_link_or_device_in_a_zip_is_refused(tmp_path, kind, name):
    source = write_zip(tmp_path / "evil.zip", (zip_entry(name, kind), b"/etc/passwd"))
    with pytest.raises(CorpusError, match="link or device"):
        unpacked(tmp_path, source)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("name", ["a.wav", "readme"])
def test_a_link_or_device_in_a_tar_is_refused(tmp_path, kind, name):
    source = write_tar(tmp_path / "evil.tar", (GOOD, b"good"), tar_entry(name, kind, GOOD))
    with pytest.raises(CorpusError, match="link or device"):
        unpacked(tmp_path, source)


def test_a_folder_that_is_a_link_leads_nowhere(tmp_path):
    link = tar_entry("Actor_01", tarfile.SYMTYPE, str(tmp_path))
    source = write_tar(tmp_path / "evil.tar", link, (GOOD, b"evil"))
    with pytest.raises(CorpusError, match="link or device"):
        unpacked(tmp_path, source)
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "names",
    [
        ("a.wav", "A.WAV"),
        ("Actor_01/a.wav", "actor_01/b.wav"),
        ("Straße/a.wav", "STRASSE/a.wav"),
        ("gr\u00fcn.wav", "gru\u0308n.wav"),
        ("\u00e9/a.wav", "e\u0301/b.wav"),
    ],
)
def test_names_that_fall_together_are_refused(tmp_path, kind, names):
    write = write_zip if kind == "zip" else write_tar
    source = write(tmp_path / "evil", *((name, b"x") for name in names))
    with pytest.raises(CorpusError, match="differ only by case or Unicode form"):
        unpacked(tmp_path, source)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a.wav", "a.wav"), ("a.wav", "./a.wav"), ("b//a.wav", "b/a.wav")]
)
def test_one_name_twice_is_refused(tmp_path, names):
    entries = [(name, b"x") for name in names]
    for number, write in enumerate((write_zip, write_tar)):
        source = write(tmp_path / f"evil{number}", *entries)
        with pytest.raises(CorpusError, match=r"holds (b/)?a.wav twice"):
            unpacked(tmp_path / str(number), source)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_where_a_folder_is_is_refused(tmp_path, kind):
    write = write_zip if kind == "zip" else write_tar
    source = write(tmp_path / "evil", ("a.wav", b"x"), ("a.wav/b.wav", b"x"))
    with pytest.raises(CorpusError, match="falls onto another"):
        unpacked(tmp_path, source)


@pytest.fixture
def low_limits(monkeypatch):
    monkeypatch.setattr(archive, "FREE_BYTES", 2**20)


@pytest.mark.parametrize("name", ["a.wav", "readme.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, low_limits, kind, name):
    zeros = bytes(8 * 2**20)
    source = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.wav", zeros)
    else:
        write_tar(source, (name, zeros), mode=f"w:{kind[4:]}")
    with pytest.raises(CorpusError, match="unpacks to over"):
        unpacked(tmp_path, source)
    written = sum(p.stat().st_size for p in (tmp_path / "in").rglob("*") if p.is_file())
    assert written <= 2 * 2**20


def test_real_bytes_are_counted_whatever_the_listing_claims(tmp_path, low_limits):
    source = tmp_path / "liar.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.wav", bytes(8 * 2**20))
    size = (8 * 2**20).to_bytes(4, "little")
    source.write_bytes(source.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(CorpusError, match=r"damaged|unpacks to over"):
        unpacked(tmp_path, source)


def test_a_tar_header_cannot_claim_all_memory(tmp_path):
    header = tar_entry("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    header.size = 10 * 2**30
    source = tmp_path / "evil.tar.gz"
    with gzip.open(source, "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**20))
    with pytest.raises(CorpusError, match="header of 10,737,418,240 bytes"):
        unpacked(tmp_path, source)


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 10)
    entries = [(f"{i}.txt", b"") for i in range(11)]
    for number, write in enumerate((write_zip, write_tar)):
        source = write(tmp_path / f"many{number}", *entries)
        with pytest.raises(CorpusError, match="over 10 entries"):
            unpacked(tmp_path / str(number), source)


def test_an_encrypted_entry_is_left_to_the_person(tmp_path):
    source = write_zip(tmp_path / "secret.zip", ("a.wav", b"secret"))
    content = bytearray(source.read_bytes())
    # The flag of the entry, in its own header and in the archive's listing.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    source.write_bytes(content)
    with pytest.raises(CorpusError, match=r"is encrypted, .*unpack it yourself"):
        unpacked(tmp_path, source)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_publishers_layouts_unpack_and_only_what_is_wanted(tmp_path, kind):
    entries = [
        ("Actor_01/03-01-01-01-01-01-01.wav", b"1"),
        ("CREMA-D-master/AudioWAV/1001_DFA_ANG_XX.wav", b"2"),
        ("wav/03a01Fa.wav", b"3"),
        ("lablaut/03a01Fa.lablaut", b"4"),
        ("erklärung.txt", b"5"),
        ("erkennung.txt", b"5"),
        ("__MACOSX/Actor_01/._03-01-01-01-01-01-01.txt", b"6"),
    ]
    source = tmp_path / f"a.{kind}"
    if kind == "zip":
        write_zip(source, ("Actor_01/", b""), *entries)
    else:
        folder = tar_entry("./Actor_01", tarfile.DIRTYPE)
        mode = f"w:{kind[4:]}"
        write_tar(source, folder, *((f"./{name}", body) for name, body in entries), mode=mode)
    assert unpacked(tmp_path, source) == sorted(name for name, _ in entries if ".wav" in name)
