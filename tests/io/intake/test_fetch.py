"""Corpora from publishers' servers, laid out as the publishers have them."""

import hashlib
import io
import json
import random
import zipfile
from dataclasses import replace
from pathlib import PurePath

import pytest

from ser.corpora.base import (
    Archive,
    Corpus,
    Dataverse,
    Form,
    Labels,
    LfsRepository,
    by_name,
    recordings_digest,
)
from ser.corpora.published.ravdess import RAVDESS
from ser.errors import CorpusError, FetchError
from ser.io.intake.checksums import Changes, changed
from ser.io.intake.fetch import fetch
from ser.io.intake.ingest import Ingested
from ser.io.web.requests import Patience
from support.publisher import Answer

PATIENCE = Patience(attempts=3, read=1, sleep=lambda seconds: None)


def wav(name):
    """Bytes of a recording that stands for the published one of this name."""
    return b"RIFF" + random.Random(name).randbytes(3000)


def corpus(name, source, recordings, **facts):
    """A corpus that is published as these recordings (relative paths)."""
    digest = recordings_digest((file, sha256(wav(file))) for file in recordings)
    anyone = by_name(lambda path: Labels("1", "female", "anger", "a", "normal"))
    return Corpus(
        name=name,
        title=name,
        licence="CC BY 4.0",
        citation="Somebody (2020).",
        homepage="https://example.org",
        languages=("en",),
        speakers=1,
        utterances=len(recordings),
        codes={"A": "anger"},
        protocols=("holdout",),
        **{"label": anyone, "source": source, "digest": digest, **facts},
    )


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def md5(content):
    return hashlib.md5(content).hexdigest()


def packed(files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return archive.getvalue()


@pytest.fixture
def come(tmp_path):
    """Fetch a corpus; what came in, by relative path."""

    def fetched(corpus, **options):
        dest = tmp_path / "raw" / corpus.name
        cache = tmp_path / ".fetch" / corpus.name
        ingested = fetch(corpus, dest, cache=cache, patience=PATIENCE, **options)
        assert changed(dest) == Changes()
        assert not (tmp_path / ".fetch" / corpus.name).exists()
        files = {p.relative_to(dest).as_posix(): p for p in dest.rglob("*") if p.is_file()}
        recordings = {name for name in files if name.endswith(".wav")}
        assert all(files[name].read_bytes() == wav(name) for name in recordings)
        assert ingested == Ingested(len(recordings), len(recordings))
        return sorted(files)

    return fetched


RAVDESS_FILES = [f"Actor_{a:02}/03-01-0{e}-01-01-01-{a:02}.wav" for a in (1, 2) for e in (1, 5)]


def ravdess(publisher, **wrong):
    archive = packed({name: wav(name) for name in RAVDESS_FILES})
    url = publisher.put("/files/Audio_Speech.zip?download=1", Answer(archive, etag='"1"'))
    source = Archive(url, **{"size": len(archive), "md5": md5(archive), **wrong})
    digest = recordings_digest((name, sha256(wav(name))) for name in RAVDESS_FILES)
    return replace(RAVDESS, source=source, digest=digest, utterances=4)


def test_an_archive_comes_unpacked(publisher, come):
    assert come(ravdess(publisher)) == sorted([*RAVDESS_FILES, "SHA256SUMS"])


def test_a_cut_archive_is_gone_on_with_by_the_next_fetch(publisher, come, tmp_path):
    corpus = ravdess(publisher)
    path = "/files/Audio_Speech.zip?download=1"
    whole = publisher.pages[path][0].body
    gone = Answer(status=404)
    publisher.put(path, Answer(whole, etag='"1"', cut=1000), gone)
    with pytest.raises(FetchError, match="is not there"):
        come(corpus)
    assert not (tmp_path / "raw" / "ravdess").exists()
    publisher.put(path, Answer(whole, etag='"1"'))
    come(corpus)
    assert publisher.ranges(path) == [None, "bytes=1000-", "bytes=1000-"]


def test_a_wrong_archive_never_gets_into_data_raw(publisher, come, tmp_path):
    with pytest.raises(FetchError, match="found MD5"):
        come(ravdess(publisher, md5="0" * 32))
    assert not (tmp_path / "raw" / "ravdess").exists()


def test_other_recordings_than_published_are_refused_and_can_be_added(publisher, come, tmp_path):
    corpus = replace(ravdess(publisher), digest="0" * 64, utterances=5)
    with pytest.raises(CorpusError, match=r"4 recordings; 5 are published.*corpus add ravdess /"):
        come(corpus)
    assert not (tmp_path / "raw" / "ravdess").exists()
    # What the message names is still there.
    assert (tmp_path / ".fetch/ravdess/Audio_Speech.zip").exists()


def test_emodb_s_archive_gives_its_recordings_and_label_file(publisher, come):
    recordings = ["wav/03a01Fa.wav", "wav/16b10Wb.wav"]
    others = {"lablaut/03a01Fa.lablaut": b"x", "silb/03a01Fa.silb": b"x", "erkennung.txt": b"y"}
    url = publisher.put("/download.zip", packed({**{r: wav(r) for r in recordings}, **others}))
    emodb = corpus("emodb", Archive(url), recordings, labelling=("erkennung.txt",))
    assert come(emodb) == sorted([*recordings, "erkennung.txt", "SHA256SUMS"])


CREMAD = ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_IEO_SAD_HI.wav"]


def pointer(content):
    return (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{sha256(content)}\nsize {len(content)}\n"
    ).encode()


def cremad(publisher, pointers=None):
    files = {f"CREMA-D-master/{name}": pointer(wav(name)) for name in CREMAD}
    files |= {
        "CREMA-D-master/README.md": b"CREMA-D",
        "CREMA-D-master/VideoDemographics.csv": b'"ActorID","Age"\n1001,51\n',
        "CREMA-D-master/AudioMP3/1001_DFA_ANG_XX.mp3": pointer(b"mp3"),
        "CREMA-D-master/VideoFlash/1001_DFA_ANG_XX.flv": pointer(b"flv"),
    }
    publisher.put("/c/CREMA-D/zip/refs/heads/master", packed({**files, **(pointers or {})}))
    for name in CREMAD:
        publisher.put(f"/media/c/CREMA-D/master/{name}", wav(name))
    source = LfsRepository(
        "c/CREMA-D", "master", "AudioWAV", host=publisher.url, media=f"{publisher.url}/media"
    )
    return corpus("cremad", source, CREMAD, labelling=("VideoDemographics.csv",))


def test_lfs_recordings_come_by_their_object_ids(publisher, come):
    files = [*CREMAD, "VideoDemographics.csv", "SHA256SUMS"]
    assert come(cremad(publisher)) == sorted(files)


def test_of_many_recordings_only_those_that_lack_are_fetched_again(publisher, come):
    corpus = cremad(publisher)
    first, second = (f"/media/c/CREMA-D/master/{name}" for name in CREMAD)
    publisher.put(second, Answer(status=403))
    with pytest.raises(FetchError, match=r"refuses access .*`ser corpus add cremad PATH`"):
        come(corpus, threads=1)
    publisher.put(second, wav(CREMAD[1]))
    come(corpus)
    assert publisher.ranges(first) == [None]
    assert publisher.ranges(second) == [None, None]


def test_media_that_are_not_what_their_pointers_name_are_refused(publisher, come, tmp_path):
    corpus = cremad(publisher)
    other = wav("other")
    publisher.put(f"/media/c/CREMA-D/master/{CREMAD[0]}", other)
    with pytest.raises(FetchError, match="found SHA256"):
        come(corpus)
    # As GitHub answers where the media host does not know the object.
    publisher.put(f"/media/c/CREMA-D/master/{CREMAD[0]}", pointer(wav(CREMAD[0])))
    with pytest.raises(FetchError, match="expected 3,004"):
        come(corpus)
    assert not (tmp_path / "raw").exists()


def test_what_no_pointer_names_any_more_is_left_out(publisher, come, tmp_path):
    old = tmp_path / ".fetch/cremad/files/AudioWAV/1001_DFA_ANG_X.wav"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"renamed by the publisher")
    assert "AudioWAV/1001_DFA_ANG_X.wav" not in come(cremad(publisher))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("CREMA-D-master/AudioWAV/x.wav", b"RIFF....", "expected a Git LFS pointer"),
        ("CREMA-D-master/AudioWAV/x.wav", b"version 1\n" * 1000, "expected a Git LFS pointer"),
        ("CREMA-D-master/../../x.wav", b"", "leads out"),
    ],
)
def test_a_repository_that_means_no_good_is_refused(publisher, come, tmp_path, name, content, said):
    with pytest.raises(CorpusError, match=said):
        come(cremad(publisher, {name: content}))
    assert not (tmp_path / "raw").exists()


TESS = ["OAF_back_angry.wav", "YAF_back_ps.wav"]
LISTING = "/api/datasets/:persistentId/?persistentId=doi%3A10.5683%2FSP2%2FE8H2MF"


def tess(publisher, *more, **facts):
    entries = [
        {
            "label": name,
            "restricted": False,
            "dataFile": {
                "id": number,
                "filename": name,
                "filesize": len(wav(name)),
                "md5": md5(wav(name)),
                "checksum": {"type": "MD5", "value": md5(wav(name))},
                **facts,
            },
        }
        for number, name in enumerate(TESS, start=7)
    ]
    for entry in entries:
        facts = entry["dataFile"]
        publisher.put(f"/api/access/datafile/{facts['id']}", wav(entry["label"]))
    listing = {"status": "OK", "data": {"latestVersion": {"files": [*entries, *more]}}}
    publisher.put(LISTING, Answer(status=503), Answer(json.dumps(listing).encode()))
    return corpus("tess", Dataverse(publisher.url, "doi:10.5683/SP2/E8H2MF"), TESS)


def extra(name, **facts):
    return {"dataFile": {"id": 99, "filename": name, "filesize": 1, "md5": "0" * 32, **facts}}


def test_dataverse_files_come_by_their_listing(publisher, come):
    readme = extra("readme.txt")
    assert come(tess(publisher, readme)) == sorted([*TESS, "SHA256SUMS"])
    assert publisher.ranges("/api/access/datafile/99") == []


def test_dataverse_folders_are_kept(publisher, come):
    corpus = tess(publisher, {**extra("a.wav"), "directoryLabel": "OAF"})
    publisher.put("/api/access/datafile/99", b"x")
    with pytest.raises(FetchError, match="datafile/99: found MD5"):
        come(corpus)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([extra("../../x.wav")], "leads out"),
        ([{**extra("x.wav"), "directoryLabel": "../.."}], "leads out"),
        ([extra("oaf_BACK_angry.wav")], "differ only by case"),
        ([extra(TESS[0])], "twice"),
        ([extra("x.wav", checksum={"type": "SHA-1", "value": "0"})], "MD5 and SHA-256 are checked"),
        ([extra("x.wav", filesize="many")], "no listing as Dataverse writes it"),
        ([{"label": "x.wav"}], "no listing as Dataverse writes it"),
    ],
)
def test_a_listing_that_means_no_good_is_refused(publisher, come, tmp_path, more, said):
    with pytest.raises((CorpusError, FetchError), match=said):
        come(tess(publisher, *more))
    assert not (tmp_path / "raw").exists()
    assert publisher.ranges("/api/access/datafile/7") == []


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"status": "ERROR"}', b"\xff"])
def test_an_answer_that_is_no_listing_is_said(publisher, come, answer):
    corpus = tess(publisher)
    publisher.put(LISTING, answer)
    with pytest.raises(FetchError, match=r"answers with no (JSON|listing)"):
        come(corpus)


def test_a_corpus_behind_a_form_says_what_to_do(come):
    form = Form("Register at https://example.org, then `ser corpus add savee PATH`.")
    with pytest.raises(CorpusError, match=r"on request only\. Register at .* add savee PATH`"):
        come(corpus("savee", form, []))
    with pytest.raises(CorpusError, match="published nowhere"):
        come(corpus("mine", None, []))


def test_belongs_decides_what_of_an_archive_is_taken(publisher, come):
    recordings = ["wav/03a01Fa.wav"]
    mirror = {"wav/03a01Fa.wav": wav("wav/03a01Fa.wav"), "mp3/03a01Fa.mp3": b"x"}
    url = publisher.put("/download.zip", packed(mirror))
    only_wav = {"belongs": lambda path: PurePath(path).suffix == ".wav"}
    emodb = corpus("emodb", Archive(url), recordings, **only_wav)
    assert come(emodb) == ["SHA256SUMS", *recordings]
