"""Sentences that report, card and the flow's last table share: each is written once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ser.output import count_of

#: Names of scores, in the order of tables.
SCORES = {
    "uar": "UAR",
    "accuracy": "Accuracy",
    "precision_macro": "Macro precision",
    "recall_macro": "Macro recall",
    "f1_macro": "Macro F1",
    "ece": "Calibration error (ECE)",
    "coverage": "Coverage of prediction sets",
    "set_size": "Size of prediction sets",
}
SYNTHETIC = (
    "The synthetic corpus shows that the pipeline works; its scores say nothing about people."
)
PURPOSE = (
    "It recognises perceived expression in acted speech, not what a person feels. Use it to study "
    "speech, to build and measure better models, and to adapt how a machine answers, with the "
    "knowledge of the people exposed. Measure it on your own people before you trust it."
)
PROHIBITED = (
    "Inferring the emotions of persons at work and in education from their voices is prohibited in "
    "the European Union by Article 5(1)(f) of the AI Act (Regulation (EU) 2024/1689), except for "
    "medical or safety reasons. Do not use it to rank, select, employ, insure or police persons, "
    "to detect lies or illness, or without telling the people exposed."
)


def protocol_text(test: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """What was tested: corpora, protocol and fold, utterances and speakers."""
    return (
        f"{'+'.join(protocol['corpora'])}, {protocol['name']} fold {protocol['fold']}, "
        f"{protocol['normalisation']}: {count_of(test['utterances'], 'utterance')} of "
        f"{count_of(test['speakers'], 'speaker')} not trained on."
    )


def too_few_text(slices: Iterable[Mapping[str, Any]]) -> str:
    """Which groups are too small to judge, counted by what they are groups of."""
    counts: dict[str, int] = {}
    for one in slices:
        if one["too_few"]:
            counts[one["by"]] = counts.get(one["by"], 0) + 1
    each = ", ".join(f"{n} by {by}" for by, n in counts.items())
    return f"Too few to tell: {count_of(sum(counts.values()), 'group')} ({each})." if each else ""


def stress_text(stress: Mapping[str, Any]) -> str:
    """How many rows of a stress table reach their limits, and how many gaps.

    What has no limit does not count.

    >>> stress_text({"rows": [{"passed": True}, {"passed": None}], "fairness": [{"passed": False}]})
    '1 of 1 row and 0 of 1 gap with a limit pass.'
    """
    parts = []
    for part, noun in (("rows", "row"), ("fairness", "gap")):
        verdicts = [one["passed"] for one in stress.get(part, ()) if one["passed"] is not None]
        if verdicts or noun == "row":
            parts.append(f"{sum(verdicts)} of {count_of(len(verdicts), noun)}")
    return f"{' and '.join(parts)} with a limit pass."
