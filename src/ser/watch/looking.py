"""One look: the champion's reference, the traffic log, corrections; a document and a page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from ser.bundle import load_reference
from ser.core.drift.reference import Reference
from ser.errors import RegistryError
from ser.files import write_json, write_text
from ser.io.storage.traffic import VARIABLE
from ser.io.storage.traffic_latest import read_latest
from ser.io.tracking.registry import bundles, versions
from ser.monitoring.drift import Drift, limits_from, look_at
from ser.params import Params
from ser.project import DRIFT, DRIFT_PAGE
from ser.watch.late import Late, score
from ser.watch.look_file import read_look
from ser.watch.page import drift_page

#: Answers that are read: enough that a way to ask that few take is among them.
MOST_ROWS = 200_000
#: Earlier looks that the document keeps, for the picture of when it began.
MOST_LOOKS = 500


@dataclass(frozen=True)
class Look:
    """What a look found. rows : of the traffic log, the last ones; told : when drift was told
    last; earlier : (at, version, summary, over by slice) of former looks, oldest first."""

    drift: Drift
    late: Late
    reference: Reference
    rows: pd.DataFrame
    told: datetime | None
    earlier: tuple[Mapping[str, Any], ...]

    def tells(self, cooldown_hours: float) -> bool:
        """Whether drift is to be told: not again within the cooldown."""
        if not self.drift.drifted:
            return False
        return self.told is None or self.drift.at - self.told >= timedelta(hours=cooldown_hours)

    def as_told(self) -> Look:
        """The same look, after drift was told."""
        return replace(self, told=self.drift.at)

    def to_dict(self) -> dict[str, Any]:
        """As `reports/drift.json` has it."""
        return {
            **self.drift.to_dict(),
            "late_labels": self.late.to_dict(),
            "told": self.told.isoformat(timespec="seconds") if self.told else None,
            "looks": [*self.earlier, _line(self.drift)][-MOST_LOOKS:],
        }


def look(root: Path, params: Params, *, folder: Path | None = None) -> Look:
    """Compare what the champion answered last with its reference, and score it on late labels.

    folder : of the traffic log, instead of that of params.yaml. Raises NoChampion, RegistryError
    where the champion is damaged or has no reference, and TableError where the log is damaged.
    """
    champion = versions.resolve(root)
    bundle = bundles.fetch_bundle(root, champion)
    reference = load_reference(bundle)
    if reference is None:
        raise RegistryError(
            f"Version {champion.version} has no reference to compare answers with: a former "
            "release trained it. `make run` trains again."
        )
    now = datetime.now(UTC)
    rows = read_latest(
        folder or traffic_folder(root, params),
        bundle_sha256=champion.bundle_sha256,
        most=MOST_ROWS,
        since=(now - timedelta(params.serve.traffic.days)).date(),
    )
    before = read_look(root)
    drift = look_at(
        rows,
        reference,
        params.drift,
        at=now,
        version=champion.version,
        bundle_sha256=champion.bundle_sha256,
        known=limits_from(before),
        seed=params.seed,
    )
    late = score(root / params.serve.inbox.folder, bundle, champion.version)
    told = before.get("told")
    return Look(
        drift,
        late,
        reference,
        rows,
        datetime.fromisoformat(told) if told else None,
        tuple(before.get("looks", ())),
    )


def traffic_folder(root: Path, params: Params) -> Path:
    """Where answers are logged, see `open_traffic`."""
    named = os.environ.get(VARIABLE, "")
    if named and named.lower() != "off":
        return Path(named).expanduser()
    return root / params.serve.traffic.folder


def write(root: Path, found: Look) -> None:
    """Write the document and its page."""
    document = found.to_dict()
    write_json(document, root / DRIFT)
    write_text(drift_page(document, found.reference.values, found.rows), root / DRIFT_PAGE)


def _line(drift: Drift) -> dict[str, Any]:
    """A look in a line of the history; over : the largest separation as a share of its limit."""
    return {
        "at": drift.at.isoformat(timespec="seconds"),
        "version": drift.version,
        "drifted": drift.drifted,
        "over": {
            one.name: max((finding.over for finding in one.findings), default=None)
            for one in drift.slices
        },
    }
