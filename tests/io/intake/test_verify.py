"""Rot on disk is found: in data/raw, and in DVC's cache, where DVC itself never looks."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ser.corpora.base import recordings_digest
from ser.corpora.published.ravdess import RAVDESS
from ser.errors import CorpusError, DamagedCache
from ser.io.intake import dvc
from ser.io.intake.checksums import read_sums
from ser.io.intake.ingest import ingest
from ser.io.intake.verify import cache_folder, damaged_objects, verify

OUT = Path("data/raw/ravdess")
NAMES = [f"Actor_{actor:02}/03-01-05-01-01-01-{actor:02}.wav" for actor in range(1, 21)]


def content(name):
    return random.Random(name).randbytes(2000)


def flip(path):
    """One bit, with times and mode as they were: DVC looks at no more than those."""
    before = path.stat()
    bits = bytearray(path.read_bytes())
    bits[1000] ^= 1
    path.chmod(0o644)
    path.write_bytes(bits)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def root(tmp_path):
    """A project with a corpus in data/raw, not tracked."""
    for name in NAMES:
        (tmp_path / "source" / name).parent.mkdir(parents=True)
        (tmp_path / "source" / name).write_bytes(content(name))
    ingest(tmp_path / "source", tmp_path / "project" / OUT, RAVDESS)
    (tmp_path / "project" / ".dvc").mkdir()
    return tmp_path / "project"


def track(root, cache, link=shutil.copyfile):
    """What `dvc add` leaves behind; the out's hash."""

    def keep(content, suffix=""):
        name = hashlib.md5(content).hexdigest() + suffix
        path = cache / "files" / "md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name, path

    listing = []
    for path in sorted(p for p in (root / OUT).rglob("*") if p.is_file()):
        name, held = keep(path.read_bytes())
        listing.append({"md5": name, "relpath": path.relative_to(root / OUT).as_posix()})
        path.unlink()
        link(held, path)
    md5, _ = keep(json.dumps(listing).encode(), ".dir")
    (root / f"{OUT}.dvc").write_text(f"outs:\n- md5: {md5}\n  hash: md5\n  path: ravdess\n")
    return md5


def test_a_corpus_as_it_came_in_is_said_to_be_so(root):
    track(root, root / ".dvc" / "cache")
    digest = recordings_digest((name, hashlib.sha256(content(name)).hexdigest()) for name in NAMES)
    found = verify(root, "ravdess", replace(RAVDESS, digest=digest))
    assert (found.recordings, found.damaged, found.copies) == (20, (), ())
    assert found.as_published is True
    assert verify(root, "ravdess", replace(RAVDESS, digest="0" * 64)).as_published is False
    assert verify(root, "ravdess").as_published is None


def test_each_damage_in_data_raw_is_one_line(root):
    flip(root / OUT / NAMES[0])
    (root / OUT / NAMES[1]).unlink()
    (root / OUT / "new.wav").write_bytes(b"new")
    assert verify(root, "ravdess").damaged == (
        f"{OUT / NAMES[1]} is missing",
        f"{OUT / NAMES[0]} has other bytes",
        f"{OUT / 'new.wav'} is not listed in SHA256SUMS",
    )


def test_every_damaged_object_is_found(root):
    md5 = track(root, root / ".dvc" / "cache")
    assert damaged_objects(root, OUT, md5) == []
    for name in NAMES[::2]:
        held = hashlib.md5(content(name)).hexdigest()
        flip(root / ".dvc/cache/files/md5" / held[:2] / held[2:])
    assert [file for file, _ in damaged_objects(root, OUT, md5)] == NAMES[::2]
    found = verify(root, "ravdess")
    assert found.damaged == ()
    assert [line.split("DVC's copy of ")[1] for line in found.copies] == [
        f"{OUT / name}, has other bytes" for name in NAMES[::2]
    ]


@pytest.mark.parametrize("link", [Path.hardlink_to, Path.symlink_to])
def test_where_dvc_links_damage_is_in_both(root, link):
    md5 = track(root, root / ".dvc" / "cache", lambda held, path: link(path, held))
    flip(root / OUT / NAMES[0])
    found = verify(root, "ravdess")
    assert len(found.damaged) == len(found.copies) == 1
    # Files that were just found intact are not read again as objects.
    read = []
    sound = set(read_sums(root / OUT)) - {NAMES[0]}
    damaged_objects(root, OUT, md5, sound=sound, progress=read.append)
    assert read[0] == len(NAMES) - 1
    assert sum(read) == len(NAMES) + 1


def test_a_damaged_listing_is_found(root):
    md5 = track(root, root / ".dvc" / "cache")
    listing = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    listing.write_bytes(listing.read_bytes().replace(b"wav", b"mp3"))
    assert damaged_objects(root, OUT, md5) == [(".", listing)]


def test_a_single_file_s_object_is_checked_as_well(root):
    name = hashlib.md5(b"one file").hexdigest()
    held = root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    held.parent.mkdir(parents=True)
    held.write_bytes(b"one file")
    assert damaged_objects(root, Path("models/x"), name) == []
    held.write_bytes(b"one fila")
    assert damaged_objects(root, Path("models/x"), name) == [(".", held)]


def test_objects_that_are_not_in_the_cache_are_dvc_s_own_business(root):
    md5 = track(root, root / ".dvc" / "cache")
    shutil.rmtree(root / ".dvc" / "cache")
    assert damaged_objects(root, OUT, md5) == []


@pytest.mark.parametrize("place", ["inside", "absolute", "local", "global", "system", "remote"])
def test_the_cache_is_where_dvc_s_settings_say(root, tmp_path, place, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    settings = (
        "[core]\n    analytics = false\n[cache]\n    dir = {}\n['remote \"a\"']\n    url = s3://b\n"
    )
    config, local = root / ".dvc" / "config", root / ".dvc" / "config.local"
    config.write_text(settings.format("../../elsewhere" if place == "inside" else elsewhere))
    if place == "local":
        config.write_text(settings.format("/nowhere"))
        local.write_text(f"[cache]\n    dir = {elsewhere}\n")
    if place in ("global", "system"):
        config.write_text("[core]\n    analytics = false\n")
        (tmp_path / place).mkdir()
        (tmp_path / place / "config").write_text(settings.format(elsewhere))
        monkeypatch.setenv(f"DVC_{place.upper()}_CONFIG_DIR", str(tmp_path / place))
    if place == "remote":
        config.write_text(
            f"[cache]\n    local = shared\n['remote \"shared\"']\n    url = {elsewhere}\n"
        )
    assert cache_folder(root).resolve() == elsewhere
    md5 = track(root, elsewhere)
    held = hashlib.md5(content(NAMES[0])).hexdigest()
    flip(elsewhere / "files/md5" / held[:2] / held[2:])
    assert [file for file, _ in damaged_objects(root, OUT, md5)] == [NAMES[0]]


def test_settings_that_name_no_cache_are_a_line(root):
    (root / ".dvc" / "config").write_text("[cache\n")
    with pytest.raises(DamagedCache, match=r"Mend \.dvc/config") as caught:
        cache_folder(root)
    assert "\n" not in str(caught.value)


def test_without_a_list_dvc_s_hashes_are_checked(root):
    (root / OUT / "SHA256SUMS").unlink()
    with pytest.raises(CorpusError, match="DVC has no hashes of it"):
        verify(root, "ravdess")
    track(root, root / ".dvc" / "cache")
    assert verify(root, "ravdess").damaged == ()
    flip(root / OUT / NAMES[0])
    assert verify(root, "ravdess").damaged == (f"{OUT / NAMES[0]} has other bytes",)


def test_what_dvc_itself_does_not_notice_is_found(root):
    """On real DVC: it calls a damaged object up to date, and restores the damage."""

    def run(*words):
        command = [sys.executable, "-m", "dvc", *words]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    dvc.add(root, OUT)
    md5 = dvc.tracked_md5(root, OUT)
    assert md5.endswith(".dir")
    assert damaged_objects(root, OUT, md5) == []
    held = hashlib.md5(content(NAMES[0])).hexdigest()
    object_ = cache_folder(root) / "files/md5" / held[:2] / held[2:]
    flip(object_)
    (root / OUT / NAMES[0]).unlink()
    run("checkout", "-q", f"{OUT}.dvc")
    assert "up to date" in run("status")
    assert (root / OUT / NAMES[0]).read_bytes() != content(NAMES[0])
    assert damaged_objects(root, OUT, md5) == [(NAMES[0], object_)]
    found = verify(root, "ravdess")
    assert (len(found.damaged), len(found.copies)) == (1, 1)
    # The remedy where data/raw is sound: without the damaged copy, DVC makes it anew.
    object_.unlink()
    (root / OUT / NAMES[0]).unlink()
    (root / OUT / NAMES[0]).write_bytes(content(NAMES[0]))
    dvc.add(root, OUT)
    assert dvc.tracked_md5(root, OUT) == md5
    found = verify(root, "ravdess")
    assert (found.damaged, found.copies) == ((), ())
    assert object_.read_bytes() == content(NAMES[0])
