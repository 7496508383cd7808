"""The page of a corpus: figures, doubtful labels and outlying clips, each with a player."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from ser.core.corpus.distributions import counts
from ser.core.corpus.measures import SNR_METHOD
from ser.core.utterance.tables import is_known, utterance_name
from ser.errors import AudioError
from ser.output import count_of, one_line
from ser.pictures.checks import METHOD, NEIGHBOURS, Checks
from ser.pictures.gallery import Picture, samples_of
from ser.reporting.pages import audio_uri, inline_svg, render


def page(
    name: str, checks: Checks, pictures: Sequence[Picture], *, notes: Sequence[str], listed: int
) -> str:
    """The page of the clips in `checks.table`.

    listed : clips in each list, at most. Recordings that can no longer be read have no player.
    """
    clips = checks.table
    return render(
        "corpus.html",
        title=f"{name}: pictures of {count_of(len(clips), 'utterance')}",
        facts=_facts(clips),
        emotions=[
            (emotion, int(n)) for emotion, n in counts(clips, "emotion").to_numpy() if emotion
        ],
        notes=[one_line(note) for note in (*notes, *checks.notes)],
        pictures=[_shown(picture) for picture in pictures],
        labelling=checks.labelling,
        mislabelled=[_doubtful(row) for _, row in doubtful(checks, listed).iterrows()],
        outlying=[_outlying(row) for _, row in checks.outlying.head(listed).iterrows()],
        method=METHOD,
        neighbours=NEIGHBOURS,
        snr_method=SNR_METHOD,
    )


def doubtful(checks: Checks, most: int) -> pd.DataFrame:
    """The clips that look like another emotion than their label, the most doubtful first."""
    found = checks.mislabelled
    return found[found["looks_like"] != found["emotion"]].head(most)


def _facts(clips: pd.DataFrame) -> str:
    speakers = clips["speaker"].nunique()
    unknown = not is_known(clips["speaker"].str.rpartition("/")[2]).any()
    said = "speakers unknown" if unknown else count_of(speakers, "speaker")
    minutes = clips["duration"].sum() / 60
    emotions = clips.loc[is_known(clips["emotion"]), "emotion"].nunique()
    labels = count_of(emotions, "emotion") if emotions else "no labels"
    return (
        f"{count_of(len(clips), 'utterance')}, {minutes:.1f} min, {said}, {labels}; median level "
        f"{clips['level_db'].median():.0f} dB, SNR about {clips['snr_db'].median():.0f} dB."
    )


def _shown(picture: Picture) -> dict[str, Any]:
    clips = picture.clips if picture.clips is not None else pd.DataFrame()
    return {
        "name": picture.name,
        "heading": picture.heading,
        "text": picture.text,
        "wide": picture.name.startswith(("emotions_", "distributions", "voices")),
        "svg": inline_svg(picture.figure, label=picture.heading),
        "players": [_clip(row) for _, row in clips.iterrows()],
    }


def _clip(row: pd.Series) -> dict[str, Any]:
    """What the page says of any clip."""
    speaker = str(row["speaker"])
    try:
        y, sr = samples_of(row)
        uri = audio_uri(y, sr)
    except AudioError:
        uri = ""
    return {
        "file": one_line(utterance_name(row)),
        "name": one_line(PurePath(row["file"]).name),
        "speaker": "" if not is_known(pd.Series([speaker.rpartition("/")[2]])).item() else speaker,
        "emotion": row["emotion"] if is_known(pd.Series([row["emotion"]])).item() else "",
        "uri": uri,
    }


def _doubtful(row: pd.Series) -> dict[str, Any]:
    return {
        **_clip(row),
        "looks_like": row["looks_like"],
        "p_label": float(row["label_quality"]),
        "p_looks_like": float(row["p_looks_like"]),
        "flagged": bool(row["flagged"]),
    }


def _outlying(row: pd.Series) -> dict[str, Any]:
    return {**_clip(row), "typicality": float(row["typicality"]), "odd": row["odd"]}
