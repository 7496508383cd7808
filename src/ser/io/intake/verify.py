"""Whether files still have the bytes that they came in with: corpora, and DVC's own copies.

DVC trusts an object that is in its cache: bytes that rot there come back with `dvc checkout`,
and `dvc status` calls them up to date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.core.utterance.formats import is_audio
from ser.corpora.base import Corpus, recordings_digest
from ser.corpora.published.marks import published_mark, published_marks
from ser.errors import CorpusError, DamagedCache
from ser.files import hash_files
from ser.io.intake.checksums import SUMS, changed, listed_files, read_sums
from ser.io.intake.dvc import tracked_md5
from ser.io.intake.names import safe_path
from ser.project import RAW

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Verified:
    """What `verify` found of a corpus.

    damaged, copies : a line for each file of data/raw or of DVC's cache, paths as in the project.
    as_published : None where the publication's digest is not known.
    unpublished : recordings that came in with other bytes than the publication's, or beside it.
    """

    recordings: int
    damaged: tuple[str, ...]
    copies: tuple[str, ...]
    as_published: bool | None
    unpublished: tuple[str, ...] = ()


def verify(
    root: Path, name: str, corpus: Corpus | None = None, *, progress: Progress | None = None
) -> Verified:
    """Check data/raw/NAME against its SHA256SUMS, and DVC's copy of it against its names.

    `progress` is called with counts of hashed files. Raises CorpusError where there is nothing
    to check against.
    """
    out = RAW / name
    folder, md5 = root / out, tracked_md5(root, out)
    if not folder.is_dir():
        raise CorpusError(f"{out} does not exist; expected a corpus. Try `dvc checkout {out}`.")
    sums = read_sums(folder) if (folder / SUMS).exists() else {}
    # The embedded corpus is a stage's out: only DVC has hashes of it.
    listing = {} if sums else _listing(root, md5)
    if not sums and not listing:
        raise CorpusError(
            f"{out} has no {SUMS}, and DVC has no hashes of it. Let `ser corpus add {name} "
            f"{out}` take it in as it is."
        )
    changes = changed(folder, sums or listing, "sha256" if sums else "md5", progress=progress)
    wrong = {*changes.missing, *changes.changed}
    damaged = (
        *(f"{out / file} is missing" for file in changes.missing),
        *(f"{out / file} has other bytes" for file in changes.changed),
        *(f"{out / file} is not listed in {SUMS}" for file in changes.unlisted),
    )
    copies = []
    if md5:
        sound = sums.keys() - wrong
        for file, path in damaged_objects(root, out, md5, sound=sound, progress=progress):
            copies.append(f"{_copy(root, path, out / file)}, has other bytes")
    recordings = [file for file in sums or listed_files(folder) if is_audio(Path(file))]
    published = None
    if corpus and corpus.digest and sums:
        digest = recordings_digest((file, sums[file]) for file in recordings)
        published = digest == corpus.digest and not wrong
    others = unpublished(corpus, sums) if corpus and not published else ()
    return Verified(len(recordings), damaged, tuple(copies), published, others)


def unpublished(corpus: Corpus, sums: Mapping[str, str]) -> tuple[str, ...]:
    """Recordings, SHA-256 by path, that differ from the publication's, where these are known."""
    known = published_marks(corpus.name)
    return tuple(
        file
        for file in sums
        if known is not None
        and is_audio(Path(file))
        and published_mark(file, sums[file]) not in known
    )


def damaged_objects(
    root: Path,
    out: Path,
    md5: str,
    *,
    sound: Collection[str] = (),
    progress: Progress | None = None,
) -> list[tuple[str, Path]]:
    """Objects in DVC's cache whose bytes do not hash to their names: (file of the out, object).

    out : a path that DVC tracks. md5 : its hash, `….dir` for a folder.
    sound : files of the out that were found intact; where DVC links one to its object, the
        object is not read again.
    Objects that are not in the cache are left out: DVC itself notices that.
    """
    cache = cache_folder(root)
    own = _object(cache, md5)
    if not own.exists():
        return []
    if hash_files({"": own}, "md5").get("") != md5.removesuffix(".dir"):
        return [(".", own)]
    listing = _listing(root, md5)
    unread = {
        file: path
        for file, name in listing.items()
        if (path := _object(cache, name)).exists()
        and not (file in sound and path.samefile(root / out / file))
    }
    if progress:
        progress(len(listing) - len(unread))
    found = hash_files(unread, "md5", progress=progress)
    return [(file, path) for file, path in unread.items() if found.get(file) != listing[file]]


def check_cache(root: Path, outs: Sequence[Path]) -> None:
    """Raise DamagedCache where DVC's cache holds other bytes of the outs than its names promise."""
    for out in outs:
        md5 = tracked_md5(root, out)
        damaged = damaged_objects(root, out, md5) if md5 else []
        if damaged:
            file, path = damaged[0]
            more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
            raise DamagedCache(
                f"{_copy(root, path, out / file)}{more}, does not hash to its name: "
                f"`dvc checkout` would bring these bytes here. Delete it, then `dvc commit {out}` "
                "or `dvc pull`."
            )


def _copy(root: Path, path: Path, file: Path) -> str:
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{shown}, DVC's copy of {file}"


def cache_folder(root: Path) -> Path:
    """DVC's cache as DVC finds it, by its system, global, project and local settings."""
    from dvc.config import Config, ConfigError

    try:
        settings = Config(dvc_dir=str(root / ".dvc"))
        cache = settings["cache"]
        if "local" in cache:
            place = settings["remote"][cache["local"]]["url"]
        else:
            place = cache.get("dir", root / ".dvc" / "cache")
    except (ConfigError, KeyError) as error:
        raise DamagedCache(
            f"DVC's settings name no cache ({error}). Mend .dvc/config, or the global one: "
            "`dvc config --list --show-origin` shows them."
        ) from error
    return Path(place)


def _object(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _listing(root: Path, md5: str | None) -> dict[str, str]:
    """Relative path -> MD5 of a tracked folder's files; {} where DVC's cache has no listing."""
    if md5 is None or not md5.endswith(".dir"):
        return {}
    path = _object(cache_folder(root), md5)
    try:
        return {
            str(safe_path(entry["relpath"], str(path))): str(entry["md5"])
            for entry in json.loads(path.read_bytes())
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path} is damaged; expected DVC's listing of a folder. Delete it, then `dvc pull` or "
            "add the corpus again."
        ) from error
