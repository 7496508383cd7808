"""Recordings changed in every way, extracted in other processes, and answered by the predictor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from ser.core.features.extract import audible, lld, prepared
from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import segments_of, utterance_keys
from ser.core.utterance.waveform import resample
from ser.errors import AudioError
from ser.front_end import Extracted, FrontEnd
from ser.io.audio.read import load_segments
from ser.parallel import in_parallel
from ser.predictor import Predictor
from ser.stress.conditions import Condition, Taking
from ser.stress.sounds import RATE, Sounds, others

#: The row of the recordings as they are.
CLEAN = "as recorded"


@dataclass(frozen=True)
class Taken:
    """What the front end makes of one recording under one condition.

    extracted : None where nothing could be extracted. refused : why it is not judged.
    """

    extracted: Extracted | None
    refused: Abstention | None


@dataclass(frozen=True)
class Utterance:
    """All of one utterance: its rows of the suite, the clean one first; f0 : mean, Hz, or NaN."""

    rows: list[Taken]
    f0: float


def answer_all(
    predictor: Predictor,
    root: Path,
    table: pd.DataFrame,
    conditions: Sequence[Condition],
    sounds: Sounds,
    *,
    seed: int,
) -> pd.DataFrame:
    """The answers to each utterance of a manifest under each condition, and as recorded.

    Returns the columns `row` (a condition's name, or CLEAN), `utterance` (its place in `table`),
    `speaker`, `sex`, `emotion`, `f0` (Hz), `predicted` (the most probable emotion, whatever the
    predictor thinks of the recording; "" where it has none) and `answer` ("" where it abstains).
    Chance depends on seed, recording and condition alone. A model with enrolment knows each
    speaker by all clips as recorded. Raises AudioError where a recording cannot be read.
    """
    voices = _voices(predictor, root, table) if predictor.bundle.takes_enrolment else {}
    jobs, places = _jobs(predictor.front_end, root, table, conditions, sounds, seed)
    found: dict[int, list[tuple[str, str]]] = {}
    f0, speakers = np.full(len(table), np.nan), table["speaker"].tolist()
    for own, made in zip(places, in_parallel(_take_file, jobs, doing="stress"), strict=True):
        for place, utterance in zip(own, made, strict=True):
            found[place] = _answers(predictor, utterance, voices.get(speakers[place]))
            f0[place] = utterance.f0
    names = [CLEAN, *(condition.name for condition in conditions)]
    rows = [
        (name, place, *answers)
        for place in range(len(table))
        for name, answers in zip(names, found[place], strict=True)
    ]
    answers = pd.DataFrame(rows, columns=["row", "utterance", "predicted", "answer"])
    about = table[["speaker", "sex", "emotion"]].reset_index(drop=True).assign(f0=f0)
    return answers.join(about, on="utterance")


def changed(
    y: np.ndarray,
    sr: int,
    condition: Condition,
    *,
    key: str,
    speaker: str,
    sounds: Sounds,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Samples y (n_samples,) at `sr` Hz after the condition's change, and their rate.

    The suite works at RATE or below. key : names the recording, for chance.
    """
    y, sr = _brought_down(y, sr)
    rng = np.random.default_rng([seed, crc32(key.encode()), crc32(condition.name.encode())])
    return condition.change(y, sr, Taking(rng, sounds, others(sounds.clips, speaker)))


def _brought_down(y: np.ndarray, sr: int) -> tuple[np.ndarray, int]:
    """y (n_samples,) at RATE, or at its own rate where that is lower."""
    if sr <= RATE or y.size == 0:
        return y, sr
    # The resampler takes what lies before for zeros: an offset would step there.
    return resample(y - y[0], sr_in=sr, sr_out=RATE) + y[0], RATE


def _jobs(
    front_end: FrontEnd,
    root: Path,
    table: pd.DataFrame,
    conditions: Sequence[Condition],
    sounds: Sounds,
    seed: int,
) -> tuple[list[tuple[Any, ...]], list[list[int]]]:
    """A job for each recording, and the places in `table` of its utterances."""
    of: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, recording in enumerate(zip(table["file"], table["sha256"], strict=True)):
        of[recording].append(place)
    keys, segments = utterance_keys(table).tolist(), segments_of(table)
    speakers = table["speaker"].tolist()
    jobs = [
        (
            *(front_end, root / file, sha256),
            [(segments[i], keys[i], speakers[i]) for i in own],
            *(tuple(conditions), sounds, seed),
        )
        for (file, sha256), own in of.items()
    ]
    return jobs, list(of.values())


def _take_file(
    front_end: FrontEnd,
    path: Path,
    sha256: str,
    utterances: Sequence[tuple[Segment, str, str]],
    conditions: Sequence[Condition],
    sounds: Sounds,
    seed: int,
) -> list[Utterance]:
    """Each utterance of a recording, which is decoded once."""
    parts = load_segments(path, [segment for segment, *_ in utterances], sha256=sha256)
    result = []
    for (y, sr), (_, key, speaker) in zip(parts, utterances, strict=True):
        rows, own = [_take(front_end, y, sr)], _brought_down(y, sr)
        for condition in conditions:
            try:
                other = changed(*own, condition, key=key, speaker=speaker, sounds=sounds, seed=seed)
            except AudioError as error:
                raise error.of(f"{path} ({condition.name})") from error
            rows.append(_take(front_end, *other))
        result.append(Utterance(rows, _mean_f0(front_end, y, sr)))
    return result


def _take(front_end: FrontEnd, y: np.ndarray, sr: int) -> Taken:
    try:
        taken = front_end.take(y, sr=sr)
        if isinstance(taken, Extracted):
            return Taken(taken, None)
        # What the model would say all the same.
        return Taken(front_end.extract(y, sr=sr), taken)
    except AudioError as error:
        return Taken(None, Abstention("no_speech", str(error)))


def _mean_f0(front_end: FrontEnd, y: np.ndarray, sr: int) -> float:
    """Mean F0 of voiced frames, Hz; NaN where there are none."""
    params = front_end.features
    try:
        f0 = lld(prepared(audible(y, sr=sr, params=params), params=params), params=params)["f0"]
    except AudioError:
        return float("nan")
    voiced = f0[f0 > 0]
    return float(voiced.mean()) if voiced.size else float("nan")


def _voices(predictor: Predictor, root: Path, table: pd.DataFrame) -> dict[str, Voice | None]:
    """The voice of each speaker, by all clips as recorded that the front end judges."""
    jobs, places = _jobs(predictor.front_end, root, table, (), Sounds(), 0)
    clips: dict[str, list[Extracted]] = defaultdict(list)
    speakers = table["speaker"].tolist()
    for own, made in zip(places, in_parallel(_take_file, jobs, doing="enrol"), strict=True):
        for place, utterance in zip(own, made, strict=True):
            clean = utterance.rows[0]
            if clean.extracted is not None and clean.refused is None:
                clips[speakers[place]].append(clean.extracted)
    return {speaker: predictor.voice_of(own) for speaker, own in clips.items()}


def _answers(
    predictor: Predictor, utterance: Utterance, voice: Voice | None
) -> list[tuple[str, str]]:
    """(predicted, answer) of each row."""
    fit = [row.extracted for row in utterance.rows if row.extracted is not None]
    predictions = iter(predictor.answer(fit, voice=voice) if fit else ())
    result = []
    for row in utterance.rows:
        if row.extracted is None:
            result.append(("", ""))
            continue
        prediction = next(predictions)
        predicted = max(prediction.posteriors, key=prediction.posteriors.__getitem__)
        result.append((predicted, "" if row.refused else prediction.emotion or ""))
    return result
