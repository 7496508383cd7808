"""Stage `synthesize`: the embedded corpus, synthesised into data/raw/synthetic."""

from __future__ import annotations

from pathlib import Path

import soundfile

from ser.corpora.synthetic.speak import Utterance, speak, utterances
from ser.files import atomic_path
from ser.parallel import in_parallel
from ser.params import Params
from ser.project import RAW
from ser.stages.base import run_stage

SR = 16_000


def run(root: Path, params: Params) -> None:
    with atomic_path(root / RAW / "synthetic") as folder:
        folder.mkdir()
        if "synthetic" not in params.data.corpora:
            print("data.corpora does not name synthetic: nothing to synthesise.")
            return
        plan = utterances(params.synthetic, seed=params.seed)
        written = in_parallel(_write, [(u, folder / u.file) for u in plan], doing="synthesize")
        count = sum(1 for _ in written)
    print(f"{count} utterances synthesised into {RAW / 'synthetic'}.")


def _write(utterance: Utterance, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, speak(utterance, sr=SR), SR, subtype="PCM_16")


if __name__ == "__main__":
    run_stage(run)
