"""Challenger and champion on the same test utterances: a paired bootstrap over speakers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.scores.metrics import interval_of, resample_speakers, resampled_uar, speaker_hits
from ser.core.splits.copies import find_candidates
from ser.core.splits.fingerprint import stack
from ser.core.utterance.emotions import LabelRule, classes_of, select
from ser.core.utterance.tables import posterior_columns
from ser.errors import TableError
from ser.output import count_of

#: Similarity of fingerprints that only copies reach: of other recordings it is up to 0.52.
SURELY_COPIES = 0.6
#: Columns that identify an utterance in a predictions table.
KEY = ["corpus", "file", "start", "end"]


@dataclass(frozen=True)
class Comparison:
    """Whether the challenger may be champion for its UAR alone; figures as in `Verdict`."""

    better: bool
    reason: str
    delta_uar: float | None = None
    ci95: tuple[float, float] | None = None
    probability: float | None = None


#: Where there is nothing to compare with.
FIRST = Comparison(True, "It is the first model, so there is no champion to compare with.")
NO_CHAMPION = Comparison(True, "No version is the champion, so there is none to compare with.")


def compare(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    *,
    min_probability: float,
    min_speakers: int,
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare two predictions tables of one test split by a paired bootstrap over speakers.

    champion : rows beyond the challenger's are ignored. Both under one label rule, see
        `under_one_rule`.
    min_speakers : with fewer test speakers nothing is promoted over a champion.
    Raises TableError unless the champion covers all utterances of the challenger.
    """
    old, new = _paired(challenger, champion)
    if (old["predicted"] == new["predicted"]).all():
        return Comparison(
            False,
            f"Equal: it labels all {len(new)} test utterances as the champion does.",
            delta_uar=0.0,
            ci95=(0.0, 0.0),
            probability=1.0,
        )

    speakers = int(new["speaker"].nunique())
    if speakers < min_speakers:
        return Comparison(
            False,
            f"No evidence: {count_of(speakers, 'test speaker')} whom the champion was not trained "
            f"on, but gate.min_speakers asks for {min_speakers}. Test on more speakers, or "
            "overrule the gate with `ser promote`.",
        )
    classes = classes_of(new["emotion"])
    old_hits, total = speaker_hits(old, classes)
    new_hits, _ = speaker_hits(new, classes)
    everyone = np.ones((1, len(total)))
    old_uar = float(resampled_uar(old_hits, total, everyone)[0])
    new_uar = float(resampled_uar(new_hits, total, everyone)[0])

    weights = resample_speakers(len(total), resamples=resamples, seed=seed)
    gains = resampled_uar(new_hits, total, weights) - resampled_uar(old_hits, total, weights)
    # Equal counts summed in another order may differ in the last bits.
    gains[np.abs(gains) < 1e-12] = 0.0
    low, high = interval_of(gains)
    probability = float((gains >= 0).mean())

    delta = new_uar - old_uar
    equal = abs(delta) < 1e-12
    promote = not equal and probability >= min_probability
    figures = (
        f"UAR {old_uar:.3f} → {new_uar:.3f} ({delta:+.3f}, 95 % interval {low:+.3f} to "
        f"{high:+.3f} over {count_of(len(total), 'speaker')}); at least as good in "
        f"{probability:.1%} of resamples"
    )
    if equal:
        reason = f"Equal: {figures}; a tie keeps the champion."
    elif promote:
        reason = f"Not worse: {figures}, and the gate asks for {min_probability:.0%}."
    else:
        claim = "Worse" if delta < 0 else "Not surely as good"
        reason = f"{claim}: {figures}, but the gate asks for {min_probability:.0%}."
    return Comparison(promote, reason, 0.0 if equal else delta, (low, high), probability)


def utterances_sha256(predictions: pd.DataFrame) -> str:
    """Hash of which utterances were tested, in any order: verdicts on the same ones wear it out."""
    rows = predictions[KEY].sort_values(KEY).to_csv(index=False, float_format="%.6f")
    return hashlib.sha256(rows.encode()).hexdigest()


def trained_speakers(test: pd.DataFrame, trained: pd.DataFrame) -> set[str]:
    """Speakers of `test` who have a recording among those trained on, under whatever name.

    Both have speaker, audio_sha256 and fingerprint, one row an utterance. One utterance with the
    same samples is enough, or one with a fingerprint that only copies share. The file's hash is
    not compared: a dialogue holds utterances of several speakers.
    """
    same = test["audio_sha256"].isin(trained["audio_sha256"])
    rows = test.dropna(subset="fingerprint")
    pairs = find_candidates(stack([*rows["fingerprint"], *trained["fingerprint"].dropna()]))
    across = pairs[(pairs["a"] < len(rows)) & (pairs["b"] >= len(rows))]
    copies = across.loc[across["similarity"] >= SURELY_COPIES, "a"]
    return {*test.loc[same, "speaker"], *rows["speaker"].iloc[copies]}


def under_one_rule(
    challenger: pd.DataFrame, champion: pd.DataFrame, rules: Sequence[LabelRule]
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Both predictions tables under the first of the rules that gives them the same emotions.

    Labels may have been merged or dropped since the champion was trained: posteriors of merged
    emotions are added; dropped emotions lose their posteriors and their utterances. None: no rule
    gives both the same emotions, so they cannot be compared.
    """
    for rule in rules:
        new, old = _under(challenger, rule), _under(champion, rule)
        if set(posterior_columns(new)) == set(posterior_columns(old)) and not new.empty:
            return new, old
    return None


def _under(predictions: pd.DataFrame, rule: LabelRule) -> pd.DataFrame:
    """Predictions as if their emotions had been merged and dropped by `rule`."""
    columns = posterior_columns(predictions)
    emotions = select(pd.Series([c.removeprefix("p_") for c in columns], index=columns), rule)
    posteriors = predictions[columns].T.groupby(emotions).sum().T
    posteriors = posteriors[list(classes_of(posteriors.columns))]
    uttered = select(predictions["emotion"], rule)
    others = predictions.drop(columns=columns)
    others = others.assign(emotion=uttered, predicted=posteriors.idxmax(axis=1))
    return others.join(posteriors.add_prefix("p_"))[uttered.notna()].reset_index(drop=True)


def _paired(challenger: pd.DataFrame, champion: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(champion's rows, challenger's rows), row by row the same utterances."""
    for name, table in (("challenger", challenger), ("champion", champion)):
        twice = table.loc[table.duplicated(KEY), "file"]
        if not twice.empty:
            raise TableError(
                f"The {name} predicts {twice.iloc[0]} more than once; score it again so that "
                "each utterance has one row."
            )
    new = challenger.sort_values(KEY).reset_index(drop=True)
    old = new[KEY].merge(champion, on=KEY, how="left", validate="one_to_one")
    missing = int(old["predicted"].isna().sum())
    if missing:
        raise TableError(
            f"The champion has no prediction for {missing} of the challenger's {len(new)} test "
            "utterances; score it on the same test split first."
        )
    # Labels may have been corrected since the champion was scored.
    return old.assign(emotion=new["emotion"], speaker=new["speaker"]), new
