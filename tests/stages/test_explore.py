"""Stage `explore`: what `dvc plots` shows of the corpora is what the folds hold."""

import pandas as pd

from ser.core.corpus.measures import MEASURES
from ser.project import EXPLORED, FOLDS


def test_every_utterance_is_measured_and_counted(trained):
    folder = trained.root / EXPLORED
    clips, folds = pd.read_csv(folder / "clips.csv"), pd.read_parquet(trained.root / FOLDS)
    assert list(clips["file"]) == list(folds["file"])
    assert clips[list(MEASURES)].notna().all().all()
    emotion = pd.read_csv(folder / "emotion.csv").set_index("emotion")["utterances"]
    assert emotion.to_dict() == folds["emotion"].value_counts().to_dict()
    for measure in ("duration", "level_db", "snr_db"):
        assert pd.read_csv(folder / f"{measure}.csv")["utterances"].sum() == len(folds)
    # The embedded corpus's women speak higher than its men.
    by_sex = clips.groupby("sex")["f0_median"].median()
    assert by_sex["female"] > 1.3 * by_sex["male"]


def test_there_is_a_picture_of_each_kind(trained):
    pictures = {path.stem for path in (trained.root / EXPLORED / "figures").iterdir()}
    assert pictures == {"distributions", "voices", "map", "emotions_synthetic"}
    # `evaluate` draws the same panels, of a speaker whom the model was not trained on.
    assert (trained.root / "reports/figures/emotions.png").is_file()
