"""CPU of live audio: each hop by its place in the utterance, its final, and speech detection.

Utterances of 30 s are made of recordings in a folder, one after the other, and fed in chunks of
100 ms to a bundle's predictor, on one thread.
"""

from __future__ import annotations

import os

# Read when the libraries are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import page
from ser.bundle import load_bundle
from ser.core.features.extract import audible, extract
from ser.core.utterance.formats import is_audio
from ser.core.utterance.waveform import resample, trim
from ser.io.audio.read import load_mono
from ser.params.serving import StreamParams
from ser.predictor import Predictor
from ser.streaming.events import Measurement
from ser.streaming.extraction import extraction_for
from ser.streaming.stream import Stream
from ser.vad.streaming import StreamingDetector

OPTIONS = StreamParams()
SR = OPTIONS.sr
CHUNK, HOP = SR // 10, OPTIONS.samples(OPTIONS.hop_seconds)
WINDOW, LONGEST = OPTIONS.samples(OPTIONS.window_seconds), OPTIONS.samples(OPTIONS.longest_seconds)


def made_of(files: list[Path], rng: np.random.Generator) -> np.ndarray:
    """30 s of speech without long pauses, from the first sample on: float32 (n_samples,)."""
    parts: list[np.ndarray] = []
    while sum(part.size for part in parts) < LONGEST + SR:
        y, sr = load_mono(files[rng.integers(len(files))])
        parts.append(trim(resample(y, sr_in=sr, sr_out=SR), sr=SR, top_db=30, margin_seconds=0.0))
    return np.concatenate(parts)[: LONGEST + SR]


def milliseconds(run: Callable[[], object], *, repeats: int = 5) -> float:
    """The least CPU time of `repeats` runs."""
    best = np.inf
    for _ in range(repeats):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return best * 1e3


def features_of_hops(predictor: Predictor, y: np.ndarray) -> dict[int, float]:
    """CPU ms of the features of each hop, by its number: what is new and what is done anew."""
    extraction = extraction_for(predictor.front_end, sr=SR)
    found = {}
    for number, stop in enumerate(range(HOP, LONGEST + 1, HOP), start=1):
        started = time.process_time()
        extraction.extend(y[stop - HOP : stop])
        extraction.extract(max(0, stop - WINDOW), stop)
        found[number] = (time.process_time() - started) * 1e3
    return found


def whole_hops(predictor: Predictor, y: np.ndarray) -> tuple[dict[int, float], list[float]]:
    """CPU ms of all that is fed until each hop, detection and model too, and of the finals."""
    stream, spent = Stream(predictor, OPTIONS), 0.0
    hops, finals = {}, []
    for start in range(0, y.size, CHUNK):
        started = time.process_time()
        events = stream.feed(y[start : start + CHUNK])
        took = (time.process_time() - started) * 1e3
        spent += took
        for event in events:
            if isinstance(event, Measurement) and event.trigger == "speech_ended":
                finals.append(took)
            elif isinstance(event, Measurement):
                window = event.stop_sample - event.start_sample
                if window == WINDOW:
                    hops[event.stop_sample // HOP] = spent
                spent = 0.0
    return hops, finals


def around(values: dict[int, list[float]], seconds: float) -> float:
    """Median of the hops in the 2 s from there on."""
    first = round(seconds * SR / HOP)
    return float(np.median([v for n in range(first, first + 4) for v in values.get(n, [])]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's")
    parser.add_argument("--model", type=Path, default=page.ROOT / "models" / "bundle")
    parser.add_argument("--utterances", type=int, default=20)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if is_audio(path))
    predictor, rng = Predictor(load_bundle(options.model)), np.random.default_rng(0)
    params = predictor.bundle.features
    features: dict[int, list[float]] = defaultdict(list)
    whole: dict[int, list[float]] = defaultdict(list)
    finals: list[float] = []
    detection, batch, window, whole_incremental, whole_batch = [], [], [], [], []
    for number in range(options.utterances + 1):
        y = made_of(files, rng)
        of_features, (of_hops, of_finals) = (
            features_of_hops(predictor, y),
            whole_hops(predictor, y),
        )
        if number == 0:  # Everything is computed for the first time.
            continue
        for place, took in of_features.items():
            features[place].append(took)
        for place, took in of_hops.items():
            whole[place].append(took)
        finals += of_finals
        some = y[5 * SR : 5 * SR + WINDOW]
        batch.append(
            milliseconds(
                lambda some=some: extract(audible(some, sr=SR, params=params), params=params)
            )
        )
        window.append(milliseconds(lambda some=some: predictor.posteriors(some, sr=SR)))
        extraction = extraction_for(predictor.front_end, sr=SR)
        extraction.extend(y[:LONGEST])
        extraction.extract(0, LONGEST)
        whole_incremental.append(milliseconds(lambda e=extraction: e.extract(0, LONGEST)))
        whole_batch.append(
            milliseconds(lambda y=y: predictor.front_end.extract(y[:LONGEST], sr=SR))
        )
        detector = StreamingDetector(detector=predictor.bundle.abstention.detector)
        started = time.process_time()
        for start in range(0, y.size, CHUNK):
            detector(y[start : start + CHUNK])
        detection.append((time.process_time() - started) * 1e3 / (y.size / CHUNK))
    early, late = around(whole, 3.5), around(whole, 28.0)
    early_features, late_features = around(features, 3.5), around(features, 28.0)
    rows = [
        ["features of a hop, 3.5 s into the utterance", early_features],
        ["features of a hop, 28 s into the utterance", late_features],
        ["features of the same window by themselves", float(np.median(batch))],
        ["all of a hop (detection, features, model), 3.5 s into the utterance", early],
        ["all of a hop, 28 s into the utterance", late],
        ["posteriors of the same window by `Predictor`", float(np.median(window))],
        ["features of 30 s at its end", float(np.median(whole_incremental))],
        ["features of 30 s by themselves", float(np.median(whole_batch))],
        ["final of an utterance, with the speech check and the model", float(np.median(finals))],
        ["speech detection of 100 ms", float(np.median(detection))],
    ]
    page.write(
        "streaming",
        title="CPU of live audio",
        body=f"""
{options.utterances} utterances of 30 s, in chunks of 100 ms, window {OPTIONS.window_seconds:g} s,
hop {OPTIONS.hop_seconds:g} s, model {predictor.bundle.model_name}. Medians of CPU milliseconds.

{page.table(["", "ms"], rows)}

A hop late in the utterance costs {late / early:.2f} times one at its beginning; its features
{late_features / early_features:.2f} times.
""",
    )


if __name__ == "__main__":
    main()
