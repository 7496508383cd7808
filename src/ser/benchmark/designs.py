"""What a benchmark trains on and tests: folds of a protocol, or some corpora and another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ser.core.splits import leakage
from ser.core.splits.across import across, common
from ser.core.splits.assign import assign, shares_dev_speakers
from ser.core.utterance.emotions import label_rule
from ser.io.storage.copies import find_copies
from ser.io.storage.manifests import load_manifest
from ser.output import count_of, one_line
from ser.params import Params
from ser.params.protocols import PUBLISHED
from ser.stages.split import choose_labels

#: The protocol of a model that is tested on a corpus without one training speaker.
CROSS_CORPUS = "cross-corpus"


@dataclass(frozen=True)
class Design:
    """Splits, one for each fold, and what results, pages and runs call them.

    corpus : "ravdess", or "ravdess → nemo". labels : what was made of the corpora's emotions;
    "all": nothing. account : what else a result notes of its design. logged : parameters by
    section, as MLflow's runs have them instead of those of params.yaml; None: they have none.
    """

    corpus: str
    protocol: str
    labels: str
    splits: tuple[pd.DataFrame, ...]
    account: Mapping[str, Any] = field(default_factory=dict)
    logged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def within(home: Path, params: Params) -> Design:
    """Every fold of `params.split.protocol` on the corpora in `home`; raises where one leaks."""
    protocol = params.split.protocol
    return Design(
        "+".join(params.data.corpora), protocol, _labels(params), tuple(assign_all(home, params))
    )


def between(home: Path, params: Params, *, train: Sequence[str], test: str) -> Design:
    """The corpora `train` against `test`, all in `home`, with the emotions that both sides have.

    Dev speakers are training corpora's. Raises LeakageError where a speaker or a recording stands
    on both sides.
    """
    manifest = load_manifest(home, params.data.corpora)
    chosen = params.data.labels
    rule = label_rule(chosen.keep, chosen.merge)
    found = common(manifest, train=train, test=test, rule=rule)
    folds = across(found.table, test=test, dev_fraction=params.split.dev_fraction, seed=params.seed)
    copies = find_copies(home, folds, folds.pop("fingerprint"))
    audit = leakage.audit(folds, copies)
    leakage.check(audit, folds)
    title = f"{'+'.join(train)} → {test}"
    for pair, n in found.merged.items():
        print(f"{title}: {pair}, {count_of(n, 'utterance')}.")
    for corpus, emotions in found.dropped.items():
        lost = ", ".join(f"{emotion} ({n})" for emotion, n in emotions.items())
        print(f"{title}: utterances of {corpus} that are left out: {lost}.")
    print(f"{title}: {len(found.emotions)} emotions in common: {', '.join(found.emotions)}.")
    for line in leakage.warnings(audit, folds):
        print(f"note: {one_line(line)}")
    whole = not found.merged and not found.dropped
    kept = [", ".join(found.emotions), *found.merged]
    return Design(
        title,
        CROSS_CORPUS,
        "all" if whole else "; ".join(kept),
        (folds,),
        account={
            "train_corpora": list(train),
            "test_corpus": test,
            "merged": found.merged,
            "dropped": found.dropped,
            "train_speakers": int(folds.loc[folds["split"] != "test", "speaker"].nunique()),
            "train_utterances": int((folds["split"] != "test").sum()),
            "audit": audit.receipt,
        },
        logged={
            "data": {"corpora": list(train)},
            "split": {"protocol": f"{CROSS_CORPUS} {test}", "test_fraction": None},
        },
    )


def assign_all(home: Path, params: Params) -> list[pd.DataFrame]:
    """The manifest with `split` and `fold`, once for each fold; raises where one leaks."""
    manifest, _ = choose_labels(load_manifest(home, params.data.corpora), params)
    fingerprints = manifest.pop("fingerprint")
    split = params.split
    options = split.model_dump(exclude={"fold"})
    count = count_folds(split.protocol, params, manifest["speaker"].nunique())
    splits = [assign(manifest, fold=n, seed=params.seed, **options) for n in range(1, count + 1)]
    copies = find_copies(home, manifest, fingerprints)
    shares = shares_dev_speakers(split.protocol)
    for folds in splits:
        leakage.check(leakage.audit(folds, copies, dev_shares_speakers=shares), folds)
    return splits


def count_folds(protocol: str, params: Params, speakers: int) -> int:
    """How many folds the protocol has for so many speakers; a holdout has one."""
    if protocol in PUBLISHED:
        return len(PUBLISHED[protocol].folds)
    return {"holdout": 1, "grouped-kfold": params.split.folds}.get(protocol, speakers)


def _labels(params: Params) -> str:
    """What `data.labels` made of the corpora's emotions, in a few words; `all`: no change."""
    chosen = params.data.labels
    kept = chosen.keep if isinstance(chosen.keep, str) else ", ".join(chosen.keep)
    merged = [f"{old} as {new}" for old, new in sorted(chosen.merge.items())]
    return "; ".join([kept, *merged]) if merged or kept != "all" else "all"
