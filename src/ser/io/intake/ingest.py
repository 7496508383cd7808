"""A corpus from a folder or an archive into data/raw, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ser.core.utterance.formats import is_audio
from ser.corpora.base import Corpus, recordings_digest, utterances
from ser.corpora.catalogue import label_files, list_recordings
from ser.corpora.listing import describe, is_hidden, leading_out, list_folder, suffix_of
from ser.errors import CorpusError, DoubledRecordings, way_out
from ser.files import hash_files, one_at_a_time
from ser.io.intake.archive import unpack
from ser.io.intake.checksums import SUMS, damage, hashes, listed_files, read_sums, write_sums
from ser.io.intake.names import check_distinct, safe_path

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Ingested:
    """Recordings that came in, and all that are there now.

    notes : what a person should read about the source, a line each.
    new : the recordings that came in, relative to the corpus's folder.
    """

    added: int
    total: int
    notes: tuple[str, ...] = field(default=(), compare=False)
    new: tuple[str, ...] = field(default=(), compare=False)


def ingest(
    source: Path,
    dest: Path,
    corpus: Corpus,
    *,
    as_published: bool = False,
    notes: Mapping[str, bytes] | None = None,
) -> Ingested:
    """Copy the recordings and label files of `source`, a folder or an archive, into `dest`.

    A corpus at `dest` grows: files of the same path and bytes are left alone, new ones are added,
    other bytes are refused. Damaged or deleted files at `dest` are restored if the source has
    them, else nothing comes in. Every name must be one of the corpus. SHA256SUMS is written beside
    the files. Raises MissingCorpus or CorpusError, and then `dest` is untouched.

    as_published : refuse recordings whose digest is not the corpus's.
    notes : label files by relative path that the caller made and vouches for, for all that is
        at `dest` afterwards; they take the place of the source's.
    """
    notes = notes or {}
    with one_at_a_time(dest), _scratch(dest) as scratch:
        try:
            _recover(dest)
            folder, others = _as_folder(source, scratch / "unpacked", corpus)
            found, doubled = _once(folder, corpus, list_recordings(folder, corpus))
            recordings = [str(file) for file in found]
            labelling = {f for f in listed_files(folder) if _is_label_file(PurePath(f), corpus)}
            files = sorted({*recordings, *labelling} - notes.keys())
            _check_links(source, folder, files)
            _check_contents(source, folder, recordings)
            sums = hashes(folder, files)
            if as_published:
                _check_published(source, corpus, {file: sums[file] for file in recordings})
            here = _sums_of(dest)
            if not notes:
                moved = _elsewhere(recordings, sums, here)
                recordings = [file for file in recordings if file not in moved]
                sums = {file: sha256 for file, sha256 in sums.items() if file not in moved}
            _check_names(source, [*sums, *notes], dest)
            sums |= {file: hashlib.sha256(note).hexdigest() for file, note in notes.items()}
            found_here = hash_files({file: dest / file for file in here}, "sha256")
            damaged = [file for file in here if found_here.get(file) != here[file]]
            if lost := [file for file in damaged if sums.get(file) != here[file]]:
                raise damage(dest, lost)
            new = [*_new_files(source, dest, sums, here, set(recordings)), *damaged]
            if new or (here and not (dest / SUMS).exists()):
                build = scratch / "build"
                _link_all(dest, build)
                for file in new:
                    _bring(folder / file, build / file, notes.get(file), ours=folder != source)
                if here and not notes:
                    _check_labels(source, dest, build, corpus)
                write_sums(build, {**here, **sums})
                _swap(build, dest)
        except OSError as error:
            raise _not_copied(error, dest) from error
    before = {file for file in here if is_audio(PurePath(file))}
    added = sorted(set(recordings) - before)
    remarks = []
    if doubled:
        remarks.append(f"{doubled} recordings are there twice, with the same bytes; taken once.")
    # Of a user's own folder, whoever made the labels reports what is not taken.
    if others and not notes:
        remarks.append(f"Not taken: {describe(others)}.")
    return Ingested(
        added=len(added),
        total=len(before | set(recordings)),
        notes=tuple(remarks),
        new=tuple(added),
    )


@contextmanager
def unpacked(source: Path, near: Path) -> Iterator[Path]:
    """`source` if it is a folder, else what the archive holds, in a hidden folder in `near`.

    Raises MissingCorpus, or CorpusError, which names the archive.
    """
    if os.path.isdir(source):
        yield source
        return
    near.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacked.", suffix=".tmp", dir=near) as temporary:
        try:
            unpack(source, Path(temporary), lambda path: not path.name.startswith("."))
            yield Path(temporary)
        except CorpusError as error:
            raise CorpusError(str(error).replace(temporary, str(source))) from error
        except OSError as error:
            raise _not_copied(error, near / source.name) from error


def is_corpus_file(path: PurePath, corpus: Corpus) -> bool:
    """True for a recording or label file of the corpus, by its relative path."""
    return (is_audio(path) and corpus.belongs(path)) or _is_label_file(path, corpus)


def _is_label_file(path: PurePath, corpus: Corpus) -> bool:
    # `match` looks from the right: any folders may stand before what the pattern names.
    return any(path.match(pattern.removeprefix("**/")) for pattern in corpus.labelling)


def _as_folder(source: Path, unpacked: Path, corpus: Corpus) -> tuple[Path, Counter[str]]:
    """The folder to read the corpus's files from, and counts of other files, by suffix."""
    if os.path.isdir(source):

        def aside(path: PurePath) -> bool:
            return _is_label_file(path, corpus) or path.name == SUMS

        return source, list_folder(source, corpus.belongs, aside=aside).others
    others: Counter[str] = Counter()

    def wanted(path: PurePath) -> bool:
        if not (taken := is_corpus_file(path, corpus)) and not is_hidden(path):
            others[suffix_of(path)] += 1
        return taken

    unpacked.mkdir()
    unpack(source, unpacked, wanted)
    return unpacked, others


def _once(folder: Path, corpus: Corpus, found: list[PurePath]) -> tuple[list[PurePath], int]:
    """The recordings, each once, and how many identical copies of them are left out.

    Mirrors hold some corpora twice. Raises CorpusError where a name is not one of the corpus.
    """
    try:
        corpus.label(folder, found)
    except DoubledRecordings as error:
        copies = {again for _, again in error.pairs}
        paths = {str(file): folder / file for pair in error.pairs for file in pair}
        sums = hash_files(paths, "sha256")
        others = [pair for pair in error.pairs if len({sums.get(str(file)) for file in pair}) > 1]
        if others:
            raise DoubledRecordings(others, why="but have other bytes") from error
        once = [file for file in found if file not in copies]
        corpus.label(folder, once)
        return once, len(copies)
    return found, 0


def _elsewhere(recordings: list[str], sums: Mapping[str, str], here: Mapping[str, str]) -> set[str]:
    """Recordings that are at the destination under the same name, in another folder."""
    known = {(PurePath(file).name, sha256) for file, sha256 in here.items()}
    return {
        file
        for file in recordings
        if file not in here and (PurePath(file).name, sums[file]) in known
    }


def _check_links(source: Path, folder: Path, files: list[str]) -> None:
    """A link may bring in a file that its maker could not read, and this user can."""
    if outside := leading_out(folder, map(PurePath, files)):
        raise CorpusError(
            f"{source}: {outside[0]} is a link to {os.path.realpath(folder / outside[0])}, outside "
            f"of the folder ({len(outside)} such links); refused. Put the recording itself there: "
            "`cp -rL` copies it."
        )


def _check_names(source: Path, files: list[str], dest: Path) -> None:
    paths = [PurePath(safe_path(file, str(source))) for file in files]
    here = [PurePath(file) for file in listed_files(dest)] if dest.is_dir() else []
    check_distinct(paths, str(source))
    check_distinct({*paths, *here}, f"{source} and {dest}")


def _check_contents(source: Path, folder: Path, recordings: list[str]) -> None:
    for file in recordings:
        with (folder / file).open("rb") as content:
            if content.read(len(LFS_POINTER)) == LFS_POINTER:
                raise CorpusError(
                    f"{source}: {file} is a Git LFS pointer, not a recording. Run `git lfs pull` "
                    "there, or let `ser corpus fetch` do it."
                )


def _check_published(source: Path, corpus: Corpus, sums: Mapping[str, str]) -> None:
    if corpus.digest is None or recordings_digest(sums.items()) == corpus.digest:
        return
    if len(sums) == corpus.utterances:
        found = f"{len(sums)} recordings, as many as published, but other bytes"
    else:
        found = f"{len(sums)} recordings; {corpus.utterances} are published"
    raise CorpusError(
        f"{source} holds {found}. Nothing came in. If you want this copy as it is: "
        f"`ser corpus add {corpus.name} {source}`."
    )


def _sums_of(dest: Path) -> dict[str, str]:
    """Hashes of the files at `dest`: those of its list, so that damage is not accepted."""
    if not dest.is_dir():
        return {}
    if (dest / SUMS).exists():
        return read_sums(dest)
    return hashes(dest, listed_files(dest))


def _new_files(
    source: Path,
    dest: Path,
    sums: Mapping[str, str],
    here: Mapping[str, str],
    recordings: Collection[str],
) -> list[str]:
    new = [file for file in sums if here.get(file) != sums[file]]
    if others := [file for file in new if file in here and file in recordings]:
        raise CorpusError(
            f"{others[0]} of {source} has other bytes than the one in {dest} "
            f"({len(others)} such files). Nothing came in. Rename it, or start afresh with "
            f"`ser corpus remove {dest.name}`."
        )
    return new


def _check_labels(source: Path, dest: Path, build: Path, corpus: Corpus) -> None:
    """A label file may label more recordings, but none of those that are here otherwise."""
    before, after = (dict(utterances(label_files(at, corpus))) for at in (dest, build))
    if others := [
        file for file, labels in before.items() if not {*labels} <= {*after.get(file, ())}
    ]:
        raise CorpusError(
            f"{source} labels {others[0]} otherwise than {dest} does ({len(others)} recordings). "
            "Nothing came in. Name a folder whose label files keep the labels that are there."
        )


def _link_all(folder: Path, build: Path) -> None:
    """The same files in another folder, as links: they take no room and keep their times."""
    build.mkdir()
    for file in [*listed_files(folder), SUMS] if folder.is_dir() else []:
        if (folder / file).exists():
            (build / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(folder / file, build / file, follow_symlinks=False)
            except OSError:
                shutil.copy2(folder / file, build / file, follow_symlinks=False)


def _bring(file: Path, target: Path, note: bytes | None, *, ours: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # The file there may be a link into DVC's cache: it is replaced, never written through.
    target.unlink(missing_ok=True)
    if note is not None:
        target.write_bytes(note)
    elif ours:
        file.replace(target)
    else:
        shutil.copyfile(file, target)


@contextmanager
def _scratch(dest: Path) -> Iterator[Path]:
    """A hidden folder beside `dest`, on its file system, deleted afterwards."""
    scratch = dest.with_name(f".{dest.name}.ingest.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _swap(build: Path, dest: Path) -> None:
    """`build` takes the place of `dest`; a kill in between is mended by `_recover`."""
    before = _before(dest)
    if dest.exists():
        dest.replace(before)
    build.replace(dest)
    shutil.rmtree(before, ignore_errors=True)


def _recover(dest: Path) -> None:
    before = _before(dest)
    if before.exists() and not dest.exists():
        before.replace(dest)
    elif before.exists():
        shutil.rmtree(before)


def _before(dest: Path) -> Path:
    return dest.with_name(f".{dest.name}.before.tmp")


def _not_copied(error: OSError, dest: Path) -> CorpusError:
    if remedy := way_out(error):
        return CorpusError(f"No room at {dest.parent} for {dest.name} ({error.strerror}). {remedy}")
    return CorpusError(
        f"{error.filename or dest} could not be copied to {dest} ({error.strerror or error}). "
        "Give access, then add the corpus again."
    )
