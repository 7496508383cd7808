import random
import shutil
import subprocess

import pytest

from ser.errors import CorpusError
from ser.io.intake.checksums import SUMS, Changes, changed, read_sums, write_sums

FILES = ("Actor_01/a.wav", "Actor_01/b.wav", "Actor_02/a b.wav", "grün/ä.wav", "labels.csv")


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(5000))
    write_sums(tmp_path / "raw")
    return tmp_path / "raw"


def flip(path, at=2500):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not here")
def test_sha256sum_reads_the_list_and_agrees(folder):
    check = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
    assert subprocess.run(check, cwd=folder).returncode == 0
    by_sha256sum = subprocess.run(
        ["sha256sum", *sorted(FILES)], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert (folder / SUMS).read_text() == by_sha256sum
    flip(folder / FILES[0])
    assert subprocess.run(check, cwd=folder, capture_output=True).returncode == 1


def test_nothing_changed(folder):
    assert changed(folder) == Changes()
    assert sorted(read_sums(folder)) == sorted(FILES)


def test_one_bit_in_any_file_is_noticed(folder):
    for name in FILES:
        content = (folder / name).read_bytes()
        flip(folder / name)
        assert changed(folder) == Changes(changed=(name,))
        (folder / name).write_bytes(content)


def test_missing_unlisted_and_unreadable_files_are_told_apart(folder):
    (folder / FILES[0]).unlink()
    (folder / "Actor_03").mkdir()
    (folder / "Actor_03" / "c.wav").write_bytes(b"c")
    (folder / FILES[1]).unlink()
    (folder / FILES[1]).symlink_to("nowhere")
    (folder / ".DS_Store").write_bytes(b"hidden files are nobody's")
    assert changed(folder) == Changes((FILES[0],), (FILES[1],), ("Actor_03/c.wav",))


def test_known_hashes_are_not_read_again(folder):
    sums = read_sums(folder)
    flip(folder / FILES[0])
    write_sums(folder, known=sums)
    assert read_sums(folder) == sums
    assert changed(folder).changed == (FILES[0],)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no list", "line 1, is 'no list'"),
        ("0" * 64 + "  a.wav\n\n", "line 2"),
        ("0" * 64 + "  ../../etc/passwd\n", "leads out"),
        ("0" * 64 + "  /etc/passwd\n", "leads out"),
        ("0" * 63 + "  a.wav\n", "line 1"),
    ],
)
def test_a_list_that_is_none_is_refused(folder, text, said):
    (folder / SUMS).write_text(text)
    with pytest.raises(CorpusError, match=said):
        read_sums(folder)


def test_a_list_that_is_not_here_says_what_to_do(tmp_path):
    with pytest.raises(CorpusError, match=r"SHA256SUMS does not exist.*dvc checkout"):
        read_sums(tmp_path)
