"""The gate: does the challenger take the champion's place?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.emotions import classes_of
from ser.core.metrics import resample_speakers, resampled_uar, speaker_hits
from ser.errors import TableError

#: What names an utterance in a predictions table.
KEY = ["corpus", "file", "start", "end"]


@dataclass(frozen=True)
class Verdict:
    """What was decided, and the figures behind it (None where nothing was compared).

    delta_uar : the challenger's UAR minus the champion's, both on the same utterances.
    ci95 : 95 % percentile interval of delta_uar over resampled speakers.
    probability : share of speaker resamples where the challenger is at least as good.
    """

    promote: bool
    reason: str
    delta_uar: float | None = None
    ci95: tuple[float, float] | None = None
    probability: float | None = None


def judge(
    challenger: pd.DataFrame,
    champion: pd.DataFrame | None,
    *,
    min_probability: float,
    resamples: int,
    seed: int,
) -> Verdict:
    """Compare two predictions tables of one test split by a paired bootstrap over speakers.

    champion : None where nothing has been promoted yet; rows beyond the challenger's are
        ignored. Raises TableError unless it covers all utterances of the challenger.
    """
    if champion is None:
        return Verdict(True, "It is the first model, so there is no champion to compare with.")
    old, new = _paired(challenger, champion)
    if (old["predicted"] == new["predicted"]).all():
        return Verdict(
            False,
            f"Equal: it labels all {len(new)} test utterances as the champion does.",
            delta_uar=0.0,
            ci95=(0.0, 0.0),
            probability=1.0,
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
    low, high = (float(bound) for bound in np.percentile(gains, [2.5, 97.5]))
    probability = float((gains >= 0).mean())

    delta = new_uar - old_uar
    equal = abs(delta) < 1e-12
    if len(total) == 1 and not equal:
        return _judge_one_speaker(old_uar, new_uar, min_probability)
    promote = not equal and probability >= min_probability
    figures = (
        f"UAR {old_uar:.3f} → {new_uar:.3f} ({delta:+.3f}, 95 % interval {low:+.3f} to "
        f"{high:+.3f} over {_count(len(total), 'speaker')}); at least as good in "
        f"{probability:.1%} of resamples"
    )
    if equal:
        reason = f"Equal: {figures}; a tie keeps the champion."
    elif promote:
        reason = f"Not worse: {figures}, and the gate asks for {min_probability:.0%}."
    else:
        claim = "Worse" if delta < 0 else "Not surely as good"
        reason = f"{claim}: {figures}, but the gate asks for {min_probability:.0%}."
    return Verdict(promote, reason, 0.0 if equal else delta, (low, high), probability)


def _judge_one_speaker(old_uar: float, new_uar: float, min_probability: float) -> Verdict:
    """One speaker says nothing of others: only a gate that asks for no certainty may open."""
    figures = f"UAR {old_uar:.3f} → {new_uar:.3f} on one speaker, which leaves no interval"
    if min_probability > 0.5:
        return Verdict(
            False,
            f"Not surely as good: {figures}, but the gate asks for {min_probability:.0%}. "
            "Test on more speakers.",
            delta_uar=new_uar - old_uar,
        )
    claim = "Not worse" if new_uar > old_uar else "Worse"
    return Verdict(new_uar > old_uar, f"{claim}: {figures}.", delta_uar=new_uar - old_uar)


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
    # Labels may have been corrected since the champion was scored: today's are the truth.
    return old.assign(emotion=new["emotion"], speaker=new["speaker"]), new


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
