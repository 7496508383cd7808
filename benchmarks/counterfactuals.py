"""How often each change of a voice turns a model's answer, and how large the smallest change is.

Recordings of RAVDESS's speakers that the model was not trained on, and of nEMO, in the folder
that SER_CORPORA names, are searched as `ser explain` does.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import page
from ser.api import load
from ser.core.utterance.waveform import resample
from ser.explanation.counterfactual.changes import DIMENSIONS, Recorded
from ser.explanation.counterfactual.search import Counterfactuals, search
from ser.explanation.counterfactual.voice import AnalysedVoice
from ser.io.audio.read import load_mono
from ser.predictor import Predictor


def recordings(corpora: Path, trained: set[str], n: int) -> dict[str, list[Path]]:
    """n recordings of each corpus, drawn."""
    found = {
        "RAVDESS": [
            path
            for path in sorted((corpora / "ravdess").rglob("*"))
            if path.suffix in (".flac", ".wav") and f"ravdess/{path.stem[-2:]}" not in trained
        ],
        "nEMO": sorted((corpora / "nemo" / "samples").glob("*.flac")),
    }
    rng = np.random.default_rng(0)
    return {
        name: [paths[i] for i in rng.permutation(len(paths))[:n]] for name, paths in found.items()
    }


def searched(predictor: Predictor, path: Path) -> Counterfactuals | None:
    """None where the recording is not answered."""
    y, sr = load_mono(path)
    before = predictor.predict(y, sr=sr)
    if before.emotion is None:
        return None
    params = predictor.bundle.features
    y = resample(y, sr_in=sr, sr_out=params.sr)
    voice = AnalysedVoice.of(y, sr=params.sr, f0_min=params.f0_min, f0_max=params.f0_max)
    return search(predictor, Recorded(y, params.sr, voice), before)


def rows(found: list[Counterfactuals]) -> list[list[object]]:
    result: list[list[object]] = []
    for place, dimension in enumerate(DIMENSIONS):
        own = [one.searched[place] for one in found]
        judged = [one for one in own if not one.left_out]
        row: list[object] = [f"{dimension.name} ({dimension.unit})", len(judged)]
        for sign in (-1, 1):
            amounts = [
                turn.amount for one in judged for turn in one.turns if turn.amount * sign > 0
            ]
            row += [len(amounts), f"{np.median(amounts):+.1f}" if amounts else "–"]
        either = sum(bool(one.turns) for one in judged)
        row += [f"{either / max(len(judged), 1):.0%}", sum(bool(one.abstained) for one in judged)]
        result.append(row)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a bundle's folder")
    parser.add_argument("--clips", type=int, default=60, help="of each corpus")
    options = parser.parse_args()
    if "SER_CORPORA" not in os.environ:
        parser.error("SER_CORPORA is unset: name the folder that holds ravdess/ and nemo/")
    predictor = load(options.model).predictor
    trained = set(predictor.bundle.card.get("train_speakers", ()))
    header = [
        "change",
        "judged",
        "turned by less",
        "median",
        "by more",
        "median",
        "turned",
        "abstains",
    ]
    body = [
        "A recording that is answered is changed in one way at a time, within bounds that stay "
        f"natural ({'; '.join(bounds())}). By less, by more: towards the lower and the upper "
        "bound; turned: in either direction, of those judged; abstains: recordings on which the "
        "model abstains somewhere on the way. F0, its range and the rate are judged where the "
        "resynthesis alone leaves the answer."
    ]
    for name, paths in recordings(Path(os.environ["SER_CORPORA"]), trained, options.clips).items():
        all_found = [searched(predictor, path) for path in tqdm(paths, desc=name)]
        found = [one for one in all_found if one is not None]
        kept = sum(not one.searched[2].left_out for one in found)
        body += [
            f"## {name}: {len(paths)} recordings, {len(found)} answered",
            page.table(header, rows(found)),
            f"The resynthesis alone leaves the answer in {kept} of {len(found)}.",
        ]
        page.write(
            "counterfactuals",
            title="Changes of a voice that turn the answer",
            body="\n\n".join(body),
        )


def bounds() -> list[str]:
    return [f"{one.name} {one.least:+g} to {one.most:+g} {one.unit}" for one in DIMENSIONS]


if __name__ == "__main__":
    main()
