"""Who serves: the gate's attempts, promotions and roll-backs by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import DamagedVersion, NoChampion, RegistryError
from ser.io.tracking.registry import agreement
from ser.io.tracking.registry.agreement import last_change, succession
from ser.io.tracking.registry.bundles import defect, fetch_bundle
from ser.io.tracking.registry.change import history, loadable, number_of, write
from ser.io.tracking.registry.journal import locked
from ser.io.tracking.registry.mending import agree
from ser.io.tracking.registry.versions import MODEL, Version, all_versions, champion
from ser.io.tracking.store import connect

if TYPE_CHECKING:
    from ser.core.gate.verdict import Verdict

#: Tag of a version, see `conclude`.
CONCLUDED = "concluded"


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
        with locked(root):
            agree(root)
            if number_of(champion(root)) == number_of(against):
                event = "promoted" if verdict.promote else "kept"
                return write(root, event, version, verdict.reason, _figures(verdict)), verdict


def _figures(verdict: Verdict) -> dict[str, Any]:
    """What of a verdict stands in the journal."""
    low, high = verdict.ci95 or (None, None)
    return {
        "delta_uar": verdict.delta_uar,
        "probability": verdict.probability,
        "ci95_low": low,
        "ci95_high": high,
        "rules_failed": ", ".join(rule.name for rule in verdict.rules if rule.failed) or None,
        "tested": verdict.tested,
        "held_back": "+".join(verdict.held_back) or None,
        "gate": verdict.gate,
    }


def stands(root: Path, version: Version, gate: str) -> bool:
    """Whether `version` was judged, and nothing that the verdict rests on has changed since.

    gate : hash of the section gate. A refused version is judged again by other rules, and where
    the champion that it was refused for is gone.
    """
    vacant = champion(root) is None
    if version.verdict != "kept":
        return version.verdict is not None and not vacant
    verdicts = [
        row
        for row in agreement.hold(history(root))
        if row["event"] == "kept" and row["version"] == version.version
    ]
    if not verdicts:
        return not vacant
    last = verdicts[-1]
    # Rows of former releases have no such hash.
    return last.get("gate") in (gate, None) and not (vacant and last["previous"] is not None)


def is_concluded(version: Version) -> bool:
    """Whether what follows a verdict was done; it is not where a kill came in between."""
    return CONCLUDED in version.tags


def conclude(root: Path, version: Version) -> None:
    """Say that what follows the verdict on a version was done: pages, canary, report, news."""
    if not is_concluded(version):
        connect(root).set_model_version_tag(MODEL, str(version.version), CONCLUDED, "true")


def promote(root: Path, version: Version, *, reason: str) -> Version | None:
    """Make `version` the champion, whatever the gate says; None where it is already.

    Raises DamagedVersion where it cannot be loaded.
    """
    fetch_bundle(root, version)
    with locked(root):
        agree(root)
        last = last_change(agreement.hold(history(root)))
        # Where people moved the alias to it, a row says that this was meant.
        by_command = last is not None and last["event"] in agreement.MOVES
        if by_command and number_of(champion(root)) == version.version:
            return None
        return write(root, "promoted", version, reason)


def roll_back(root: Path, version: int | None = None, *, reason: str) -> Version:
    """Give the alias back to an earlier champion.

    version : None for the champion before this one; again, the one before that. Those that are
        deleted, were refused by the gate, or cannot be loaded, are passed over.
    """
    with locked(root):
        agree(root)
        return write(root, "rolled_back", rolled_back_to(root, version), reason)


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
    changes = agreement.hold(history(root))
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


def _predecessor(root: Path, version: Version) -> Version | None:
    """The nearest champion before `version` that can be loaded."""
    line = succession(agreement.hold(history(root)))
    return loadable(root, (number for number in reversed(line) if number != version.version))
