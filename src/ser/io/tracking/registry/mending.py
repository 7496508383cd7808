"""Journal and registry made to agree: after a kill, and where people changed MLflow by hand."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ser.errors import RegistryError
from ser.io.tracking.address import shown_uri
from ser.io.tracking.health import lookup
from ser.io.tracking.registry import agreement, journal
from ser.io.tracking.registry.agreement import Finding, compare, succession
from ser.io.tracking.registry.bundles import defect
from ser.io.tracking.registry.change import IDENTITY, history, identity, loadable, write
from ser.io.tracking.registry.journal import locked
from ser.io.tracking.registry.versions import CHALLENGER, MODEL, all_versions
from ser.io.tracking.store import connect


def agree(root: Path) -> list[str]:
    """Mend what journal and registry disagree on; returns what was found, a line each.

    Raises RegistryError where the registered model was renamed, or the journal cannot be read.
    """
    with locked(root):
        if missing := _missing_model(root):
            return missing
        return [
            " ".join(filter(None, (finding.found, _mend(root, finding), remedy)))
            for finding in _findings(root)
            # A champion that is missing is given back by now.
            for remedy in ["" if finding.kind == "vacant" else finding.remedy]
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


def _findings(root: Path) -> list[Finding]:
    versions = all_versions(root)
    known = {v.version: v for v in versions}
    findings = compare(history(root), versions)
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
        store=identity(client),
        reason=finding.found,
    )
    journal.append(root, row)
    if finding.kind in agreement.FOUND:
        client.set_model_version_tag(MODEL, number, agreement.SINCE, row["at"])
    return "That is recorded."


def _reinstate(root: Path) -> str:
    """Make the last champion that can be loaded champion again; returns what was done."""
    line = succession(agreement.hold(history(root)))
    if not line:
        # Without a journal: the last version with the verdict.
        line = [v.version for v in all_versions(root) if v.verdict == "promoted"][::-1]
    found = loadable(root, reversed(line))
    if found is None:
        return (
            "None that served before, and was not rolled back from, can be loaded: `make run` "
            "makes today's model champion, `ser promote VERSION` another."
        )
    reason = "The alias was gone; this is the last champion that can be loaded."
    write(root, "reinstated", found, reason)
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
