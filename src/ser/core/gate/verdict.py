"""What the gate decides, and the figures that it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not judged"]
SCHEMA = "ser.verdict/1"


@dataclass(frozen=True)
class Rule:
    """One rule of the gate.

    name : such as `recall of anger`. figure : the challenger's; champion : the champion's, None
    where it is not known. limit : what `figure` is held against. why : in words, where the outcome
    needs them.
    """

    name: str
    figure: float | None
    limit: float | None
    outcome: Outcome
    champion: float | None = None
    why: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"


@dataclass(frozen=True)
class Verdict:
    """The decision and its figures (None where nothing was compared).

    delta_uar : the challenger's UAR minus the champion's, both on the same utterances.
    ci95 : 95 % percentile interval of delta_uar over resampled speakers.
    probability : share of speaker resamples where the challenger is at least as good.
    tested : hash of the utterances that were compared. comparisons : verdicts that were given on
        these very utterances, this one included.
    held_back : corpora of these utterances; empty where they are the test split.
    gate : hash of the section gate of params.yaml.
    """

    promote: bool
    reason: str
    delta_uar: float | None = None
    ci95: tuple[float, float] | None = None
    probability: float | None = None
    rules: tuple[Rule, ...] = ()
    tested: str | None = None
    comparisons: int | None = None
    held_back: tuple[str, ...] = ()
    gate: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `{"schema": "ser.verdict/1", "promote": …, "rules": [{…}, …], …}`."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """The verdict that `to_dict` gave, also after JSON.

        >>> verdict = Verdict(True, "better", rules=(Rule("size", 1.0, 2.0, "passed"),))
        >>> Verdict.from_dict(verdict.to_dict()) == verdict
        True
        """
        # JSON has no tuples.
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name != "schema"
        }
        given["rules"] = tuple(Rule(**rule) for rule in given["rules"])
        return cls(**given)


def failed_text(rules: Iterable[Rule]) -> str:
    """The rules that failed, in a line: `recall of fear 0.02 (limit 0.05)`; "" where none did."""
    return "; ".join(
        f"{rule.name} {figure_text(rule.figure)} (limit {figure_text(rule.limit)})"
        for rule in rules
        if rule.failed
    )


def figure_text(figure: float | None) -> str:
    """
    >>> figure_text(0.12345), figure_text(250.0), figure_text(None)
    ('0.123', '250', '–')
    """
    if figure is None:
        return "–"
    return f"{figure:.3f}" if abs(figure) < 10 else f"{figure:.0f}"
