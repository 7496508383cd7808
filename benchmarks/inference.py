"""One prediction on one thread: torch against ONNX Runtime, and where the time goes.

Networks of a bundle, with the weights that it has, by torch and as they are served; then the parts
of `Predictor.predict`, clips answered together, and a process from its start to its first answer.
Recordings are cut to `--seconds`, 16 kHz. Contenders take turns; figures are CPU time, the least of
all turns.
"""

from __future__ import annotations

import os

# Read when the libraries are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks import page
from ser.bundle import Bundle, load_bundle
from ser.core.features.extract import audible, extract
from ser.core.utterance.formats import is_audio
from ser.core.utterance.waveform import resample
from ser.front_end import Extracted
from ser.io.audio.read import load_mono
from ser.models.base import EmotionModel
from ser.models.networks.architectures import EmotionCnn
from ser.models.networks.model import NeuralModel
from ser.models.voices import posteriors_in
from ser.predictor import Predictor
from ser.vad.detect import speech_seconds

SR = 16_000
BATCHES = (1, 2, 4, 8, 16)

FIRST_ANSWER = """
import sys, time
started = time.perf_counter()
from pathlib import Path
import numpy as np, psutil
{first}
from ser.bundle import load_bundle
from ser.predictor import Predictor
predictor = Predictor(load_bundle(Path(sys.argv[1])))
loaded = time.perf_counter()
y = np.sin(np.arange(48_000) ** 1.3 / 50).astype(np.float32) / 2
predictor.answer([predictor.front_end.extract(y, sr=16_000)])
predictor.predict(y, sr=16_000)
ended = time.perf_counter()
print(loaded - started, ended - loaded, psutil.Process().memory_info().rss / 1e6)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's WAV files")
    parser.add_argument("--bundle", type=Path, default=page.ROOT / "models" / "bundle")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = _clips(options.folder, options.clips, options.seconds)
    served, by_torch = load_bundle(options.bundle), load_bundle(options.bundle)
    count = len([_with_torch(model) for model in _networks(by_torch.model)])
    predictor = Predictor(served)
    taken: list[Extracted] = [predictor.front_end.extract(y, sr=SR) for y in clips]
    inputs = predictor._inputs(taken)
    difference = np.abs(served.posteriors(inputs) - by_torch.posteriors(inputs)).max()
    networks = _network_rows(served, by_torch, taken, options.repeats)
    lengths = sorted({y.size / SR for y in clips})
    page.write(
        "inference",
        title="One prediction on one thread",
        body=f"""
Model {served.model_name}, {count} networks among its members. Figures are milliseconds of CPU time
a clip, of {len(clips)} clips of {lengths[0]:.1f} to {lengths[-1]:.1f} s, the least of
{options.repeats} turns.

## Networks

{page.table(["clips at once", "torch", "as served"], networks)}

The largest difference of a posterior is {difference:.1e}.

## `Predictor.predict`

{page.table(["part", "ms"], _parts(predictor, clips, options.repeats))}

A part that runs alone finds its data in the processor's cache: of the rest, most is what parts take
longer one after the other. Voice activity ends where there is enough speech.

## `Predictor.answer`, after `front_end.take`

{page.table(["clips at once", "ms a clip"], _answers(predictor, taken, options.repeats))}

## A process and its first answer

{page.table(["process", "import and load, s", "first answer, s", "MB"], _processes(options.bundle))}
""",
    )


def _clips(folder: Path, count: int, seconds: float) -> list[np.ndarray]:
    files = sorted(path for path in folder.rglob("*") if is_audio(path))
    decoded = [load_mono(file) for file in files[:: max(1, len(files) // count)][:count]]
    length = round(seconds * SR)
    return [resample(y, sr_in=sr, sr_out=SR)[:length].copy() for y, sr in decoded]


def _networks(model: EmotionModel) -> list[NeuralModel]:
    members = getattr(model, "members", [model])
    return [member for member in members if isinstance(member, NeuralModel)]


def _with_torch(model: NeuralModel) -> NeuralModel:
    """The model with the same weights in torch's module."""
    assert model.network is not None
    network = EmotionCnn(
        n_mels=model.network.n_mels, n_classes=len(model.classes), params=model.params
    )
    weights = model.network.weights()
    network.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    model.network = network.eval()
    return model


def _network_rows(
    served: Bundle, by_torch: Bundle, taken: list[Extracted], repeats: int
) -> list[list[object]]:
    def run(bundle: Bundle, batch: int) -> None:
        predictor = Predictor(bundle)
        for start in range(0, len(taken), batch):
            inputs = predictor._inputs(taken[start : start + batch])
            for model in _networks(bundle.model):
                posteriors_in(model, model.embed(inputs), voice=None)

    rows: list[list[object]] = []
    for batch in (1, 16):
        found = _least(
            {"torch": lambda b=batch: run(by_torch, b), "served": lambda b=batch: run(served, b)},
            repeats,
        )
        rows.append([batch, *(1e3 * found[name] / len(taken) for name in ("torch", "served"))])
    return rows


def _parts(predictor: Predictor, clips: list[np.ndarray], repeats: int) -> list[list[object]]:
    bundle, features = predictor.bundle, predictor.bundle.features
    heard = [audible(y, sr=SR, params=features) for y in clips]
    inputs = [predictor._inputs([predictor.front_end.extract(y, sr=SR)]) for y in clips]
    networks = _networks(bundle.model)
    others = [m for m in getattr(bundle.model, "members", []) if m not in networks]
    detector, enough = bundle.abstention.detector, bundle.abstention.min_speech_seconds

    def ask(models: list[EmotionModel]) -> None:
        for one in inputs:
            for model in models:
                posteriors_in(model, model.embed(one), voice=None)

    def detect(enough: float | None) -> None:
        for y in heard:
            speech_seconds(y, sr=SR, detector=detector, enough=enough)

    works: dict[str, Callable[[], object]] = {
        "resampling and high-pass filter": lambda: [
            audible(y, sr=SR, params=features) for y in clips
        ],
        "voice activity": lambda: detect(enough),
        "features": lambda: [extract(y, params=features) for y in heard],
        "networks": lambda: ask([*networks]),
        "classical members": lambda: ask(others),
    }
    found = _least(
        {
            **works,
            "voice activity, to the end": lambda: detect(None),
            "all": lambda: [predictor.predict(y, sr=SR) for y in clips],
        },
        repeats,
    )
    found = {name: 1e3 * value / len(clips) for name, value in found.items()}
    rest = found["all"] - sum(found[name] for name in works)
    rows: list[list[object]] = [[name, found[name]] for name in works]
    return [
        *rows,
        ["rest", rest],
        ["**all**", found["all"]],
        ["(voice activity of all of a clip)", found["voice activity, to the end"]],
    ]


def _answers(predictor: Predictor, taken: list[Extracted], repeats: int) -> list[list[object]]:
    def run(batch: int) -> None:
        for start in range(0, len(taken), batch):
            predictor.answer(taken[start : start + batch])

    found = _least({str(n): lambda n=n: run(n) for n in BATCHES}, repeats)
    return [[int(n), 1e3 * value / len(taken)] for n, value in found.items()]


def _processes(bundle: Path) -> list[list[object]]:
    """The least of three runs."""
    rows: list[list[object]] = []
    for name, first in (("as served", ""), ("with torch imported", "import torch")):
        runs = []
        for _ in range(3):
            command = [sys.executable, "-c", FIRST_ANSWER.format(first=first), str(bundle)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append([float(value) for value in done.stdout.split()])
        rows.append([name, *(min(values) for values in zip(*runs, strict=True))])
    return rows


def _least(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of CPU time of each, which take turns; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            started = time.process_time()
            work()
            if turn:
                times[name].append(time.process_time() - started)
    return {name: min(own) for name, own in times.items()}


if __name__ == "__main__":
    main()
