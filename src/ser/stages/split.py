"""Stage `split`: assign every utterance to train, dev or test; refuse a split that leaks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core.splits import leakage
from ser.core.splits.assign import assign, share_warnings, shares_dev_speakers
from ser.core.utterance.emotions import describe_selection, label_rule, select
from ser.core.utterance.fitness import LEFT_OUT, LeftOut, counted
from ser.core.utterance.tables import SPLITS
from ser.errors import ParamsError
from ser.files import write_json
from ser.io.storage.copies import find_copies
from ser.io.storage.manifests import load_manifest
from ser.io.storage.tables import read_notes, write_table
from ser.output import count_of, one_line
from ser.params import Params
from ser.project import AUDIT, FOLDS, MANIFEST
from ser.stages.base import run_stage


def run(root: Path, params: Params) -> None:
    manifest = load_manifest(root, params.data.corpora)
    manifest, labels = choose_labels(manifest, params)
    fingerprints = manifest.pop("fingerprint")
    split = params.split
    folds = assign(manifest, seed=params.seed, **split.model_dump())
    copies = find_copies(root, folds, fingerprints)
    found = leakage.audit(folds, copies, dev_shares_speakers=shares_dev_speakers(split.protocol))
    leakage.check(found, folds)
    write_table(folds, root / FOLDS)
    notes = read_notes(root / MANIFEST).get(LEFT_OUT, {})
    left_out = {
        name: counted(LeftOut(**one) for one in ones) for name, ones in notes.items() if ones
    }
    write_json({**found.receipt, "labels": labels, "left_out": left_out}, root / AUDIT)
    receipt = found.receipt
    for name in SPLITS:
        speakers = count_of(receipt["speakers"][name], "speaker")
        print(f"{name}: {count_of(receipt['utterances'][name], 'utterance')} of {speakers}.")
    print(f"split {receipt['split_sha256'][:12]}: no speaker and no recording is in two splits.")
    shares = share_warnings(
        folds,
        protocol=split.protocol,
        folds_asked=split.folds,
        test_fraction=split.test_fraction,
        dev_fraction=split.dev_fraction,
    )
    for line in (*leakage.warnings(found, folds), *shares):
        print(f"note: {one_line(line)}")


def choose_labels(manifest: pd.DataFrame, params: Params) -> tuple[pd.DataFrame, dict[str, object]]:
    """The utterances that `data.labels` keeps, under their emotions, and an account of it.

    What is merged or dropped is printed.
    """
    chosen = params.data.labels
    rule = label_rule(chosen.keep, chosen.merge)
    emotion = select(manifest["emotion"], rule)
    account = describe_selection(manifest["emotion"], emotion)
    kept = emotion.notna()
    if not kept.any():
        raise ParamsError(
            f"data.labels keeps {', '.join(rule.keep or ())}; none of it is in "
            f"{', '.join(params.data.corpora)}. Choose among "
            f"{', '.join(sorted(set(manifest['emotion'])))}."
        )
    for pair, n in account["merged"].items():
        print(f"labels: {pair}, {count_of(n, 'utterance')}.")
    for name, n in account["dropped"].items():
        print(f"labels: {name} is dropped, {count_of(n, 'utterance')}.")
    manifest = manifest.assign(emotion=emotion)[kept].reset_index(drop=True)
    corpora_of = manifest.groupby("emotion")["corpus"].unique()
    for alone, corpora in corpora_of.items():
        if len(corpora) < len(params.data.corpora):
            print(
                f"note: {alone} occurs in {' and '.join(corpora)} alone: a model may recognise "
                "the corpus instead. data.labels can merge or drop it."
            )
    return manifest, {"keep": chosen.keep, **account}


if __name__ == "__main__":
    run_stage(run)
