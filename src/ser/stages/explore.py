"""Stage `explore`: the corpora before any training, as tables for `dvc plots` and pictures.

Likely mislabelled and outlying clips, a map by UMAP and players: `ser plot`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ser.core.corpus.choice import one_of_each
from ser.core.corpus.distributions import counts, histogram
from ser.core.corpus.measures import MEASURES, Measures, measure
from ser.core.corpus.plane import PCA_AXES, by_speaker, components
from ser.core.features.extract import audible, lld, prepared
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import check_folds, segments_of
from ser.core.utterance.waveform import trim
from ser.errors import AudioError
from ser.files import atomic_path
from ser.io.audio.read import load_segments
from ser.io.storage.manifests import by_key
from ser.io.storage.recordings import load_utterances
from ser.io.storage.shards import read_functionals
from ser.io.storage.tables import read_table, write_table
from ser.parallel import in_parallel
from ser.params import FeatureParams, Params
from ser.project import EXPLORED, FEATURES, FOLDS
from ser.reporting.corpora import distributions, feature_map, voices
from ser.reporting.panels import emotion_panels
from ser.stages.base import run_stage

#: The manifest's columns that stand beside the measures.
LABELS = ("file", "start", "end", "corpus", "speaker", "sex", "emotion", "intensity", "split")


def run(root: Path, params: Params) -> None:
    folds = read_table(root / FOLDS, check_folds)
    clips = pd.concat(
        [folds, measures_of(root, folds, params.features, doing="measure")], axis="columns"
    )
    functionals = read_functionals(root / FEATURES).loc[by_key(folds).index].to_numpy()
    points = components(by_speaker(functionals, folds["speaker"].to_numpy(str)), most=2)
    clips = clips.assign(component_1=points[:, 0].round(3), component_2=points[:, -1].round(3))
    with atomic_path(root / EXPLORED) as folder:
        folder.mkdir()
        kept = [*LABELS, "duration", *MEASURES, "component_1", "component_2"]
        write_table(clips[kept], folder / "clips.csv")
        for column in ("emotion", "speaker", "sex"):
            write_table(counts(clips, column), folder / f"{column}.csv")
        for column in ("duration", "level_db", "snr_db"):
            write_table(histogram(clips[column], column), folder / f"{column}.csv")
        (folder / "figures").mkdir()
        title = " + ".join(params.data.corpora)
        figures = {
            "distributions": distributions(clips, title=title),
            "voices": voices(clips, title=title),
            "map": feature_map(
                points, clips["emotion"], kind="emotion", axes_names=PCA_AXES, title=title
            ),
        }
        for corpus, own in clips.groupby("corpus"):
            rows, shown = one_of_each(own)
            figures[f"emotions_{corpus}"] = draw_panels(
                root, rows, list(rows.index), features=params.features, title=shown
            )
        for name, figure in figures.items():
            figure.savefig(folder / "figures" / f"{name}.png", dpi=100)
    silent = int(clips["snr_db"].isna().sum())
    print(
        f"{len(clips)} utterances: median level {clips['level_db'].median():.0f} dB, SNR about "
        f"{clips['snr_db'].median():.0f} dB{f' ({silent} not measurable)' if silent else ''}, F0 "
        f"{clips['f0_median'].median():.0f} Hz."
    )


def measures_of(
    root: Path, rows: pd.DataFrame, params: FeatureParams, *, doing: str
) -> pd.DataFrame:
    """Measures of each row of a manifest, indexed as it is; NaN where it cannot be read."""
    segments = segments_of(rows)
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, recording in enumerate(zip(rows["file"], rows["sha256"], strict=True)):
        places[recording].append(place)
    jobs = [
        (root / file, sha256, [segments[i] for i in own], params)
        for (file, sha256), own in places.items()
    ]
    found: dict[int, Measures] = {}
    for own, measured in zip(
        places.values(), in_parallel(_measure_file, jobs, doing=doing), strict=True
    ):
        found |= zip(own, measured, strict=True)
    values = [vars(found[place]) for place in range(len(rows))]
    return pd.DataFrame(values, columns=list(MEASURES), index=rows.index)


def draw_panels(
    root: Path, rows: pd.DataFrame, names: Sequence[str], *, features: FeatureParams, title: str
) -> Figure:
    """Panels of a manifest's rows, one column each, under `names`; raises as `load_utterances`."""
    samples, descriptors = {}, {}
    for name, (recorded, sr) in zip(names, load_utterances(root, rows), strict=True):
        heard = audible(recorded, sr=sr, params=features)
        # At the recorded level, which shows how loud an emotion is.
        samples[name] = trim(heard, sr=features.sr)
        descriptors[name] = lld(prepared(heard, params=features), params=features)
    return emotion_panels(samples, descriptors, features=features, title=title)


def _measure_file(
    path: Path, sha256: str, segments: list[Segment], params: FeatureParams
) -> list[Measures]:
    return list(_measured(path, sha256, segments, params))


def _measured(
    path: Path, sha256: str, segments: list[Segment], params: FeatureParams
) -> Iterator[Measures]:
    nothing = Measures(**dict.fromkeys(MEASURES, math.nan))
    try:
        parts = load_segments(path, segments, sha256=sha256)
    except AudioError:
        yield from [nothing] * len(segments)
        return
    for y, sr in parts:
        try:
            yield measure(y, sr=sr, params=params)
        except AudioError:
            yield nothing


if __name__ == "__main__":
    run_stage(run)
