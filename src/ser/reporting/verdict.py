"""The gate's rules as rows of a table, from a verdict as its JSON has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ser.core.gate.verdict import figure_text

TITLES = ("Rule of the gate", "Challenger", "Champion", "Limit", "Outcome")
#: Verdicts after which the champion is in part the model that the test split likes best.
MANY_COMPARISONS = 20


def rule_cells(rules: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row of text for each rule, under `TITLES`."""
    return [
        (
            rule["name"],
            *(figure_text(rule[key]) for key in ("figure", "champion", "limit")),
            rule["outcome"] + (f": {rule['why']}" if rule["why"] else ""),
        )
        for rule in rules
    ]


def rules_text(rules: Iterable[Mapping[str, Any]]) -> str:
    """
    >>> outcomes = {"ECE": "passed", "abstained": "failed"}
    >>> rules_text({"name": name, "outcome": found} for name, found in outcomes.items())
    '1 of 2 passed; failed: abstained'
    """
    rules = list(rules)
    outcomes = Counter(rule["outcome"] for rule in rules)
    text = f"{outcomes['passed']} of {outcomes['passed'] + outcomes['failed']} passed"
    for outcome, words in (("failed", "failed"), ("not judged", "no data for")):
        if names := [rule["name"] for rule in rules if rule["outcome"] == outcome]:
            text += f"; {words}: {', '.join(names)}"
    return text


def wear_text(comparisons: int, held_back: Sequence[str] = ()) -> str:
    """How often the very utterances have decided, and of which corpora they are; a warning where
    they are worn out.

    >>> wear_text(2), wear_text(3, ["callers"])
    ('2 on these test utterances', '3 on these utterances of callers, held back for the gate')
    """
    of = f"utterances of {'+'.join(held_back)}, held back for the gate"
    text = f"{comparisons} on these {of if held_back else 'test utterances'}"
    worn = "; the champion is in part the model that they like best: test on other speakers"
    return text + (worn if comparisons >= MANY_COMPARISONS else "")
