"""Manifest, features and embeddings of corpora for benchmarks, apart from the pipeline's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ser.corpora.catalogue import check_present
from ser.corpora.synthetic.speak import SYNTHETIC
from ser.errors import TableError
from ser.files import code_sha256, read_json, write_json
from ser.io.intake.exclusion import entries_of
from ser.params import Params
from ser.project import MANIFEST, MANIFESTS, RAW
from ser.stages import embed, featurize, gather, manifest, synthesize

#: Under the project's root; never versioned.
HOME = Path(".ser/benchmarks")
#: The source that a manifest depends on.
CODE = (
    *("core/splits", "core/utterance", "corpora", "io/audio", "io/intake", "io/storage"),
    "stages/manifest.py",
)
#: What the manifest was made of.
MADE_OF = "manifest.json"


def prepare(root: Path, params: Params) -> Path:
    """The folder of the corpora in `params.data.corpora`, with their manifest.

    Only what is new since the last time is computed. Raises MissingCorpus or UnknownCorpus.
    """
    corpora = params.data.corpora
    check_present(root, corpora)
    home = root / HOME / "+".join(corpora)
    # A list in a file of the project's is not in `home`.
    entries = dict.fromkeys(e for name in corpora for e in entries_of(root, params.data, name))
    data = params.data.model_copy(update={"exclude": tuple(entries)})
    params = params.model_copy(update={"data": data})
    before = _made_of(home / MADE_OF)
    content: dict[str, Any] = {}
    for name in corpora:
        raw = home / RAW / name
        raw.parent.mkdir(parents=True, exist_ok=True)
        recipe = None
        if name == SYNTHETIC.name:
            recipe = {"seed": params.seed, **params.synthetic.model_dump(mode="json")}
            if not raw.is_dir() or before.get(name, {}).get("synthetic") != recipe:
                synthesize.run(home, params)
        elif not raw.is_symlink():
            raw.symlink_to(root.resolve() / RAW / name, target_is_directory=True)
        content[name] = {"synthetic": recipe, **_content(raw, params)}
        if (
            before.get(name) != content[name]
            or not (home / MANIFESTS / f"{name}.parquet").is_file()
        ):
            manifest.run(home, params, name)
    if before != content or not (home / MANIFEST).is_file():
        gather.run(home, params)
        write_json(content, home / MADE_OF)
    return home


def extract(home: Path, params: Params) -> None:
    """Features and embeddings of those corpora, where they are not there yet."""
    featurize.run(home, params)
    if params.model.takes_encoder:
        embed.run(home, params)


def listing_sha256(folder: Path) -> str:
    """Hash of the names, sizes and times of all files under `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            entry = [path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns]
            digest.update(json.dumps(entry).encode())
    return digest.hexdigest()


def _content(raw: Path, params: Params) -> dict[str, object]:
    """What a manifest depends on."""
    return {
        "files": listing_sha256(raw),
        "code": code_sha256(*CODE),
        "needs": vars(manifest.needs_of(params.features)),
        "data": params.data.model_dump(mode="json", include={"exclude", "on_bad", "max_bad_share"}),
    }


def _made_of(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except TableError:
        return {}
