"""Canonical emotion labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from ser.errors import ParamsError, UnknownEmotion

#: Nouns, in the order of tables, plots and posteriors, with their colours in figures (most are of
#: Okabe & Ito's palette for colour-blind readers).
COLOURS = {
    "neutral": "#7f7f7f",
    "calm": "#56b4e9",
    "happiness": "#e69f00",
    "sadness": "#0072b2",
    "anger": "#d55e00",
    "fear": "#9467bd",
    "disgust": "#009e73",
    "surprise": "#cc79a7",
    "boredom": "#8c564b",
    "excitement": "#f0e442",
    "frustration": "#333333",
}
EMOTIONS = tuple(COLOURS)


def check_emotions(labels: Iterable[str]) -> None:
    """Raise UnknownEmotion unless every label is canonical."""
    unknown = sorted(set(labels) - set(EMOTIONS))
    if unknown:
        raise UnknownEmotion(
            f"Unknown emotion {', '.join(map(repr, unknown))}; known are {', '.join(EMOTIONS)}. "
            "Map the corpus's own codes to these."
        )


def classes_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The canonical labels that occur, in canonical order.

    >>> classes_of(["fear", "anger", "fear"])
    ('anger', 'fear')
    """
    present = set(labels)
    check_emotions(present)
    return tuple(e for e in EMOTIONS if e in present)


@dataclass(frozen=True)
class LabelRule:
    """Which emotions are classes: `merge` renames some, then all but `keep` are dropped.

    keep : None for every emotion that occurs.
    """

    keep: tuple[str, ...] | None = None
    merge: Mapping[str, str] = field(default_factory=dict)


#: Label sets of the literature, by name.
LABEL_SETS = {
    "all": LabelRule(),
    # IEMOCAP's convention: excitement counts as happiness.
    "4-class": LabelRule(("neutral", "happiness", "sadness", "anger"), {"excitement": "happiness"}),
    # The six of CREMA-D.
    "6-class": LabelRule(("neutral", "happiness", "sadness", "anger", "fear", "disgust")),
}


def label_rule(keep: str | tuple[str, ...], merge: Mapping[str, str]) -> LabelRule:
    """The rule of `data.labels`: a set's name or the emotions to keep, and what is merged.

    `merge` overrides the set's own. Raises ParamsError for an unknown name.
    """
    if isinstance(keep, str) and keep not in EMOTIONS:
        if keep not in LABEL_SETS:
            raise ParamsError(
                f"data.labels.keep is {keep!r}; known are {', '.join(LABEL_SETS)}, or a list of "
                f"{', '.join(EMOTIONS)}."
            )
        named = LABEL_SETS[keep]
        rule = LabelRule(named.keep, {**named.merge, **merge})
    else:
        rule = LabelRule((keep,) if isinstance(keep, str) else tuple(keep), dict(merge))
    unknown = sorted({*(rule.keep or ()), *rule.merge, *rule.merge.values()} - set(EMOTIONS))
    if unknown:
        raise ParamsError(
            f"data.labels names {unknown[0]!r}; known emotions are {', '.join(EMOTIONS)}."
        )
    if rule.keep is not None and len(rule.keep) < 2:
        raise ParamsError(
            f"data.labels.keep names {rule.keep[0] if rule.keep else 'nothing'}; expected two "
            "emotions or more, such as anger,neutral. Add another."
        )
    chained = sorted(set(rule.merge) & set(rule.merge.values()))
    if chained:
        raise ParamsError(
            f"data.labels.merge merges another emotion into {chained[0]} and {chained[0]} into "
            "another one; expected one step. Give both the final emotion."
        )
    return rule


def select(emotions: pd.Series, rule: LabelRule) -> pd.Series:
    """Emotions after merging, NaN where the rule drops them."""
    merged = emotions.replace(dict(rule.merge))
    return merged if rule.keep is None else merged.where(merged.isin(rule.keep))


def describe_selection(before: pd.Series, after: pd.Series) -> dict[str, dict[str, int]]:
    """How many utterances were merged (`calm → neutral`) and dropped, by emotion."""
    merged = after.notna() & (after != before)
    pairs = (before[merged] + " → " + after[merged]).value_counts(sort=False)
    dropped = before[after.isna()].value_counts(sort=False)
    return {
        "merged": {str(pair): int(n) for pair, n in pairs.items()},
        "dropped": {str(emotion): int(n) for emotion, n in dropped.items()},
    }
