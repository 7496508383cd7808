"""All figures of some clips, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser.core.corpus.choice import one_of_each
from ser.core.corpus.distributions import has_labels
from ser.core.utterance.tables import is_known
from ser.core.utterance.waveform import levelled
from ser.errors import AudioError
from ser.io.storage.recordings import load_utterances
from ser.params import FeatureParams
from ser.pictures.layout import Kind, Map, layout
from ser.reporting.corpora import distributions, feature_map, voices
from ser.stages.explore import draw_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Clips side by side where there are no emotions.
MOST_SIDE_BY_SIDE = 8
#: dB re full scale of what players play: recordings may be too soft to be heard.
LISTENING_DB = -20.0


@dataclass(frozen=True)
class Picture:
    """name : of a file. heading, text : for a page. clips : that the figure shows, to be played."""

    name: str
    heading: str
    figure: Figure
    text: str = ""
    clips: pd.DataFrame | None = None


def pictures(
    clips: pd.DataFrame,
    functionals: np.ndarray,
    params: FeatureParams,
    *,
    kind: Kind,
    seed: int,
) -> Iterator[Picture]:
    """Panels of each corpus, distributions, voices by emotion, maps.

    clips : a manifest's columns, `root` and measures'; functionals : (n, d) in the same order.
    """
    title = " + ".join(clips["corpus"].unique())
    for corpus, own in clips.groupby("corpus", sort=False):
        yield _panels(str(corpus), own, params)
    yield Picture("distributions", "What there is", distributions(clips, title=title))
    heading = "Voices by emotion" if has_labels(clips) else "Voices"
    yield Picture("voices", heading, voices(clips, title=title))
    yield from _maps(clips, functionals, kind=kind, seed=seed)


def _panels(corpus: str, own: pd.DataFrame, params: FeatureParams) -> Picture:
    if has_labels(own):
        rows, title = one_of_each(own[is_known(own["emotion"])])
        names = list(rows.index)
        heading = f"{corpus}: emotions side by side"
    else:
        rows = own.head(MOST_SIDE_BY_SIDE)
        names = [f"{i}. {Path(file).name}"[:22] for i, file in enumerate(rows["file"], start=1)]
        title = f"{corpus}: recordings without labels"
        heading = f"{corpus}: recordings side by side"
    figure = draw_panels(Path(own["root"].iloc[0]), rows, names, features=params, title=title)
    return Picture(f"emotions_{corpus}", heading, figure, clips=rows)


def _maps(
    clips: pd.DataFrame, functionals: np.ndarray, *, kind: Kind, seed: int
) -> Iterator[Picture]:
    speaker = clips["speaker"].to_numpy(str)
    if len(clips) < 3:
        return
    if len(np.unique(speaker)) > 1 and has_labels(clips):
        # What differs between voices is larger than what differs between emotions.
        made = layout(functionals, speaker=speaker, kind=kind, seed=seed)
        text = f"{made.method}; functionals standardised by speaker."
        yield _map_of(clips, made, "emotion", "map_emotion", text)
    made = layout(functionals, speaker=None, kind=kind, seed=seed)
    text = f"{made.method}; functionals as they are."
    kinds = ("speaker", "sex", "corpus") if len(np.unique(speaker)) > 1 else ("emotion", "corpus")
    # Where all is alike, one map shows how the clips lie.
    for one in [kind for kind in kinds if clips[kind].nunique() > 1] or kinds[-1:]:
        yield _map_of(clips, made, one, f"map_{one}", text)


def _map_of(clips: pd.DataFrame, made: Map, one: str, name: str, text: str) -> Picture:
    figure = feature_map(
        made.points,
        clips[one].iloc[made.rows],
        kind=one,
        axes_names=made.axes,
        title=f"by {one}",
    )
    return Picture(name, f"Feature map by {one}", figure, text)


def samples_of(row: pd.Series) -> tuple[np.ndarray, int]:
    """A clip's mono samples for listening, and their rate; raises AudioError."""
    table = pd.DataFrame([row])
    ((y, sr),) = load_utterances(Path(row["root"]), table)
    if not y.size:
        raise AudioError("holds no samples")
    return levelled(y, level_db=LISTENING_DB), sr
