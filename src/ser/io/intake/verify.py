"""Whether what is on disk is still what came in: corpora, and DVC's own copies of anything.

DVC trusts an object that is in its cache: bytes that rot there come back with `dvc checkout`,
and `dvc status` calls them up to date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.core.utterance.formats import is_audio
from ser.corpora.base import Corpus, recordings_digest
from ser.corpora.published.marks import published_mark, published_marks
from ser.errors import CorpusError, DamagedCache
from ser.files import hash_files
from ser.io.intake.checksums import SUMS, Changes, changed, listed_files, read_sums
from ser.io.intake.dvc import tracked_md5
from ser.io.intake.names import safe_path
from ser.project import RAW

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Verified:
    """What `verify` found of a corpus.

    damaged, copies : one line a file of data/raw or of DVC's cache, paths as the project has them.
    as_published : None where the publication's digest is not known.
    unpublished : recordings that came in with other bytes than the publication's, or more.
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
    if (folder / SUMS).exists():
        sums = read_sums(folder)
        changes = changed(folder, progress=progress)
    elif listing := _listing(root, md5):
        # The embedded corpus is a stage's out: DVC's hashes are all that is known of it.
        sums = {}
        changes = _changed_md5(folder, listing, progress)
    else:
        raise CorpusError(
            f"{out} has no {SUMS}, and DVC knows no hashes of it. Let `ser corpus add {name} "
            f"{out}` take it in as it is."
        )
    wrong = {*changes.missing, *changes.changed}
    damaged = (
        *(f"{out / file} is missing" for file in changes.missing),
        *(f"{out / file} has other bytes" for file in changes.changed),
        *(f"{out / file} is not listed in {SUMS}" for file in changes.unlisted),
    )
    copies = []
    if md5:
        sound = set(listed_files(folder)) - wrong if sums else set()
        for file, path in damaged_objects(root, out, md5, sound=sound, progress=progress):
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            copies.append(f"{shown}, DVC's copy of {out / file}, has other bytes")
    recordings = [file for file in sums or listed_files(folder) if is_audio(Path(file))]
    published = None
    if corpus and corpus.digest and sums:
        digest = recordings_digest((file, sums[file]) for file in recordings)
        published = digest == corpus.digest and not wrong
    others = () if published or not sums or corpus is None else unpublished(folder, corpus) or ()
    return Verified(len(recordings), damaged, tuple(copies), published, others)


def unpublished(folder: Path, corpus: Corpus) -> tuple[str, ...] | None:
    """Recordings that came in other than published, by SHA256SUMS; None where not known."""
    known = published_marks(corpus.name)
    if known is None:
        return None
    sums = read_sums(folder)
    recordings = [file for file in sums if is_audio(Path(file))]
    if recordings_digest((file, sums[file]) for file in recordings) == corpus.digest:
        return ()
    return tuple(file for file in recordings if published_mark(file, sums[file]) not in known)


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
    if not md5.endswith(".dir"):
        return []
    objects = {file: _object(cache, name) for file, name in _listing(root, md5).items()}
    unread = {
        file: path
        for file, path in objects.items()
        if path.exists() and not (file in sound and path.samefile(root / out / file))
    }
    if progress:
        progress(len(objects) - len(unread))
    found = hash_files(unread, "md5", progress=progress)
    return [(file, path) for file, path in unread.items() if found.get(file) != _md5_of(path)]


def check_cache(root: Path, outs: Sequence[Path]) -> None:
    """Raise DamagedCache where DVC's cache holds other bytes of the outs than it says."""
    for out in outs:
        md5 = tracked_md5(root, out)
        damaged = damaged_objects(root, out, md5, sound=()) if md5 else []
        if damaged:
            file, path = damaged[0]
            more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            raise DamagedCache(
                f"{shown}, DVC's copy of {out / file}{more}, has other bytes than its name says: "
                f"`dvc checkout` would bring them here. Delete it, then `dvc commit {out}` or "
                "`dvc pull`."
            )


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


def _md5_of(path: Path) -> str:
    return path.parent.name + path.name


def _listing(root: Path, md5: str | None) -> dict[str, str]:
    """Relative path -> MD5 of a tracked folder's files; {} where DVC's cache does not say."""
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
            f"{path} is no listing of DVC any more: it is damaged. Delete it, then `dvc pull` or "
            "add the corpus again."
        ) from error


def _changed_md5(folder: Path, listing: dict[str, str], progress: Progress | None) -> Changes:
    here = set(listed_files(folder))
    present = {file: folder / file for file in listing if file in here}
    found = hash_files(present, "md5", progress=progress)
    return Changes(
        missing=tuple(sorted(listing.keys() - here)),
        changed=tuple(file for file in present if found.get(file) != listing[file]),
        unlisted=tuple(sorted(here - listing.keys())),
    )
