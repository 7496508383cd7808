"""How many test utterances have a sentence that is also trained on."""

from __future__ import annotations

import pandas as pd

from ser.core.utterance.tables import is_known


def sentence_overlap(folds: pd.DataFrame) -> float | None:
    """Of the test utterances with a known sentence, the share with one also trained on.

    In the same corpus; None where no sentence is known in test or in train.
    """
    known = folds[is_known(folds["sentence"])]
    sentence = known["corpus"] + "/" + known["sentence"]
    test, trained = (sentence[known["split"] == split] for split in ("test", "train"))
    if test.empty or trained.empty:
        return None
    return float(test.isin(trained.unique()).mean())


def sentence_unknown(folds: pd.DataFrame) -> float:
    """Share of the train and test utterances whose sentence is not known."""
    compared = folds.loc[folds["split"] != "dev", "sentence"]
    return float(1 - is_known(compared).mean()) if len(compared) else 0.0


def sentence_text(overlap: float | None, unknown: float) -> str:
    """`sentence_overlap` and `sentence_unknown` in words."""
    if overlap is None:
        return "whether tested sentences are also trained on is unknown"
    if not unknown:
        return f"{overlap:.0%} of the test utterances have a sentence that is also trained on"
    return (
        f"{overlap:.0%} of the test utterances whose sentence is known have one that is also "
        f"trained on ({unknown:.0%} of the train and test sentences are unknown)"
    )
