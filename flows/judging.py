"""What the challenger and the champion each answered on the challenger's test split."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.bundle import CARD_FILE, load_bundle, load_encoder_of
from ser.core.scores.gate import KEY, Verdict, judge, trained_speakers, under_one_rule
from ser.core.speakers.enrolment import rows_of
from ser.core.utterance.emotions import LabelRule, label_rule
from ser.core.utterance.tables import check_folds, check_predictions, predictions_table
from ser.errors import SerError
from ser.files import read_json
from ser.io.storage.manifests import load_manifest
from ser.io.storage.recordings import load_utterances
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking import bundles, runs
from ser.io.tracking.versions import Version
from ser.params import Params
from ser.predictor import Predictor
from ser.project import FOLDS, PREDICTIONS

#: The recordings that a version was trained, tuned and calibrated on, among its run's artifacts.
TRAINING_SET = "training_set.parquet"
#: Columns that identify an utterance in the manifest and in the folds.
UTTERANCE = ["file", "start", "end"]


def judge_version(
    root: Path, params: Params, version: Version, champion: Version | None
) -> Verdict:
    """The verdict on `version`, whose predictions are those that `evaluate` wrote last."""
    compare = partial(
        judge,
        min_probability=params.gate.min_probability,
        min_speakers=params.gate.min_speakers,
        resamples=params.gate.resamples,
        seed=params.seed,
    )
    new = read_table(root / PREDICTIONS, check_predictions)
    if champion is None:
        return compare(new, None)
    if champion.version == version.version:
        return Verdict(True, "It serves already; only the record of its verdict was lost.")
    overrule = f"If you mean it, run `ser promote {version.version}`."
    old = _stored_predictions(root, champion, split_sha256=version.split_sha256)
    # One recording may have another name since: then the bundle answers again.
    if old is None or len(new.merge(old[KEY], on=KEY)) < len(new):
        trained = _trained_speakers(root, params, champion)
        new = new[~new["speaker"].isin(trained)]
        if new.empty:
            return Verdict(
                False,
                f"Not comparable: the champion, version {champion.version}, was trained on all "
                f"test speakers of this split. {overrule}",
            )
        old = _score_again(root, champion, trained)
    pair = under_one_rule(new, old, [_rule(params), *_champions_rule(root, champion)])
    if pair is None:
        return Verdict(
            False,
            f"Not comparable: the champion, version {champion.version}, distinguishes "
            f"other emotions than version {version.version}. {overrule}",
        )
    return compare(*pair)


def log_training_set(root: Path, params: Params, run_id: str) -> None:
    """Keep with the run which recordings it was trained on, so that the gate recognises them
    under any name."""
    trained = _with_fingerprints(root, params)
    trained = trained[trained["split"] != "test"]
    columns = ["speaker", "audio_sha256", "fingerprint"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TRAINING_SET
        write_table(trained[columns], path)
        runs.resume_run(root, run_id).log_artifact(path)


def _with_fingerprints(root: Path, params: Params) -> pd.DataFrame:
    folds = read_table(root / FOLDS, check_folds)
    manifest = load_manifest(root, params.data.corpora)[[*UTTERANCE, "fingerprint"]]
    return folds.merge(manifest, on=UTTERANCE, how="left", validate="one_to_one")


def _trained_speakers(root: Path, params: Params, champion: Version) -> set[str]:
    """Speakers whose utterances the champion was trained on: those that its card names, and test
    speakers who have one of these utterances under another name."""
    by_name = set(_card(root, champion)["train_speakers"])
    try:
        path = runs.fetch_artifact(root, champion.run_id, TRAINING_SET)
        trained = read_table(path)
    except SerError:
        # A version from before training sets were kept: only its card says who.
        return by_name
    folds = _with_fingerprints(root, params)
    return by_name | trained_speakers(folds[folds["split"] == "test"], trained)


def _rule(params: Params) -> LabelRule:
    return label_rule(params.data.labels.keep, params.data.labels.merge)


def _champions_rule(root: Path, champion: Version) -> list[LabelRule]:
    """The label rule that the champion was trained under; none where its card does not say."""
    try:
        labels = _card(root, champion)["parameters"]["data"]["labels"]
        keep = labels["keep"]
        return [label_rule(keep if isinstance(keep, str) else tuple(keep), labels["merge"])]
    except (KeyError, TypeError, SerError):
        return []


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
        # Deleted or damaged: the bundle can answer again.
        return None


def _card(root: Path, version: Version) -> dict[str, Any]:
    card = read_json(bundles.fetch_bundle(root, version) / CARD_FILE)["card"]
    return dict(card)


def _score_again(root: Path, champion: Version, trained: set[str]) -> pd.DataFrame:
    """The champion's answers to today's test recordings, by speakers it was not trained on."""
    folds = read_table(root / FOLDS, check_folds)
    test = folds[(folds["split"] == "test") & ~folds["speaker"].isin(trained)]
    return score_bundle(bundles.fetch_bundle(root, champion), test, root)


def score_bundle(bundle_dir: Path, folds: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Predictions of any bundle on the test split of `folds`, from the recordings themselves.

    For a champion whose own feature parameters may differ from the stored features'. A bundle
    that knows voices knows each speaker by all of his or her test recordings, as in `evaluate`.
    """
    test = folds[folds["split"] == "test"]
    bundle = load_bundle(bundle_dir)
    predictor = Predictor(bundle, load_encoder_of(bundle))

    posteriors = np.empty((len(test), len(predictor.bundle.classes)))
    for rows in rows_of(test["speaker"].to_numpy(str)).values():
        own = test.iloc[rows]
        knows = predictor.bundle.knows_voices
        voice = predictor.enrol(load_utterances(root, own)) if knows else None
        for i, (y, sr) in zip(rows, load_utterances(root, own), strict=True):
            posteriors[i] = predictor.posteriors(y, sr=sr, voice=voice)
    return predictions_table(test, posteriors, predictor.bundle.classes)
