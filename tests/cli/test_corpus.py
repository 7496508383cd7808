"""`ser corpus …` as it is typed, with real DVC and a publisher on this machine."""

import hashlib
import io
import random
import shutil
import sys
import zipfile
from dataclasses import replace

import pytest

from ser import cli
from ser.corpora.base import Archive, Form, recordings_digest
from ser.corpora.catalogue import CORPORA
from ser.corpora.published.marks import published_mark
from ser.corpora.published.ravdess import RAVDESS
from ser.io.intake import dvc
from ser.io.intake import verify as integrity
from support.publisher import Answer

NAMES = [f"Actor_{actor:02}/03-01-05-01-01-01-{actor:02}.wav" for actor in range(1, 25)]


def wav(name):
    return random.Random(name).randbytes(500)


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(wav(name))
    return folder


@pytest.fixture
def root(checkout, tmp_path, monkeypatch):
    """A checkout of the test's own, which is the current folder."""
    shutil.copytree(checkout.root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def ser(root, monkeypatch, capsys):
    """Type `ser corpus …`, with nobody at the keyboard; (exit status, stdout, stderr)."""

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["ser", "corpus", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        said = capsys.readouterr()
        return leaving.value.code or 0, said.out, said.err

    return typed


@pytest.fixture
def no_dvc(monkeypatch):
    """DVC takes seconds to start; where it does not matter it is not started."""
    calls = []
    monkeypatch.setattr(dvc, "add", lambda root, path: calls.append(("add", str(path))))
    return calls


@pytest.fixture
def published(publisher, monkeypatch):
    """RAVDESS of 24 recordings, published on this machine."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in NAMES:
            file.writestr(name, wav(name))
    content = archive.getvalue()
    url = publisher.put("/Audio_Speech.zip", Answer(content))
    corpus = replace(
        RAVDESS,
        utterances=len(NAMES),
        source=Archive(url, len(content), hashlib.md5(content).hexdigest()),
        digest=recordings_digest((n, hashlib.sha256(wav(n)).hexdigest()) for n in NAMES),
    )
    monkeypatch.setitem(CORPORA, "ravdess", corpus)
    return corpus


def test_fetch_verify_and_remove_on_real_dvc(ser, root, publisher, published):
    status, out, _ = ser("fetch", "ravdess", "--yes")
    assert status == 0
    assert out.index("CC BY-NC-SA 4.0") < out.index("24 recordings in data/raw/ravdess")
    assert "Livingstone" in out
    assert (root / "data/raw/ravdess.dvc").exists()
    assert "/ravdess\n" in (root / "data/raw/.gitignore").read_text()
    assert not (root / ".ser/fetch/ravdess").exists()
    status, out, _ = ser("verify")
    assert (status, out) == (
        0,
        "ravdess: 24 recordings, each as it came in, as published.\n",
    )
    (root / "data/interim/manifests").mkdir(parents=True)
    (root / "data/interim/manifests/ravdess.parquet").write_bytes(b"a manifest")
    status, out, _ = ser("remove", "ravdess", "--yes")
    assert status == 0
    assert "This deletes 24 recordings: data/raw/ravdess, data/raw/ravdess.dvc, " in out
    assert "dvc gc" in out
    assert [p.name for p in (root / "data/raw").glob("[!.]*")] == []
    assert (root / "data/raw/.gitignore").read_text() == "/synthetic\n"
    assert list((root / "data/interim/manifests").iterdir()) == []
    assert list((root / ".dvc/cache/files/md5").rglob("*.dir"))


def test_nothing_is_fetched_before_the_licence_is_accepted(ser, publisher, published):
    status, out, err = ser("fetch", "ravdess")
    assert status == cli.USER_ERROR
    assert "licence     CC BY-NC-SA 4.0" in out
    assert "`ser corpus fetch ravdess --yes`" in err
    assert publisher.asked == []


def test_a_corpus_that_is_here_is_not_fetched_again(ser, root, publisher, published, no_dvc):
    assert ser("fetch", "ravdess", "--yes")[0] == 0
    asked = len(publisher.asked)
    status, out, _ = ser("fetch", "ravdess", "--yes")
    assert (status, len(publisher.asked)) == (0, asked)
    assert "is here already, with 24 recordings" in out


def test_sixty_new_recordings_are_an_add(ser, root, tmp_path, no_dvc):
    ser("add", "ravdess", write(tmp_path / "first", NAMES[:20]))
    status, out, _ = ser("add", "ravdess", write(tmp_path / "more", NAMES[20:]))
    assert status == 0
    assert "24 recordings (4 of them new) in data/raw/ravdess" in out
    assert "The corpus as published has 1440." in out
    assert no_dvc == [("add", "data/raw/ravdess")] * 2


def test_damage_is_named_file_by_file_with_what_to_do(ser, root, tmp_path, no_dvc):
    ser("add", "ravdess", write(tmp_path / "source", NAMES))
    for name in NAMES:
        (root / "data/raw/ravdess" / name).write_bytes(b"other")
    status, out, err = ser("verify", "ravdess")
    lines = err.splitlines()
    assert (status, out) == (cli.SOME_FAILED, "")
    assert lines[0] == f"ravdess: data/raw/ravdess/{NAMES[0]} has other bytes."
    assert lines[20] == "ravdess: and 4 more."
    assert "dvc checkout data/raw/ravdess.dvc" in lines[21]
    assert len(lines) == 22


def test_what_lies_in_data_raw_unlisted_can_be_taken_in(ser, root, tmp_path, no_dvc):
    ser("add", "ravdess", write(tmp_path / "source", NAMES[:2]))
    write(root / "data/raw/ravdess", NAMES[2:3])
    assert ser("verify")[0] == cli.SOME_FAILED
    assert "3 recordings (1 of them new)" in ser("add", "ravdess", "data/raw/ravdess")[1]
    assert ser("verify")[0] == 0


def test_one_corpus_s_damage_does_not_hide_another_s(ser, root, tmp_path, no_dvc):
    ser("add", "ravdess", write(tmp_path / "source", NAMES))
    write(root / "data/raw/mine", ["a.wav"])
    status, out, err = ser("verify")
    assert status == cli.SOME_FAILED
    assert "mine: data/raw/mine has no SHA256SUMS" in err
    assert "ravdess: 24 recordings, each as it came in" in out


def test_what_the_pipeline_needs_is_not_removed(ser, root):
    write(root / "data/raw/synthetic", ["spk01/a.wav"])
    status, _, err = ser("remove", "synthetic", "--yes")
    assert status == cli.USER_ERROR
    assert "params.yaml names synthetic in data.corpora" in err
    assert (root / "data/raw/synthetic/spk01/a.wav").exists()
    assert ser("remove", "synthetic", "--yes", "--force")[0] == 0
    assert not (root / "data/raw/synthetic").exists()
    # The line belongs to the stage that makes the folder anew.
    assert (root / "data/raw/.gitignore").read_text() == "/synthetic\n"


@pytest.mark.parametrize("name", ["..", "../raw", "/tmp", ".git", "a/b", "", "ravdess\n"])
def test_remove_stays_in_data_raw(ser, root, name):
    status, _, err = ser("remove", name, "--yes", "--force")
    assert status == cli.USER_ERROR
    assert "is no corpus's name" in err
    assert (root / "params.yaml").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["remove", "ravdess"], "No corpus ravdess is here"),
        (["fetch", "synthetic"], "is made by the pipeline"),
        (["info", "ravdes"], "No corpus is called 'ravdes'"),
        (["verify", "ravdes"], "not here; `ser corpus list`"),
        (["verify", "ravdess"], "ser corpus fetch ravdess"),
    ],
)
def test_what_cannot_be_done_is_one_line(ser, words, message):
    status, _, err = ser(*words)
    assert status in (cli.USER_ERROR, cli.SOME_FAILED)
    assert message in err
    assert err.count("\n") == 1


def test_nothing_is_removed_unasked(ser, root):
    write(root / "data/raw/ravdess", NAMES)
    status, out, err = ser("remove", "ravdess")
    assert status == cli.USER_ERROR
    assert "24 recordings" in out
    assert "--yes" in err
    assert (root / "data/raw/ravdess").exists()


def test_a_corpus_behind_a_form_is_told_how_to_get(ser, monkeypatch):
    form = replace(
        CORPORA["savee"], source=Form("Register at https://a.b, then `ser corpus add savee PATH`.")
    )
    monkeypatch.setitem(CORPORA, "savee", form)
    status, _, err = ser("fetch", "savee", "--yes")
    assert status == cli.USER_ERROR
    assert "on request only. Register at https://a.b, then `ser corpus add savee PATH`" in err
    assert "Register at" in ser("info", "savee")[1]


def test_info_says_all_that_is_known(ser, root):
    write(root / "data/raw/ravdess", NAMES)
    status, out, _ = ser("info", "ravdess")
    assert status == 0
    facts = dict(line.split(maxsplit=1) for line in out.splitlines() if "to get it" not in line)
    assert facts["licence"] == "CC BY-NC-SA 4.0"
    assert facts["homepage"] == "https://zenodo.org/records/1188976"
    assert facts["speakers"] == "24"
    assert facts["recordings"] == "1440 as published, 24 here"
    assert facts["labels"].startswith("01 neutral, 02 calm, 03 happiness")
    assert facts["protocols"] == "ravdess-luna5, ravdess-emobox6"


def test_list_fits_a_narrow_terminal_and_counts_what_is_here(ser, root, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    write(root / "data/raw/ravdess", NAMES)
    write(root / "data/raw/mine", ["a.wav"])
    _, out, _ = ser("list")
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    assert rows["ravdess"][1:4] == ["24", "1440", "24"]
    assert rows["ravdess"][-1] == "fetch"
    assert rows["mine"][1] == "1"
    assert len(out.splitlines()) == len(rows)


def test_help_teaches_every_command(ser):
    _, out, _ = ser("--help")
    for command in ("list", "info", "fetch", "add", "verify", "remove"):
        assert command in out


def test_what_is_not_as_published_is_said_and_listed(
    ser, root, tmp_path, published, no_dvc, monkeypatch
):
    marks = frozenset(published_mark(n, hashlib.sha256(wav(n)).hexdigest()) for n in NAMES)
    monkeypatch.setattr(integrity, "published_marks", lambda name: marks)
    source = write(tmp_path / "source", NAMES)
    (source / NAMES[1]).write_bytes(b"other")
    status, out, _ = ser("add", "ravdess", source)
    assert status == 0
    assert f"Not as published: 1 recordings, first {NAMES[1]}." in out
    status, out, err = ser("verify", "ravdess")
    assert (status, err) == (0, "")
    assert f"data/raw/ravdess/{NAMES[1]} is not as published." in out
    assert out.count("is not as published") == 1


def own(folder, names=("angry/anna/1.wav", "sad/ben/1.wav")):
    return write(folder, names)


def test_an_own_corpus_comes_in_from_a_zip_with_its_table(ser, root, tmp_path, no_dvc):
    with zipfile.ZipFile(tmp_path / "calls.zip", "w") as archive:
        archive.writestr("a.wav", b"1")
        archive.writestr("x\\b.wav", b"2")
        archive.writestr("c.wma", b"3")
        archive.writestr("t.csv", "Datei;Label;Sprecher\na.wav;sad; Jörg\nb;angry;Eva\n")
    words = ("add", "folder", tmp_path / "calls.zip", "--name", "calls", "--table", "t.csv")
    status, _, err = ser(*words)
    assert status == cli.USER_ERROR
    assert "The table lacks file, speaker; it has Datei, Label, Sprecher" in err
    status, out, err = ser(*words, "--columns", "file=Datei,speaker=Sprecher")
    assert (status, err) == (0, "")
    assert "Speakers: Jörg, Eva" in out
    assert "Columns: Datei is the file, Sprecher is the speaker, Label is the emotion." in out
    assert "Not read: 1 .wma. Convert media first" in out
    assert sorted(p.name for p in (root / "data/raw").iterdir() if p.is_dir()) == ["calls"]
    assert (root / "data/raw/calls/x/b.wav").read_bytes() == b"2"


def test_an_own_corpus_is_as_good_as_a_published_one(ser, root, tmp_path, no_dvc):
    assert ser("add", "folder", own(tmp_path / "first"), "--name", "calls")[0] == 0
    _, out, _ = ser("info", "calls")
    assert "published" not in out
    assert "recordings  2 here" in out
    assert "ser corpus add folder PATH --name calls" in out
    more = own(tmp_path / "more", ["angry/eva/1.wav"])
    status, out, _ = ser("add", "calls", more)
    assert status == 0
    assert "3 recordings (1 of them new)" in out
    write(root / "data/raw/calls", ["angry/x/9.wav"])
    _, _, err = ser("verify", "calls")
    assert "ser corpus add folder PATH --name calls" in err


@pytest.mark.parametrize(
    ("file", "content"), [("corpus.yaml", "title: ["), ("labels.csv", "a\n1\n"), ("labels.csv", "")]
)
def test_one_damaged_own_corpus_stops_no_other(ser, root, tmp_path, no_dvc, file, content):
    ser("add", "folder", own(tmp_path / "calls"), "--name", "calls")
    ser("add", "folder", own(tmp_path / "notes"), "--name", "notes")
    (root / "data/raw/calls" / file).write_text(content)
    status, out, err = ser("list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()][-2:] == ["calls", "notes"]
    assert "damaged" in out
    assert f"calls: data/raw/calls/{file}" in err.replace(f"{root}/", "")
    status, out, err = ser("verify")
    assert status == cli.SOME_FAILED
    assert f"data/raw/calls/{file} has other bytes" in err
    assert "notes: 2 recordings, each as it came in" in out


def test_a_name_that_is_too_long_is_a_line(ser, root, tmp_path):
    long = "a" * 300
    for words in (
        ("add", "folder", own(tmp_path / "calls"), "--name", long),
        ("info", long),
        ("verify", long),
        ("remove", long, "--yes"),
        ("add", long, tmp_path),
        ("add", "ravdess", long),
    ):
        status, _, err = ser(*words)
        assert status in (cli.USER_ERROR, cli.SOME_FAILED)
        assert err.count("\n") == 1


def test_nothing_that_a_terminal_obeys_is_printed(ser, root, tmp_path):
    folder = own(tmp_path / "calls", ["angry/an\x1b[2Jna/1.wav"])
    status, _, err = ser("add", "folder", folder, "--name", "calls")
    assert status == cli.USER_ERROR
    assert "\x1b" not in err
    assert r"an\x1b[2Jna" in err
    status, _, err = ser("info", "a\x1b[2Jb")
    assert "\x1b" not in err
