"""A corpus from its publisher, taken in as by `ser corpus add`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ser.core.utterance.formats import is_audio
from ser.corpora.base import Archive, Corpus, Dataverse, Form, LfsRepository
from ser.errors import CorpusError, FetchError
from ser.files import one_at_a_time
from ser.io.intake.archive import unpack
from ser.io.intake.checksums import listed_files
from ser.io.intake.ingest import Ingested, ingest, is_corpus_file
from ser.io.intake.names import check_distinct, safe_path
from ser.io.web.download import THREADS, download_all
from ser.io.web.partial import Remote
from ser.io.web.requests import PATIENCE, Patience, get_json

POINTER = re.compile(
    r"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.+\n)*"
    r"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>\d+)\n"
)
#: Bytes that Git LFS allows a pointer.
MAX_POINTER = 1024
#: `download_all` with this fetch's threads and patience.
Download = Callable[..., object]


def fetch(
    corpus: Corpus,
    dest: Path,
    *,
    cache: Path,
    patience: Patience = PATIENCE,
    threads: int = THREADS,
) -> Ingested:
    """Fetch a corpus from its publisher into `dest`; every recording is checked on the way.

    cache : folder of downloads; a later call goes on with them, and they are deleted once the
        corpus is in `dest`. Raises FetchError or CorpusError, and then `dest` is untouched.
    """
    check_fetchable(corpus)
    download = partial(download_all, threads=threads, patience=patience)
    with one_at_a_time(cache):
        cache.mkdir(parents=True, exist_ok=True)
        match corpus.source:
            case Archive() as archive:
                source = _fetch_archive(archive, corpus, cache, download)
            case LfsRepository() as repository:
                source = _fetch_lfs(repository, corpus, cache, download)
            case Dataverse() as dataverse:
                source = _fetch_dataverse(dataverse, corpus, cache, download, patience)
        ingested = ingest(source, dest, corpus, as_published=True)
        shutil.rmtree(cache)
    return ingested


def check_fetchable(corpus: Corpus) -> None:
    """Raise CorpusError, saying how the corpus can be had, where it cannot be fetched."""
    if isinstance(corpus.source, Form):
        raise CorpusError(
            f"{corpus.name} is given out on request only. {corpus.source.instructions}"
        )
    if corpus.source is None:
        raise CorpusError(
            f"{corpus.name} is published nowhere that it could be fetched from. With a copy: "
            f"`ser corpus add {corpus.name} PATH`."
        )


def _fetch_archive(archive: Archive, corpus: Corpus, cache: Path, download: Download) -> Path:
    name = PurePosixPath(urlsplit(archive.url).path).name or "archive"
    dest = cache / safe_path(name, archive.url)
    download([Remote(archive.url, dest, archive.size, archive.md5)], doing=corpus.name)
    return dest


def _fetch_lfs(lfs: LfsRepository, corpus: Corpus, cache: Path, download: Download) -> Path:
    """The repository's own archive holds pointers; each names its recording by SHA-256."""
    url = f"{lfs.host}/{lfs.repository}/zip/refs/heads/{quote(lfs.branch)}"
    archive, pointers, files = (cache / name for name in ("pointers.zip", "pointers", "files"))
    # A branch moves: the pointers are those of now, and what fits them is not fetched again.
    archive.unlink(missing_ok=True)
    shutil.rmtree(pointers, ignore_errors=True)
    pointers.mkdir()
    download([Remote(url, archive)], doing=f"{corpus.name}: list")

    def wanted(path: PurePosixPath) -> bool:
        # GitHub puts everything into one folder, REPOSITORY-BRANCH.
        inside = PurePosixPath(*path.parts[1:])
        in_folder = inside.is_relative_to(lfs.folder)
        return is_corpus_file(inside, corpus) and (in_folder or not is_audio(inside))

    unpack(archive, pointers, wanted)
    remotes = []
    for name in listed_files(pointers):
        inside = PurePosixPath(*PurePosixPath(name).parts[1:])
        target = files / inside
        if is_audio(inside):
            oid, size = _pointer(pointers / name)
            media = f"{lfs.media}/{lfs.repository}/{quote(lfs.branch)}/{quote(str(inside))}"
            remotes.append(Remote(media, target, size, sha256=oid))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            (pointers / name).replace(target)
    if not remotes:
        raise CorpusError(f"{url} lists no recordings in {lfs.folder}. See {corpus.homepage}.")
    _fetch_files(remotes, corpus, files, download)
    return files


def _fetch_dataverse(
    dataverse: Dataverse, corpus: Corpus, cache: Path, download: Download, patience: Patience
) -> Path:
    query = urlencode({"persistentId": dataverse.doi})
    url = f"{dataverse.server}/api/datasets/:persistentId/?{query}"
    files = cache / "files"
    try:
        listing = get_json(url, patience=patience)["data"]["latestVersion"]["files"]
        remotes = [
            remote
            for entry in listing
            if (remote := _dataverse_file(dataverse.server, entry, files, corpus))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise FetchError(
            f"{url} answers with no listing as Dataverse writes it ({error!r}). "
            f"See {corpus.homepage}."
        ) from error
    if not remotes:
        raise CorpusError(f"{url} lists no recordings of {corpus.name}. See {corpus.homepage}.")
    _fetch_files(remotes, corpus, files, download)
    return files


def _fetch_files(
    remotes: Sequence[Remote], corpus: Corpus, files: Path, download: Download
) -> None:
    """Fetch all, and drop files of an earlier attempt that the list no longer names."""
    targets = [remote.dest for remote in remotes]
    check_distinct([target.relative_to(files) for target in targets], corpus.homepage)
    if files.exists():
        for name in listed_files(files):
            if is_audio(PurePosixPath(name)) and files / name not in set(targets):
                (files / name).unlink()
    try:
        download(remotes, doing=corpus.name)
    except FetchError as error:
        raise FetchError(
            f"{error} {corpus.homepage} may name other places; a copy comes in with "
            f"`ser corpus add {corpus.name} PATH`."
        ) from error


def _pointer(path: Path) -> tuple[str, int]:
    """SHA-256 and size that a Git LFS pointer names."""
    with path.open("rb") as file:
        text = file.read(MAX_POINTER).decode(errors="replace")
    match = POINTER.fullmatch(text)
    if match is None:
        raise CorpusError(
            f"{path} begins with {text[:40]!r}; expected a Git LFS pointer. Clone the repository "
            "with git-lfs, and add that folder."
        )
    return match["oid"], int(match["size"])


def _dataverse_file(
    server: str, entry: Mapping[str, Any], files: Path, corpus: Corpus
) -> Remote | None:
    """A file of the listing; None for one that the corpus does not need."""
    facts = entry["dataFile"]
    folder = entry.get("directoryLabel", "")
    name = safe_path(f"{folder}/{facts['filename']}".lstrip("/"), server)
    if not is_corpus_file(name, corpus):
        return None
    checksum = facts.get("checksum") or {"type": "MD5", "value": facts["md5"]}
    algorithm = checksum["type"].replace("-", "").lower()
    if algorithm not in ("md5", "sha256"):
        raise CorpusError(
            f"{server} names a {checksum['type']} of {name}; MD5 and SHA-256 are checked. Fetch "
            "the files by hand, and add the folder."
        )
    return Remote(
        f"{server}/api/access/datafile/{int(facts['id'])}",
        files / name,
        int(facts["filesize"]),
        **{algorithm: str(checksum["value"])},
    )
