"""Drift: recent answers of the traffic log against the reference of the model that gave them. Pure.

A slice is the last answers of all, and of each way in which they were asked for: what a telephone
gateway sends would be hidden among the recordings of an app.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from ser.core.drift.figures import NAMES, SCHEMA, label_of
from ser.core.drift.judging import Finding, Limit, Limits, compare, limits_of
from ser.core.drift.reference import Reference
from ser.params.flow import DriftParams

ALL = "all"
#: A stream's utterances end where a pause does, so that their length says nothing of speakers.
CUT_BY_US = "stream"


@dataclass(frozen=True)
class Slice:
    """The last answers of one way to ask. name : `all`, or such as `server rest`.

    answers : that were looked at; first, last : when the first and the last of them were given.
    unanswered : share without an emotion; emotions : share of each emotion among the others.
    findings : empty where `waits` says why nothing was compared.
    """

    name: str
    answers: int
    first: datetime | None
    last: datetime | None
    unanswered: float
    emotions: Mapping[str, float]
    findings: tuple[Finding, ...] = ()
    waits: str = ""
    too_many_unanswered: bool = False

    @property
    def drifted(self) -> list[str]:
        """What drifted, in words."""
        found = [one.figure for one in self.findings if one.outcome == "drifted"]
        return [*(["answers without an emotion"] if self.too_many_unanswered else []), *found]


@dataclass(frozen=True)
class Drift:
    """A look at the traffic log. at : UTC; limits : by the figures that they are of."""

    at: datetime
    version: int | None
    bundle_sha256: str
    slices: tuple[Slice, ...]
    limits: Mapping[str, Limits]

    @property
    def drifted(self) -> bool:
        return any(one.drifted for one in self.slices)

    @property
    def summary(self) -> str:
        """In a line."""
        parts = [
            f"{one.name} answers: {', '.join(map(label_of, one.drifted))}"
            for one in self.slices
            if one.drifted
        ]
        if parts:
            return f"Drift in {'; '.join(parts)}."
        compared = [one for one in self.slices if one.findings]
        if compared:
            return f"No drift in the last {max(one.answers for one in compared)} answers."
        return self.slices[0].waits if self.slices else "No answers yet."

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `{"schema": "ser.drift/1", "drifted": …, "slices": [{…}, …], …}`."""
        return {
            "schema": SCHEMA,
            "at": self.at.isoformat(timespec="seconds"),
            "version": self.version,
            "bundle_sha256": self.bundle_sha256,
            "drifted": self.drifted,
            "summary": self.summary,
            "slices": [_slice_dict(one) for one in self.slices],
            "limits": {key: asdict(found) for key, found in self.limits.items()},
        }


def look_at(
    rows: pd.DataFrame,
    reference: Reference,
    params: DriftParams,
    *,
    at: datetime,
    version: int | None,
    bundle_sha256: str,
    known: Mapping[str, Limits],
    seed: int,
) -> Drift:
    """Compare the last answers with the reference.

    rows : of the traffic log, those of this bundle are taken. known : limits of an earlier look at
    the same bundle with the same parameters, which take a while to find.
    """
    limits: dict[str, Limits] = {}

    def limits_for(figures: tuple[str, ...]) -> Limits:
        key = limits_key(bundle_sha256, params, figures)
        if key not in limits:
            limits[key] = known.get(key) or limits_of(
                reference,
                figures,
                clips=params.clips,
                false_alarms=params.false_alarms,
                seed=seed,
            )
        return limits[key]

    own = rows[rows["bundle_sha256"] == bundle_sha256].sort_values("time", kind="stable")
    slices = tuple(
        _compared(name, part.tail(params.clips), reference, params, limits_for, seed)
        for name, part in slices_of(own)
    )
    return Drift(at, version, bundle_sha256, slices, limits)


def slices_of(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) of all answers and, where they were asked for in several ways, of each."""
    yield ALL, rows
    ways = list(rows.groupby(["source", "interface"]))
    if len(ways) > 1:
        for (source, interface), part in ways:
            yield f"{source} {interface}", part


def limits_key(bundle_sha256: str, params: DriftParams, figures: tuple[str, ...]) -> str:
    """What limits depend on."""
    return f"{bundle_sha256[:16]} {params.clips} {params.false_alarms:g} {'+'.join(figures)}"


def limits_from(document: Mapping[str, Any]) -> dict[str, Limits]:
    """The limits of a document of `Drift.to_dict`."""
    return {
        key: Limits(
            {name: Limit(**each) for name, each in found["each"].items()},
            *(found[name] for name in ("alarms", "draws", "widened")),
        )
        for key, found in document.get("limits", {}).items()
    }


def _compared(
    name: str,
    rows: pd.DataFrame,
    reference: Reference,
    params: DriftParams,
    limits_for: Callable[[tuple[str, ...]], Limits],
    seed: int,
) -> Slice:
    answered = rows["emotion"].notna()
    few = len(rows) < params.clips
    unanswered = float((~answered).mean()) if len(rows) else 0.0
    found = Slice(
        name,
        len(rows),
        rows["time"].iloc[0].to_pydatetime() if len(rows) else None,
        rows["time"].iloc[-1].to_pydatetime() if len(rows) else None,
        unanswered,
        {
            str(e): float(n)
            for e, n in rows.loc[answered, "emotion"].value_counts(normalize=True).items()
        },
        waits=f"{len(rows)} of {params.clips} answers that are needed." if few else "",
        too_many_unanswered=not few and unanswered > params.max_unanswered,
    )
    if few:
        return found
    cut = rows["interface"] == CUT_BY_US
    figures = tuple(n for n in NAMES if not (cut.any() and n == "duration_seconds"))
    recent = rows[list(figures)].astype(float)
    findings = compare(recent, reference, limits_for(figures), seed=seed)
    return replace(found, findings=tuple(findings))


def _slice_dict(one: Slice) -> dict[str, Any]:
    times = {
        key: value.isoformat(timespec="seconds") if value else None
        for key, value in (("first", one.first), ("last", one.last))
    }
    findings = [asdict(finding) | {"over": finding.over} for finding in one.findings]
    return {**asdict(one), **times, "findings": findings, "drifted": one.drifted}
