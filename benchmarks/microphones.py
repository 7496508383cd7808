"""What microphones add to test recordings: how many answers does it change?

Reads finished runs of `ser benchmark` (.ser/benchmarks/CORPUS/runs/KEY) and their bundles, adds a
DC offset or rumble below speech to the test recordings alone, and predicts them again as a server
does. A model trained with enrolment is given the changed recordings of each speaker to enrol.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from benchmarks import page
from ser.bundle import load_bundle
from ser.core.scores import metrics
from ser.core.speakers.enrolment import Voice
from ser.core.utterance.waveform import trim
from ser.io.audio.read import load_mono
from ser.predictor import Predictor

Change = Callable[[np.ndarray, int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished benchmarks")
    parser.add_argument("--folds", type=int, help="only so many folds of each (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()
    rows = []
    for run in options.runs:
        folds = sorted(run.glob("fold-*"))[: options.folds]
        jobs = [
            (fold, speaker)
            for fold in folds
            for speaker in sorted(pd.read_parquet(fold / "predictions.parquet")["speaker"].unique())
        ]
        answered = Parallel(n_jobs=options.jobs, return_as="generator")(
            delayed(_answer)(*job) for job in jobs
        )
        table = pd.concat(
            tqdm(answered, total=len(jobs), desc=run.name, unit="speaker", disable=None),
            ignore_index=True,
        )
        bundle = load_bundle(folds[0] / "bundle")
        mode = "enrolled" if bundle.takes_enrolment else "plain"
        rows += [[f"{bundle.model_name} {mode}", len(folds), *row] for row in _compared(table)]
    header = ["model", "folds", "added", "UAR", "UAR change", "answers unchanged", "answered"]
    page.write(
        "microphones",
        title="DC offset and rumble in test recordings",
        body=f"""
An answer is the emotion that is named, or the reason why none is; UAR counts the most probable
emotion of every recording, named or not. Rumble is so far below the speech of its recording.

{page.table(header, rows)}
""",
    )


def _dc(offset: float) -> Change:
    return lambda y, sr: np.clip(y + np.float32(offset), -1, 1)


def _rumble(hz: float, below_db: float) -> Change:
    def change(y: np.ndarray, sr: int) -> np.ndarray:
        speech = np.sqrt(np.mean(np.square(trim(y, sr=sr), dtype=np.float64)))
        wave = np.sin(2 * np.pi * hz * np.arange(y.size) / sr)
        wave *= np.sqrt(2) * speech * 10 ** (-below_db / 20)
        return np.clip(y + wave.astype(np.float32), -1, 1)

    return change


CONDITIONS: dict[str, Change] = {
    "nothing": lambda y, sr: y,
    "DC 0.02": _dc(0.02),
    "DC -0.05": _dc(-0.05),
    "30 Hz, 20 dB below": _rumble(30, 20),
    "18 Hz, 10 dB below": _rumble(18, 10),
}


def _answer(fold: Path, speaker: str) -> pd.DataFrame:
    """Every test recording of a speaker under every condition: one row each."""
    predictor = Predictor(load_bundle(fold / "bundle"))
    home = fold.parents[2]
    predictions = pd.read_parquet(fold / "predictions.parquet")
    own = predictions[predictions["speaker"] == speaker]
    clips = [
        _utterance(home, *place)
        for place in zip(own["file"], own["start"], own["end"], strict=True)
    ]
    parts = []
    for name, change in CONDITIONS.items():
        changed = [(change(y, sr), sr) for y, sr in clips]
        voice = predictor.enrol(changed) if predictor.bundle.takes_enrolment else None
        answers = [predictor.predict(y, sr=sr, voice=voice) for y, sr in changed]
        posteriors = [
            answer.posteriors or _posteriors(predictor, y, sr, voice)
            for answer, (y, sr) in zip(answers, changed, strict=True)
        ]
        parts.append(
            pd.DataFrame(
                {
                    "file": own["file"].to_numpy(),
                    "emotion": own["emotion"].to_numpy(),
                    "condition": name,
                    "answer": [a.emotion or f"({a.abstention.reason})" for a in answers],
                    "answered": [a.emotion is not None for a in answers],
                    "predicted": [max(p, key=p.__getitem__) for p in posteriors],
                }
            )
        )
    return pd.concat(parts)


def _utterance(home: Path, file: str, start: float, end: float) -> tuple[np.ndarray, int]:
    y, sr = load_mono(home / file)
    return y[round(start * sr) : round(end * sr)], sr


def _posteriors(
    predictor: Predictor, y: np.ndarray, sr: int, voice: Voice | None
) -> dict[str, float]:
    """By emotion, also where the signal alone was reason to abstain."""
    values = predictor.posteriors(y, sr=sr, voice=voice)
    return dict(zip(predictor.bundle.classes, map(float, values), strict=True))


def _compared(table: pd.DataFrame) -> list[list[object]]:
    clean = table[table["condition"] == "nothing"].set_index("file")
    base = metrics.uar(clean.reset_index())
    rows: list[list[object]] = []
    for name in CONDITIONS:
        own = table[table["condition"] == name].set_index("file").loc[clean.index]
        uar = metrics.uar(own.reset_index())
        same = float((own["answer"] == clean["answer"]).mean())
        answered = float(own["answered"].mean())
        rows.append(
            [name, f"{uar:.3f}", f"{uar - base:+.3f}", f"{100 * same:.1f} %", f"{answered:.3f}"]
        )
    return rows


if __name__ == "__main__":
    main()
