"""EDER of made-up recordings whose emotions are known, beside that of the majority class.

A recording is made of stretches: three clips of one speaker in one emotion, 0.3 to 1.0 s apart.
Between stretches, whose speakers and emotions come in random order, lie 1.0 to 2.0 s. A clip is its
voice-active part, trimmed as features are trimmed, and this part is the reference; pauses hold the
clip's own silence behind it, turned over and over. Levels stay as recorded. Each clip is used once;
what is left over of a speaker's emotion is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import page
from ser.bundle import bundle_sha256, load_bundle
from ser.core.features.extract import audible, speech_bounds
from ser.core.timeline.error import DiarizationError, diarization_error, majority_error
from ser.core.timeline.segments import Labelled
from ser.core.timeline.values import ModelOf
from ser.io.audio.read import load_mono
from ser.params import FeatureParams
from ser.params.timeline import TimelineParams
from ser.predictor import Predictor
from ser.timeline.making import timeline_of

SR = 16_000
CLIPS, STRETCHES = 3, 15
#: Seconds of pauses within and between stretches.
WITHIN, BETWEEN = (0.3, 1.0), (1.0, 2.0)


@dataclass(frozen=True)
class MadeUp:
    """y : float32 (n_samples,) at `SR` Hz; reference : its emotions."""

    y: np.ndarray
    reference: tuple[Labelled, ...]


def stretches(table: pd.DataFrame, *, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Rows (file, speaker, emotion) in threes of one speaker and emotion, in random order."""
    found = []
    for _, rows in table.groupby(["speaker", "emotion"], sort=True):
        mixed = rows.iloc[rng.permutation(len(rows))]
        found += [mixed.iloc[i : i + CLIPS] for i in range(0, len(mixed) - CLIPS + 1, CLIPS)]
    return [found[i] for i in rng.permutation(len(found))]


def made_up(
    table: pd.DataFrame, *, root: Path, params: FeatureParams, rng: np.random.Generator
) -> Iterator[MadeUp]:
    """Recordings of `STRETCHES` stretches each, the last of as many as are left."""
    order = stretches(table, rng=rng)
    for first in range(0, len(order), STRETCHES):
        yield _recording(order[first : first + STRETCHES], root=root, params=params, rng=rng)


def _recording(
    order: list[pd.DataFrame], *, root: Path, params: FeatureParams, rng: np.random.Generator
) -> MadeUp:
    parts: list[np.ndarray] = []
    reference: list[Labelled] = []
    at = 0

    def add(y: np.ndarray) -> None:
        nonlocal at
        parts.append(y)
        at += y.size

    for stretch in order:
        for number, row in enumerate(stretch.itertuples(), start=1):
            y, sr = load_mono(root / str(row.file))
            y = audible(y, sr=sr, params=params.at(SR))
            start, stop = speech_bounds(y, params=params.at(SR))
            reference.append(Labelled(at / SR, (at + stop - start) / SR, str(row.emotion)))
            add(y[start:stop])
            seconds = rng.uniform(*(BETWEEN if number == len(stretch) else WITHIN))
            silence = y[stop:] if y[stop:].size else np.zeros(1, np.float32)
            add(np.resize(np.concatenate([silence, silence[::-1]]), round(seconds * SR)))
    return MadeUp(np.concatenate(parts), tuple(reference))


def error_of(
    predictor: Predictor, recordings: list[MadeUp], params: TimelineParams
) -> DiarizationError:
    """The error over all recordings together."""
    total = DiarizationError()
    for one in recordings:
        blocks = ((one.y[i : i + SR, None], SR) for i in range(0, one.y.size, SR))
        timeline = timeline_of(
            predictor, blocks, file="", model=ModelOf("", ""), params=params, processes=1
        )
        (channel,) = timeline.channels
        total += diarization_error(one.reference, [turn.segment for turn in channel.turns])
    return total


def scored(
    name: str, root: Path, table: pd.DataFrame, predictor: Predictor, *, orders: int
) -> list[list[object]]:
    """Rows of the page: each order of the clips, and their mean."""
    rows: list[list[float]] = []
    for seed in range(orders):
        rng = np.random.default_rng(seed)
        features = predictor.bundle.features
        recordings = list(made_up(table, root=root, params=features, rng=rng))
        found = error_of(predictor, recordings, TimelineParams())
        majority = DiarizationError()
        for one in recordings:
            majority += majority_error(one.reference)
        parts = [x / found.speech for x in (found.missed, found.false_alarm, found.confused)]
        rows.append([found.speech / 60, found.eder, *parts, majority.eder])
    mean = [float(np.mean(column)) for column in zip(*rows, strict=True)]
    named = [*((str(seed), row) for seed, row in enumerate(rows)), ("mean", mean)]
    return [[name, order, *(round(value, 3) for value in row)] for order, row in named]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--corpus",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "ROOT", "TABLE", "BUNDLE"),
        help="a project, in which the table's files lie; folds or predictions (Parquet)",
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--orders", type=int, default=3, help="of the clips")
    options = parser.parse_args()
    rows, about = [], []
    for name, root, path, bundle in options.corpus:
        table = pd.read_parquet(path)
        table = table[table["split"] == options.split] if "split" in table else table
        predictor = Predictor(load_bundle(Path(bundle)))
        rows += scored(name, Path(root), table, predictor, orders=options.orders)
        about.append(
            f"{name}: {len(set(table['speaker']))} speakers of the {options.split} split, bundle "
            f"{bundle_sha256(Path(bundle))[:12]} ({predictor.bundle.model_name})."
        )
    head = ["corpus", "order", "speech, min", "EDER", "missed", "false alarm", "confused"]
    page.write(
        "timeline_error",
        title="Emotion diarization error rate of made-up recordings",
        body=f"""
{" ".join(str(__doc__).split())}

The majority class is the most frequent emotion of each recording, given all along at the true
speech.

{chr(10).join(f"- {line}" for line in about)}

{page.table([*head, "majority class"], rows)}
""",
    )


if __name__ == "__main__":
    main()
