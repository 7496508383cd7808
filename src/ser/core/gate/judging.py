"""The verdict: the comparison with the champion, and every rule."""

from __future__ import annotations

from dataclasses import replace

from ser.core.gate.comparison import Comparison, compare
from ser.core.gate.rules import Facts, rules
from ser.core.gate.verdict import Verdict, failed_text
from ser.params import GateParams


def judge(challenger: Facts, champion: Facts, params: GateParams, *, seed: int) -> Verdict:
    """Compare both on the same test utterances, and hold the challenger to every rule.

    champion : rows of its predictions beyond the challenger's are ignored. Both under one label
        rule, see `under_one_rule`.
    Raises TableError unless the champion covers all utterances of the challenger.
    """
    comparison = compare(
        challenger.predictions,
        champion.predictions,
        min_probability=params.min_probability,
        min_speakers=params.min_speakers,
        resamples=params.resamples,
        seed=seed,
    )
    return ruled(comparison, challenger, champion, params, seed=seed)


def ruled(
    comparison: Comparison,
    challenger: Facts,
    champion: Facts | None,
    params: GateParams,
    *,
    seed: int,
) -> Verdict:
    """The verdict where the comparison is known already."""
    held = rules(challenger, champion, params, seed=seed)
    verdict = Verdict(
        comparison.better,
        comparison.reason,
        comparison.delta_uar,
        comparison.ci95,
        comparison.probability,
        held,
    )
    failed = failed_text(held)
    if not failed:
        return verdict
    return replace(verdict, promote=False, reason=f"Refused by rule: {failed}. {verdict.reason}")
