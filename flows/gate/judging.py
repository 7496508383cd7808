"""Predictions of the challenger and of the champion on the same utterances, compared: those of the
challenger's test split, or of the corpora that are held back for the gate."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flows.gate import facts
from ser.bundle import CARD_FILE, load_bundle, load_encoder_of
from ser.core.gate.comparison import (
    FIRST,
    KEY,
    NO_CHAMPION,
    Comparison,
    trained_speakers,
    under_one_rule,
    utterances_sha256,
)
from ser.core.gate.judging import judge, ruled
from ser.core.gate.rules import Facts
from ser.core.gate.verdict import Verdict
from ser.core.speakers.enrolment import rows_of
from ser.core.utterance.emotions import label_rule
from ser.core.utterance.tables import check_folds, check_predictions, predictions_table
from ser.errors import SerError
from ser.files import read_json
from ser.io.storage.manifests import load_manifest
from ser.io.storage.recordings import load_utterances
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking import runs
from ser.io.tracking.registry import bundles
from ser.io.tracking.registry.change import history
from ser.io.tracking.registry.versions import Version
from ser.params import Params
from ser.predictor import Predictor
from ser.project import BUNDLE, FOLDS, PREDICTIONS

#: The recordings that a version was trained, tuned and calibrated on, among its run's artifacts.
TRAINING_SET = "training_set.parquet"
#: Columns that identify an utterance in the manifest and in the folds.
UTTERANCE = ["file", "start", "end"]


def judge_version(
    root: Path, params: Params, version: Version, champion: Version | None
) -> Verdict:
    """The verdict on `version`: bundle and predictions are those that the stages made last."""
    asked, new = _challenged(root, params)
    challenger = facts.of_files(root, new)
    if champion is None:
        found = NO_CHAMPION if version.version > 1 else FIRST
        verdict = ruled(found, challenger, None, params.gate, seed=params.seed)
    elif champion.version == version.version:
        return Verdict(True, "It serves already; only the record of its verdict was lost.")
    else:
        verdict = _against(root, params, version, champion, challenger, asked)
    if version.version and any(rule.failed for rule in verdict.rules):
        remedy = f"Mend the model or the limit; `ser promote {version.version}` overrules the gate."
        verdict = replace(verdict, reason=f"{verdict.reason} {remedy}")
    tested = utterances_sha256(new)
    before = sum(row.get("tested") == tested for row in history(root))
    return replace(
        verdict,
        tested=tested,
        comparisons=before + 1,
        held_back=params.gate.corpora,
        gate=params.gate.sha256,
    )


def _challenged(root: Path, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The utterances that both models answer, with fingerprints; the challenger's predictions."""
    folds = _with_fingerprints(root, params)
    if not params.gate.corpora:
        return folds[folds["split"] == "test"], read_table(root / PREDICTIONS, check_predictions)
    # Loads what reads corpora.
    from flows.gate import held_back

    asked = held_back.load(root, params, folds, load_bundle(root / BUNDLE).classes)
    return asked, score_bundle(root / BUNDLE, asked, root)


def _against(
    root: Path,
    params: Params,
    version: Version,
    champion: Version,
    challenger: Facts,
    asked: pd.DataFrame,
) -> Verdict:
    """The verdict where there is a champion, which answers the same utterances."""
    overrule = f"If you mean it, run `ser promote {version.version}`." if version.version else ""
    new = challenger.predictions
    old = None
    if not params.gate.corpora:
        old = _stored_predictions(root, champion, split_sha256=version.split_sha256)
    bundle = bundles.fetch_bundle(root, champion)

    def refused(why: str) -> Verdict:
        reason = f"Not comparable: the champion, version {champion.version}, {why}. {overrule}"
        found = Comparison(False, reason.strip())
        return ruled(found, challenger, None, params.gate, seed=params.seed)

    # A recording may have been renamed since: then the bundle is scored again.
    if old is None or len(new.merge(old[KEY], on=KEY)) < len(new):
        trained = _trained_speakers(root, champion, asked)
        new = new[~new["speaker"].isin(trained)]
        if new.empty:
            whose = "+".join(params.gate.corpora) or "this split"
            return refused(f"was trained on all test speakers of {whose}")
        old = score_bundle(bundle, asked[~asked["speaker"].isin(trained)], root)
    labels = _card(root, champion)["parameters"]["data"]["labels"]
    rules = [
        label_rule(params.data.labels.keep, params.data.labels.merge),
        label_rule(labels["keep"], labels["merge"]),
    ]
    pair = under_one_rule(new, old, rules)
    if pair is None:
        return refused(f"distinguishes other emotions than version {version.version}")
    new, old = pair
    return judge(
        replace(challenger, predictions=new),
        facts.of_version(root, champion, bundle, old),
        params.gate,
        seed=params.seed,
    )


def log_training_set(root: Path, params: Params, run_id: str) -> None:
    """Log with the run which recordings it was trained on, so that the gate recognises them
    under any name."""
    folds = _with_fingerprints(root, params)
    columns = ["speaker", "audio_sha256", "fingerprint"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TRAINING_SET
        write_table(folds.loc[folds["split"] != "test", columns], path)
        runs.resume_run(root, run_id).log_artifact(path)


def _with_fingerprints(root: Path, params: Params) -> pd.DataFrame:
    folds = read_table(root / FOLDS, check_folds)
    manifest = load_manifest(root, params.data.corpora)[[*UTTERANCE, "fingerprint"]]
    return folds.merge(manifest, on=UTTERANCE, how="left", validate="one_to_one")


def _trained_speakers(root: Path, champion: Version, asked: pd.DataFrame) -> set[str]:
    """Speakers whose utterances the champion was trained on: those that its card names, and those
    of `asked` who have one of these utterances under another name."""
    by_name = set(_card(root, champion)["train_speakers"])
    try:
        trained = read_table(runs.fetch_artifact(root, champion.run_id, TRAINING_SET))
    except SerError:
        # Deleted or damaged: the card still names them.
        return by_name
    return by_name | trained_speakers(asked, trained)


def _stored_predictions(
    root: Path, champion: Version, *, split_sha256: str | None
) -> pd.DataFrame | None:
    """What `evaluate` logged with the champion's run, if that was on this very split."""
    if champion.split_sha256 != split_sha256:
        return None
    try:
        path = runs.fetch_artifact(root, champion.run_id, PREDICTIONS.as_posix())
        return read_table(path, check_predictions)
    except SerError:
        # Deleted or damaged: the bundle can be scored again.
        return None


def _card(root: Path, version: Version) -> dict[str, Any]:
    return dict(read_json(bundles.fetch_bundle(root, version) / CARD_FILE)["card"])


def score_bundle(bundle_dir: Path, utterances: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Predictions of any bundle for rows of a manifest, from the recordings themselves.

    For a champion whose own feature parameters may differ from the stored features'. Where the
    model takes enrolment, each speaker is enrolled with all of these recordings, as in `evaluate`.
    """
    bundle = load_bundle(bundle_dir)
    predictor = Predictor(bundle, load_encoder_of(bundle))

    posteriors = np.empty((len(utterances), len(bundle.classes)))
    for rows in rows_of(utterances["speaker"].to_numpy(str)).values():
        own = utterances.iloc[rows]
        voice = predictor.enrol(load_utterances(root, own)) if bundle.takes_enrolment else None
        for i, (y, sr) in zip(rows, load_utterances(root, own), strict=True):
            posteriors[i] = predictor.posteriors(y, sr=sr, voice=voice)
    return predictions_table(utterances, posteriors, bundle.classes)
