"""Names of runs: unique, and telling in the few letters that MLflow's list shows. Pure.

`svc c=30 · ravdess · luna5 2 · tall-oak`: model, what differs from the run before, corpora,
protocol and fold, DVC's experiment.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

#: Differences that a name spells out; the others are counted.
SPELT_OUT = 2
#: Letters of a value in a name.
LONGEST = 16
#: Parameters that a name has a place of their own for.
PLACED = ("model.name", "model.enrolled", "data.corpora", "split.protocol", "split.fold")
#: Colours that are easily told apart in MLflow's charts.
PALETTE = (
    *("#3366cc", "#dc6b19", "#109618", "#990099", "#0099c6", "#b82e2e"),
    *("#66aa00", "#dd4477", "#8b6d14", "#22aa99"),
)
#: Tags of the state of the data: the split, and DVC's hashes.
DATA = ("split_sha256", "data.")
COMMIT, DIRTY = "mlflow.source.git.commit", "git.dirty"

Changes = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Logged:
    """What a run logged: flat parameters, tags and final scores."""

    params: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    run_id: str = ""
    experiment_id: str = ""


def changes(before: Logged, now: Logged) -> Changes:
    """Parameters that both runs read and that differ, with the value before and now.

    One that a single run read follows from another that differs, such as its model.
    """
    both = (key for key in now.params if key in before.params)
    found = ((key, (before.params[key], now.params[key])) for key in both)
    return {key: values for key, values in found if values[0] != values[1]}


def comparable_uar(other: Logged, run: Logged) -> float | None:
    """The other run's UAR on test; None where its split is another, or it was not scored."""
    same = other.tags.get("split_sha256") == run.tags.get("split_sha256")
    return other.metrics.get("test/uar") if same else None


def differences(before: Logged | None, now: Logged) -> list[str]:
    """What differs from the run before, in few letters; [] where there is none.

    >>> before = Logged({"model.name": "svc", "model.svc.c": "10.0"})
    >>> differences(before, Logged({"model.name": "svc", "model.svc.c": "30.0"}))
    ['c=30']
    >>> differences(before, before)
    ['again']
    """
    if before is None:
        return []
    changed = changes(before, now)
    keys = [key for key in changed if key not in PLACED]
    if keys:
        spelt = [f"{short_key(k, now.params)}={short_value(changed[k][1])}" for k in keys]
        others = len(keys) - SPELT_OUT
        return [*spelt[:SPELT_OUT], *([f"+ {others} more"] if others > 0 else [])]
    if changed:
        return []
    if _data(before) != _data(now):
        return ["other data"]
    if before.tags.get(COMMIT) != now.tags.get(COMMIT) or "true" in (
        before.tags.get(DIRTY),
        now.tags.get(DIRTY),
    ):
        return ["other code"]
    return ["again"]


def run_name(now: Logged, different: Iterable[str], experiment: str = "") -> str:
    """The name, not yet unique.

    experiment : DVC's name of it, "" outside of one.
    """
    corpora = json.loads(now.params["data.corpora"])
    protocol = short_protocol(now.params["split.protocol"], corpora)
    enrolled = ["enrolled"] if now.params.get("model.enrolled") == "True" else []
    first = " ".join([now.params["model.name"], *enrolled, *different])
    fold = f" {now.params['split.fold']}" if "split.fold" in now.params else ""
    parts = [first, "+".join(corpora), f"{protocol}{fold}", *([experiment] if experiment else [])]
    return " · ".join(parts).replace("'", "")


def unique(name: str, taken: Collection[str]) -> str:
    """`name`, with a counter where it is taken.

    >>> unique("lda", ["lda", "lda (2)"])
    'lda (3)'
    """
    if name not in taken:
        return name
    return next(new for n in count(2) if (new := f"{name} ({n})") not in taken)


def colour(recent: Iterable[str]) -> str:
    """The first colour that none of the recent runs has, newest first; else the oldest's.

    >>> colour([PALETTE[0], PALETTE[2]]) == PALETTE[1]
    True
    """
    ages = {found: age for age, found in reversed(list(enumerate(recent)))}
    return max(PALETTE, key=lambda one: ages.get(one, math.inf))


def short_protocol(protocol: str, corpora: Collection[str]) -> str:
    """A published protocol without its corpus, where that stands beside it.

    >>> short_protocol("ravdess-luna5", ["ravdess"]), short_protocol("holdout", ["ravdess"])
    ('luna5', 'holdout')
    """
    start, _, rest = protocol.partition("-")
    return rest if rest and list(corpora) == [start] else protocol


def short_key(key: str, keys: Collection[str]) -> str:
    """The last parts of a parameter's name that no other one shares.

    >>> short_key("model.svc.c", ["model.svc.c", "model.logistic_regression.c"])
    'svc.c'
    """
    parts = key.split(".")
    endings = [".".join(parts[start:]) for start in range(len(parts))]
    shared = Counter(ending for ending in endings for k in keys if f".{k}".endswith(f".{ending}"))
    return next((e for e in reversed(endings) if shared[e] <= 1), key)


def plain_value(value: str) -> str:
    """A parameter's value as a person writes it.

    >>> plain_value("30.0"), plain_value('["cnn", "lda"]'), plain_value("None")
    ('30', 'cnn+lda', 'none')
    """
    if value.startswith("["):
        value = "+".join(map(str, json.loads(value))) or "none"
    words = {"True": "yes", "False": "no", "None": "none"}
    return words.get(value, value).removesuffix(".0")


def plain(changed: Changes) -> Changes:
    """The same with `plain_value` of each."""
    return {k: (plain_value(old), plain_value(new)) for k, (old, new) in changed.items()}


def short_value(value: str) -> str:
    """`plain_value` in as many letters as a name has room for."""
    text = plain_value(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _data(run: Logged) -> dict[str, str]:
    return {tag: value for tag, value in run.tags.items() if tag.startswith(DATA)}
