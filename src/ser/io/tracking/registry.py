"""What changes the registry: new versions, the aliases, and the journal of every verdict.

MLflow keeps no history of aliases, so a verdict is first a row of `mlruns/promotions.jsonl`,
then an alias, then tags. What a kill in between leaves, and what people change in MLflow's UI,
`agree` notices and mends. A version's files are checked whenever they are fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ser.bundle import bundle_sha256 as hash_bundle
from ser.errors import DamagedVersion, NoChampion, RegistryError
from ser.io.tracking import agreement, journal
from ser.io.tracking.address import shown_uri
from ser.io.tracking.agreement import Finding, compare, last_change, succession, verdict_tags
from ser.io.tracking.bundles import defect, fetch_bundle
from ser.io.tracking.health import lookup, store_errors
from ser.io.tracking.journal import locked
from ser.io.tracking.packaging import log_model
from ser.io.tracking.records import write_record
from ser.io.tracking.store import as_default_store, connect
from ser.io.tracking.versions import (
    CHALLENGER,
    CHAMPION,
    MODEL,
    Version,
    all_versions,
    champion,
    get_version,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ser.core.scores.gate import Verdict

#: Tag of the registered model: the id of this store in the journal, also after a move.
IDENTITY = "ser.store"


def register(
    root: Path,
    bundle_dir: Path,
    *,
    run_id: str,
    bundle_sha256: str,
    scores: Mapping[str, float],
    tags: Mapping[str, object] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Version:
    """Log the bundle as a pyfunc model of its training run and make it the challenger.

    scores : logged as tags of the version, rounded to four digits.
    tags : more tags, such as split_sha256, corpora and protocol.
    record : written as lineage.json beside the bundle.
    Raises RegistryError where the bundle is not the one that `bundle_sha256` names.
    """
    if hash_bundle(bundle_dir) != bundle_sha256:
        raise RegistryError(
            f"{bundle_dir} is not the bundle that was trained: its SHA-256 is not "
            f"{bundle_sha256[:12]}…. Train again: `dvc repro --force -s train`, then `make run`."
        )
    client = connect(root)
    every_tag = {
        "bundle_sha256": bundle_sha256,
        **{name: f"{score:.4f}" for name, score in scores.items()},
        **{name: str(value) for name, value in (tags or {}).items()},
    }
    with locked(root), as_default_store(root):
        with store_errors(root):
            model_id = log_model(
                root, bundle_dir, run_id=run_id, name=MODEL, bundle_sha256=bundle_sha256
            )
        if record is not None:
            write_record(root, model_id, run_id, record)
        _create_model(client)
        created = client.create_model_version(
            MODEL, f"models:/{model_id}", run_id, tags=every_tag, model_id=model_id
        )
        client.set_registered_model_alias(MODEL, CHALLENGER, created.version)
        return get_version(root, int(created.version))


def attempt(
    root: Path, version: Version, judge: Callable[[Version | None], Verdict]
) -> tuple[Version, Verdict]:
    """Judge `version` against the champion, then promote it or keep the champion.

    No lock is held while `judge` runs, for minutes maybe; where the champion has changed
    meanwhile, it is called again with the new one.
    Raises DamagedVersion where a version to be promoted cannot be loaded.
    """
    while True:
        against = champion(root)
        verdict = judge(against)
        if verdict.promote:
            fetch_bundle(root, version)
        figures = {"delta_uar": verdict.delta_uar, "probability": verdict.probability}
        if verdict.ci95:
            figures["ci95_low"], figures["ci95_high"] = verdict.ci95
        with locked(root):
            agree(root)
            if _number(champion(root)) == _number(against):
                event = "promoted" if verdict.promote else "kept"
                return _write(root, event, version, verdict.reason, figures), verdict


def promote(root: Path, version: Version, *, reason: str) -> Version | None:
    """Make `version` the champion, whatever the gate says; None where it is already.

    Raises DamagedVersion where it cannot be loaded.
    """
    fetch_bundle(root, version)
    with locked(root):
        agree(root)
        last = last_change(agreement.hold(_history(root)))
        # Where people moved the alias to it, a row says that this was meant.
        by_command = last is not None and last["event"] in agreement.MOVES
        if by_command and _number(champion(root)) == version.version:
            return None
        return _write(root, "promoted", version, reason)


def roll_back(root: Path, version: int | None = None, *, reason: str) -> Version:
    """Give the alias back to an earlier champion.

    version : None for the champion before this one; again, the one before that. Those that are
        deleted, were refused by the gate, or cannot be loaded, are passed over.
    """
    with locked(root):
        agree(root)
        return _write(root, "rolled_back", rolled_back_to(root, version), reason)


def rolled_back_to(root: Path, version: int | None = None) -> Version:
    """The version that `roll_back` would make champion; raises where there is none."""
    now = champion(root)
    if now is None:
        raise NoChampion(
            "No champion, so there is nothing to roll back from. `make run` gives the place "
            "to the last one that can be loaded, `ser promote VERSION` to another."
        )
    if version is None:
        before = _predecessor(root, now)
        if before is None:
            raise RegistryError(
                f"Version {now.version} has no predecessor in the journal that can be loaded; "
                "name the version to serve with `ser promote VERSION`."
            )
        return before
    known = {v.version: v for v in all_versions(root)}
    changes = agreement.hold(_history(root))
    served = {row["version"] for row in changes if row["event"] in agreement.CHANGES}
    served |= {row["previous"] for row in changes}
    earlier = {n: v for n, v in known.items() if n in served and n != now.version}
    if version in earlier and not defect(root, earlier[version]):
        return earlier[version]
    if version == now.version:
        why = "is the champion"
    elif version not in known:
        why = "does not exist"
    else:
        why = "cannot be loaded" if version in earlier else "never was champion"
    others = [str(n) for n, v in earlier.items() if not defect(root, v)]
    remedy = (
        f"earlier champions that can be loaded: {', '.join(others)}"
        if others
        else "no earlier champion can be loaded"
    )
    raise RegistryError(f"Version {version} {why}; {remedy}. Any other: `ser promote VERSION`.")


def agree(root: Path) -> list[str]:
    """Mend what journal and registry disagree on; returns what was found, a line each.

    Raises RegistryError where the registered model was renamed, or the journal cannot be read.
    """
    with locked(root):
        if missing := _missing_model(root):
            return missing
        return [
            " ".join(filter(None, (finding.found, _mend(root, finding), finding.remedy)))
            for finding in _findings(root)
        ]


def disagreement(root: Path) -> str | None:
    """What `agree` would find, a line each; only reads. None where all agrees."""

    def look() -> list[str]:
        return _missing_model(root) or [f"{f.found} {f.remedy}".strip() for f in _findings(root)]

    found = look()
    if found:
        # A promotion may have been half done. A project that cannot be written has none.
        with suppress(RegistryError), locked(root):
            found = look()
    return "\n".join(found) or None


def check_champion(root: Path, *, otherwise: Version) -> Version | None:
    """The champion; raises DamagedVersion, which names what to do, where it cannot be loaded.

    otherwise : a version that can be loaded, whatever its verdict.
    """
    current = champion(root)
    wrong = defect(root, current) if current else None
    if current is None or wrong is None:
        return current
    ways = [f"`ser promote {otherwise.version}` makes today's model champion"]
    if before := _predecessor(root, current):
        ways.insert(0, f"`ser roll-back` serves version {before.version} again")
    raise DamagedVersion(f"The champion cannot serve: {wrong.found}", f"{'; '.join(ways)}.")


def _write(
    root: Path,
    event: str,
    version: Version,
    reason: str,
    figures: Mapping[str, Any] | None = None,
) -> Version:
    """Write a row of the journal, then move the alias, then set tags, as the event demands.

    Where the alias or the tags fail, the row is taken back. Call it under the lock, where journal
    and registry agree.
    """
    client, number = connect(root), str(version.version)
    row = journal.new_row(
        event=event,
        version=version.version,
        previous=_number(champion(root)),
        store=_identity(client),
        reason=reason,
        **(figures or {}),
    )
    tags = verdict_tags(row) if event in ("promoted", "kept") else {}
    before = journal.append(root, row)
    try:
        if event in agreement.MOVES:
            client.set_registered_model_alias(MODEL, CHAMPION, number)
            tags = {agreement.SINCE: row["at"], **tags}
        for name, value in tags.items():
            client.set_model_version_tag(MODEL, number, name, value)
    except Exception:
        # The alias may be moved although the store's answer was lost.
        if event == "kept" or not _serves(root, version):
            journal.take_back(root, before)
        raise
    return get_version(root, version.version)


def _findings(root: Path) -> list[Finding]:
    versions = all_versions(root)
    known = {v.version: v for v in versions}
    findings = compare(_history(root), versions)
    for i, finding in enumerate(findings):
        if finding.kind in agreement.FOUND:
            wrong = defect(root, known[finding.version])
            if wrong:
                findings[i] = replace(finding, found=f"{finding.found} {wrong.found}")
    return findings


def _mend(root: Path, finding: Finding) -> str:
    """Do what the finding asks for; returns what was done."""
    client, number = connect(root), str(finding.version)
    if finding.kind == "vacant":
        return _reinstate(root)
    if finding.kind == "challenger":
        client.set_registered_model_alias(MODEL, CHALLENGER, number)
        return "It is now."
    if finding.kind == "tags":
        for name, value in finding.tags.items():
            client.set_model_version_tag(MODEL, number, name, value)
        return "They are set again."
    row = journal.new_row(
        event=finding.kind,
        version=finding.version,
        previous=finding.previous,
        store=_identity(client),
        reason=finding.found,
    )
    journal.append(root, row)
    if finding.kind in agreement.FOUND:
        client.set_model_version_tag(MODEL, number, agreement.SINCE, row["at"])
    return "That is recorded."


def _reinstate(root: Path) -> str:
    """Make the last champion that can be loaded champion again; returns what was done."""
    line = succession(agreement.hold(_history(root)))
    if not line:
        # Without a journal: the last version with the verdict.
        line = [v.version for v in all_versions(root) if v.verdict == "promoted"][::-1]
    found = _loadable(root, reversed(line))
    if found is None:
        return "No earlier champion can be loaded: `make run` makes today's model champion."
    reason = "The alias was gone; this is the last champion that can be loaded."
    _write(root, "reinstated", found, reason)
    return f"Version {found.version} has it again."


def _missing_model(root: Path) -> list[str]:
    """What is to be said where the journal's registry has no model of our name."""
    client, rows = connect(root), journal.rows(root)
    if not rows or lookup(client.get_registered_model, MODEL) is not None:
        return []
    stores = {row["store"] for row in rows if row.get("store")}
    for model in client.search_registered_models():
        if model.tags.get(IDENTITY) in stores:
            raise RegistryError(
                f"The registered model {MODEL} was renamed to {model.name!r} in {shown_uri(root)}. "
                f"Rename it back in MLflow's UI, or delete its tag {IDENTITY} to begin a new one."
            )
    return [
        f"{shown_uri(root)} has no model {MODEL}, but the journal has rows of another: it was "
        "deleted, or this is another store. The next version begins a new history."
    ]


def _serves(root: Path, version: Version) -> bool:
    current = champion(root)
    return current is not None and current.version == version.version


def _number(version: Version | None) -> int | None:
    return version.version if version else None


def _history(root: Path) -> list[journal.Row]:
    """The journal's rows of this very registry."""
    return journal.rows_of(root, _identity(connect(root), create=False))


def _predecessor(root: Path, version: Version) -> Version | None:
    """The nearest champion before `version` that can be loaded."""
    line = succession(agreement.hold(_history(root)))
    return _loadable(root, (number for number in reversed(line) if number != version.version))


def _loadable(root: Path, numbers: Iterable[int]) -> Version | None:
    """The first of these versions that exists, was not refused by the gate, and can be loaded."""
    known = {v.version: v for v in all_versions(root)}
    found = (known[number] for number in dict.fromkeys(numbers) if number in known)
    return next((v for v in found if v.verdict != "kept" and not defect(root, v)), None)


def _identity(client: MlflowClient, *, create: bool = True) -> str:
    """The registry's own id, which is made with the first row; "" where there is none yet."""
    model = lookup(client.get_registered_model, MODEL)
    if model is None:
        return ""
    found = model.tags.get(IDENTITY, "")
    if not found and create:
        found = uuid4().hex
        client.set_registered_model_tag(MODEL, IDENTITY, found)
    return str(found)


def _create_model(client: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            MODEL, description="Speech emotion recognition: one utterance in, an emotion out."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
