"""Our extraction against one librosa call per feature, and against openSMILE's eGeMAPS.

One thread, the same recordings, in one process; each contender goes through all recordings, then
the next, several times over. Each recording is decoded once to 16 kHz
before the clock starts; the ratio is of medians over recordings, repeated.
"""

from __future__ import annotations

import os

# Read when the libraries are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import librosa
import numpy as np
import opensmile

from benchmarks import page
from ser.core.features import extract as features
from ser.core.features.extract import extract, lld
from ser.core.utterance.formats import is_audio
from ser.core.utterance.waveform import resample, trim
from ser.io.audio.read import load_mono
from ser.params import FeatureParams

# Without the floor that librosa does not have, so that both compute the same.
PARAMS = FeatureParams(contrast_top_db=None)
SR = PARAMS.sr
FRAMES = {"n_fft": PARAMS.n_fft, "hop_length": PARAMS.hop_length}


def librosa_features(y: np.ndarray, *, tuning: float | None = None) -> dict[str, np.ndarray]:
    """One call per feature from `y`, as tutorials do; tuning None lets chroma estimate it."""
    mfcc = librosa.feature.mfcc(y=y, sr=SR, n_mfcc=PARAMS.n_mfcc, n_mels=PARAMS.n_mels, **FRAMES)
    mel = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=PARAMS.n_mels, **FRAMES)
    frame = {"frame_length": PARAMS.n_fft, "hop_length": PARAMS.hop_length}
    return {
        "mfcc": mfcc,
        "mfcc_delta": librosa.feature.delta(mfcc),
        "mfcc_delta2": librosa.feature.delta(mfcc, order=2),
        "chroma": librosa.feature.chroma_stft(y=y, sr=SR, tuning=tuning, **FRAMES),
        "contrast": librosa.feature.spectral_contrast(y=y, sr=SR, **FRAMES),
        "log_mel": librosa.power_to_db(mel),
        "rms": librosa.feature.rms(y=y, **frame),
        "zcr": librosa.feature.zero_crossing_rate(y, **frame),
    }


def librosa_f0(y: np.ndarray) -> np.ndarray:
    return librosa.yin(
        y,
        fmin=PARAMS.f0_min,
        fmax=PARAMS.f0_max,
        sr=SR,
        frame_length=PARAMS.n_fft,
        hop_length=PARAMS.hop_length,
    )


def librosa_all(y: np.ndarray) -> None:
    librosa_features(y)
    librosa_f0(y)


def without_f0(y: np.ndarray) -> None:
    """Our descriptors, all but F0: it is replaced by zeros."""
    zeros = lambda power, **_: np.zeros((2, len(power)))  # noqa: E731
    with mock.patch.object(features, "track_f0", zeros):
        lld(y, params=PARAMS)


def largest_difference(waveforms: list[np.ndarray]) -> dict[str, float]:
    """Of each descriptor, relative to librosa's largest value; librosa with our tuning of 0."""
    worst: dict[str, float] = {}
    for y in waveforms:
        ours = lld(y, params=PARAMS)
        for name, theirs in librosa_features(y, tuning=0.0).items():
            gap = np.abs(ours[name] - theirs.T).max() / np.abs(theirs).max()
            worst[name] = max(worst.get(name, 0.0), float(gap))
    return worst


def milliseconds(
    contenders: dict[str, Callable[[np.ndarray], object]], waveforms: list[np.ndarray], repeats: int
) -> dict[str, float]:
    """Median over recordings of the best of `repeats` runs; contenders take turns."""
    for run in contenders.values():
        run(waveforms[0])
    best = {name: np.full(len(waveforms), np.inf) for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            for i, y in enumerate(waveforms):
                started = time.perf_counter()
                run(y)
                best[name][i] = min(best[name][i], time.perf_counter() - started)
    return {name: float(np.median(times)) * 1e3 for name, times in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's WAV files")
    parser.add_argument("--files", type=int, default=48, help="how many of them (default: 48)")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if is_audio(path))
    files = files[:: max(1, len(files) // options.files)][: options.files]
    loaded = [load_mono(path) for path in files]
    whole = [resample(y, sr_in=sr, sr_out=SR) for y, sr in loaded]
    speech = [trim(y, sr=SR, top_db=PARAMS.trim_db) for y in whole]
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
        num_workers=1,
    )
    untrimmed = PARAMS.model_copy(update={"trim_db": None})
    on_speech = milliseconds(
        {
            "ours": lambda y: extract(y, params=untrimmed),
            "ours, descriptors": lambda y: lld(y, params=PARAMS),
            "ours, without F0": without_f0,
            "librosa": librosa_features,
            "librosa with F0": librosa_all,
            "eGeMAPS": lambda y: smile.process_signal(y, SR),
        },
        speech,
        options.repeats,
    )
    on_whole = milliseconds(
        {
            "ours": lambda y: extract(y, params=PARAMS),
            "eGeMAPS": lambda y: smile.process_signal(y, SR),
        },
        whole,
        options.repeats,
    )
    columns = len(extract(speech[0], params=untrimmed).functionals)
    rows = [
        ["one librosa call per descriptor", on_speech["librosa"], "the same descriptors",
         on_speech["ours, without F0"], on_speech["librosa"] / on_speech["ours, without F0"]],
        ["the same and `librosa.yin`", on_speech["librosa with F0"], "the same and F0",
         on_speech["ours, descriptors"],
         on_speech["librosa with F0"] / on_speech["ours, descriptors"]],
        ["openSMILE eGeMAPSv02 (88), the whole recording", on_whole["eGeMAPS"],
         f"trimming, descriptors, {columns:,} functionals", on_whole["ours"],
         on_whole["eGeMAPS"] / on_whole["ours"]],
        ["openSMILE eGeMAPSv02 (88), the speech alone", on_speech["eGeMAPS"],
         f"descriptors, {columns:,} functionals", on_speech["ours"],
         on_speech["eGeMAPS"] / on_speech["ours"]],
    ]  # fmt: skip
    differences = largest_difference(speech[:12])
    page.write(
        "features",
        title="Speed of feature extraction",
        body=f"""
{len(files)} recordings at 16 kHz, {np.mean([y.size for y in whole]) / SR:.2f} s on average, of
which {np.mean([y.size for y in speech]) / SR:.2f} s speech. Median over recordings of the best of
{options.repeats} runs, milliseconds per recording, one thread. librosa's calls and ours get the
speech alone, as `extract` trims it; openSMILE gets either.

{page.table(["alternative", "ms", "ours", "ms", "ratio"], rows)}

Largest difference from librosa (its tuning estimate switched off), relative to its largest value:

{page.table(["descriptor", "difference"], [[k, f"{v:.1e}"] for k, v in differences.items()])}
""",
    )


if __name__ == "__main__":
    main()
