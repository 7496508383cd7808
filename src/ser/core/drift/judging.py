"""Whether recent recordings lie further from the reference than a new speaker's would. Pure.

Recordings of one person are alike, so tests that take them for independent ones see drift wherever
somebody new speaks. Here the unit is the speaker: each of the reference is compared with the rest,
and the limit of a figure is where the next speaker's would lie in all but `false_alarms` of cases
(the prediction interval of Student's t). Draws of some speakers, left out of the reference, then
show how often that limit is passed, and widen it where that is too often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ser.core.drift.figures import NAMES
from ser.core.drift.reference import Reference
from ser.core.drift.shift import auc_of, auc_separation, classifier_auc, ks, psi, separation

Outcome = Literal["same", "drifted", "not judged"]
#: The name of the classifier's finding, beside those of single figures.
TOGETHER = "all figures together"
#: With fewer speakers, or values of one, a figure is not judged.
LEAST_SPEAKERS, LEAST_VALUES = 4, 5
#: A figure is judged where so many recent values are known.
LEAST_RECENT = 30
#: Separations below it are no drift whatever speakers do: a figure may be one value for all.
LEAST_LIMIT = 0.5
#: Speakers that are compared with the others, and draws of some of them.
MOST_COMPARED, DRAWS = 60, 200


@dataclass(frozen=True)
class Limit:
    """Of a figure's separation. speakers : that it rests on; why : value is None."""

    value: float | None
    speakers: int
    why: str = ""


@dataclass(frozen=True)
class Limits:
    """each : by figure. alarms, draws : how many draws of unseen speakers of the reference pass a
    limit, before it was widened; widened : by which factor."""

    each: dict[str, Limit]
    alarms: int
    draws: int
    widened: float


@dataclass(frozen=True)
class Finding:
    """A figure of recent recordings against the reference.

    separation, limit : in deviations, see `shift.separation`; None where it is not judged.
    statistic : KS, or the classifier's AUC. psi : None for the classifier. recent, reference :
    medians. why : it is not judged.
    """

    figure: str
    outcome: Outcome
    separation: float | None = None
    limit: float | None = None
    statistic: float | None = None
    psi: float | None = None
    recent: float | None = None
    reference: float | None = None
    why: str = ""

    @property
    def over(self) -> float:
        """The separation as a share of its limit; 0 where it is not judged."""
        return self.separation / self.limit if self.separation and self.limit else 0.0


def limits_of(
    reference: Reference, figures: Sequence[str], *, clips: int, false_alarms: float, seed: int
) -> Limits:
    """Limits for `clips` recent recordings, of which a share `false_alarms` of unseen speakers'
    may pass any.

    figures : that are compared, of `NAMES`.
    """
    rng = np.random.default_rng(seed)
    speakers = rng.permutation(np.unique(reference.speaker))[:MOST_COMPARED]
    apart = pd.DataFrame(
        [
            _separations(
                _some(reference.values[reference.speaker == one], clips, rng),
                reference.without(np.array([one])).values,
                figures,
                seed=seed,
            )
            for one in speakers
        ],
        index=speakers,
        columns=[*figures, TOGETHER],
        dtype=float,
    )
    share = false_alarms / apart.shape[1]
    found = {name: _limit(apart[name].dropna().to_numpy(), share) for name in [*figures, TOGETHER]}
    over = _draws(reference, apart, figures, clips=clips, share=share, rng=rng, seed=seed)
    # As many draws as may pass it do, at most.
    most = np.sort(over)[::-1][int(false_alarms * over.size)] if over.size else 1.0
    widened = max(1.0, float(most))
    each = {
        name: replace(limit, value=limit.value and limit.value * widened)
        for name, limit in found.items()
    }
    return Limits(each, int((over > 1).sum()), int(over.size), widened)


def compare(
    recent: pd.DataFrame, reference: Reference, limits: Limits, *, seed: int
) -> list[Finding]:
    """A finding for each figure of the limits. recent : figures (n, k) by name."""
    figures = [name for name in limits.each if name != TOGETHER]
    known = [name for name in figures if recent[name].notna().sum() >= LEAST_RECENT]
    apart = _separations(recent, reference.values, known, seed=seed)
    findings = []
    for name, limit in limits.each.items():
        finding = _described(name, recent, reference.values)
        if name == TOGETHER and name in apart:
            finding = replace(finding, statistic=auc_of(apart[name]))
        if limit.value is None:
            findings.append(replace(finding, why=limit.why))
        elif name not in apart:
            why = f"fewer than {LEAST_RECENT} recent recordings have it"
            findings.append(replace(finding, why=why))
        else:
            outcome: Outcome = "drifted" if apart[name] > limit.value else "same"
            findings.append(
                replace(finding, outcome=outcome, separation=apart[name], limit=limit.value)
            )
    return findings


def _limit(apart: np.ndarray, share: float) -> Limit:
    """The upper end of the prediction interval for one more of these separations, (n,)."""
    n = apart.size
    if n < LEAST_SPEAKERS:
        why = f"{n} speakers of the reference have it; {LEAST_SPEAKERS} are needed"
        return Limit(None, n, why)
    reach = float(student.ppf(1 - share, n - 1)) * np.sqrt(1 + 1 / n)
    return Limit(max(LEAST_LIMIT, float(apart.mean() + reach * apart.std(ddof=1))), n)


def _draws(
    reference: Reference,
    apart: pd.DataFrame,
    figures: Sequence[str],
    *,
    clips: int,
    share: float,
    rng: np.random.Generator,
    seed: int,
) -> np.ndarray:
    """How far draws of some speakers lie beyond limits of the others: shares of the limit, (n,)."""
    most = len(apart) // 4
    if most < 1 or len(apart) - most < LEAST_SPEAKERS:
        return np.empty(0)
    found = []
    for _ in range(DRAWS):
        drawn = rng.choice(apart.index, size=int(rng.integers(1, most + 1)), replace=False)
        limits = {
            name: _limit(apart[name].drop(drawn).dropna().to_numpy(), share) for name in apart
        }
        rows = reference.values[np.isin(reference.speaker, drawn)]
        others = reference.without(drawn).values
        own = _separations(_some(rows, clips, rng), others, figures, seed=seed)
        found.append(
            max((own[n] / v for n, x in limits.items() if n in own and (v := x.value)), default=0.0)
        )
    return np.array(found)


def _separations(
    recent: pd.DataFrame, reference: pd.DataFrame, figures: Sequence[str], *, seed: int
) -> dict[str, float]:
    """By figure; those that too few rows have are left out."""
    found = {}
    for name in figures:
        new, old = (table[name].dropna().to_numpy() for table in (recent, reference))
        if min(new.size, old.size) >= LEAST_VALUES:
            found[name] = separation(ks(new, old), new.size)
    known = [name for name in found if name in NAMES]
    if known and len(recent) >= LEAST_RECENT:
        auc = classifier_auc(recent[known], reference[known], seed=seed)
        found[TOGETHER] = auc_separation(auc, len(recent))
    return found


def _some(rows: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    return rows.iloc[rng.permutation(len(rows))[:n]]


def _described(name: str, recent: pd.DataFrame, reference: pd.DataFrame) -> Finding:
    """Statistic, PSI and medians, whatever the outcome will be."""
    if name == TOGETHER:
        return Finding(name, "not judged")
    new, old = (table[name].dropna().to_numpy() for table in (recent, reference))
    if not new.size or not old.size:
        return Finding(name, "not judged")
    return Finding(
        name,
        "not judged",
        statistic=ks(new, old),
        psi=psi(new, old),
        recent=float(np.median(new)),
        reference=float(np.median(old)),
    )
