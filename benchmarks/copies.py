"""Copies of real recordings that are found, and other recordings that are taken for copies.

Copies are made from RAVDESS and nEMO below the folder that SER_CORPORA names; each kind is looked
for as `ser audit` and the stage `split` look: among all recordings, by fingerprint, then samples.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import scipy.signal
import soundfile
import soxr

from benchmarks import page
from ser.core.splits.fingerprint import fingerprint
from ser.core.splits.leakage import copies_of
from ser.core.splits.likeness import SR, likeness, needed
from ser.io.audio.read import load_mono
from ser.parallel import in_parallel

#: A way to change a recording: y (n_samples,) and its rate to others.
Change = Callable[[np.ndarray, int, np.random.Generator], tuple[np.ndarray, int]]


def by_ffmpeg(kind: str, codec: str, bit_rate: int, rate: int) -> Change:
    """Coded by FFmpeg's `codec` at `bit_rate` bit/s, and decoded."""

    def change(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        samples = np.clip(soxr.resample(y, sr, rate), -1, 1)
        file = io.BytesIO()
        with av.open(file, "w", format=kind) as target:
            stream = target.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = bit_rate
            s16 = np.round(samples * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(s16, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            for packet in (*stream.encode(frame), *stream.encode(None)):
                target.mux(packet)
        return load_mono(file.getvalue())

    return change


def telephone(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    band = scipy.signal.butter(4, (300, 3400), "band", fs=8_000, output="sos")
    narrow = scipy.signal.sosfilt(band, soxr.resample(y, sr, 8_000))
    file = io.BytesIO()
    peak = np.abs(narrow).max()
    soundfile.write(file, 0.8 * narrow / peak, 8_000, format="WAV", subtype="ULAW")
    return load_mono(file.getvalue())


def eight_bit(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """As recorded: of a soft recording two or three bits are left."""
    return np.round(y * 127) / 128, sr


def noisy(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return with_noise(y, rng.standard_normal(len(y)), db=25), sr


def trimmed(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    loud = np.flatnonzero(np.abs(y) > 0.03 * np.abs(y).max())
    return y[loud[0] : loud[-1] + 1], sr


def cut(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return y[int(0.15 * len(y)) : int(0.9 * len(y))], sr


def padded(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return np.pad(y, (round(0.7 * sr), round(0.3 * sr))), sr


def softer(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return 0.1 * y, sr


def inverted(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return -y, sr


def clipped(y: np.ndarray, sr: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return np.clip(3 * y / np.abs(y).max(), -1, 1), sr


CHANGES: dict[str, Change] = {
    "MP3, 32 kbit/s": by_ffmpeg("mp3", "libmp3lame", 32_000, 24_000),
    **{
        f"Opus, {rate} kbit/s": by_ffmpeg("ogg", "libopus", 1_000 * rate, 48_000)
        for rate in (6, 8, 12, 16)
    },
    "telephone, µ-law": telephone,
    "8 bits": eight_bit,
    "noise at 25 dB": noisy,
    "trimmed": trimmed,
    "a quarter cut off": cut,
    "padded": padded,
    "20 dB softer": softer,
    "inverted": inverted,
    "clipped at a third": clipped,
}
#: SNR (dB) at which different recordings get the same noise.
SHARED_NOISE_DB = 5.0


def with_noise(y: np.ndarray, noise: np.ndarray, *, db: float) -> np.ndarray:
    """y (n_samples,) and the first of `noise`, `db` below it."""
    noise = noise[: len(y)]
    return y + noise * np.sqrt(np.mean(y**2) / np.mean(noise**2) / 10 ** (db / 10))


def read(path: Path, change: str | None, seed: int) -> tuple[bytes | None, np.ndarray]:
    """Fingerprint, and samples at the rate of the decision, of a recording that was changed."""
    y, sr = load_mono(path)
    rng = np.random.default_rng(seed)
    if change == "shared noise":
        # The same for all: brown, as of a room, and white half each.
        noise = np.random.default_rng(0).standard_normal((2, 60 * sr))
        brown = scipy.signal.lfilter([1.0], [1.0, -0.99], noise[0])
        y = with_noise(y, brown / brown.std() + 0.3 * noise[1], db=SHARED_NOISE_DB)
    elif change:
        y, sr = CHANGES[change](y, sr, rng)
    y = y.astype(np.float32)
    return fingerprint(y, sr=sr), soxr.resample(y, sr, SR).astype(np.float32)


def read_all(jobs: list[tuple[Path, str | None, int]]) -> tuple[pd.Series, list[np.ndarray]]:
    prints, samples = zip(*in_parallel(read, jobs, doing=str(jobs[0][1])), strict=True)
    return pd.Series(prints), list(samples)


def pairs_found(prints: pd.Series, samples: list[np.ndarray]) -> set[tuple[int, int]]:
    """Pairs of rows that are taken for one recording."""

    def compare(pairs: np.ndarray) -> np.ndarray:
        values = []
        for a, b in pairs:
            alike = likeness(samples[a], samples[b])
            values.append(alike if alike >= needed(samples[a], samples[b]) else np.nan)
        return np.array(values, dtype=float)

    name = pd.Series(prints.index.astype(str))
    table = pd.DataFrame({"start": 0.0, "end": 1.0, "sha256": name, "audio_sha256": name})
    found = copies_of(table, prints, compare=compare)
    return set(zip(found["a"], found["b"], strict=True))


def measure(paths: list[Path]) -> list[list[object]]:
    """Rows of the table for one corpus: a copy of each recording, the kinds in turn."""
    originals, samples = read_all([(path, None, 0) for path in paths])
    true = pairs_found(originals, samples)
    rows: list[list[object]] = [["as published", "", "", "", len(true)]]
    noise = read_all([(path, "shared noise", 0) for path in paths])
    rows.append(["the same noise at 5 dB", "", "", "", len(pairs_found(*noise) - true)])
    kinds = list(CHANGES)
    order = np.random.default_rng(1).permutation(len(paths))
    kind_of = [kinds[i % len(kinds)] for i in range(len(paths))]
    jobs = [(paths[i], kind, int(i)) for i, kind in zip(order, kind_of, strict=True)]
    prints, changed = read_all(jobs)
    everything = pd.concat([originals, prints], ignore_index=True)
    pairs = pairs_found(everything, [*samples, *changed])
    origin = np.concatenate([np.arange(len(paths)), order])
    # A published pair is one recording, and so are all copies of both.
    twin = {b: a for a, b in true}
    wrong = [
        (a, b) for a, b in pairs if twin.get(origin[a], origin[a]) != twin.get(origin[b], origin[b])
    ]
    for kind in kinds:
        planted = [len(paths) + k for k, other in enumerate(kind_of) if other == kind]
        found = sum((int(origin[row]), row) in pairs for row in planted)
        accused = sum(a in planted or b in planted for a, b in wrong)
        rows.append([kind, len(planted), found, f"{found / len(planted):.1%}", accused])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording alone")
    options = parser.parse_args()
    if "SER_CORPORA" not in os.environ:
        parser.error("SER_CORPORA is unset: name the folder that holds ravdess/ and nemo/")
    corpora = Path(os.environ["SER_CORPORA"])
    body = []
    header = ["kind", "copies", "found", "", "wrongly accused"]
    for name in ("ravdess", "nemo"):
        paths = sorted(p for p in (corpora / name).rglob("*") if p.suffix in (".flac", ".wav"))
        paths = paths[:: options.every]
        body += [f"## {name}: {len(paths):,} recordings", page.table(header, measure(paths))]
    text = "\n\n".join(body)
    page.write(
        "copies",
        title="Copies that are found, and recordings that are taken for copies",
        body=f"""
One copy of each recording is made, the kinds in turn, and looked for among all recordings of the
corpus and their copies: fingerprints propose, samples decide. A pair is wrong where its two
recordings are not one. The first row counts the pairs in the corpus as published: other takes,
sentences and emotions of the same speakers, and in RAVDESS one recording that is there under two
names (actor 07, happy). For the second row each recording stands in front of the same 60 s of
noise, 5 dB below the speech.

{text}
""",
    )


if __name__ == "__main__":
    main()
