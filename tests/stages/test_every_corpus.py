"""From recordings to scores and answers, for every adapter's layout and every emotion.

Recordings are generated under the names that the publishers gave theirs; the stages run as DVC
runs them, but in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.bundle import load_bundle
from ser.core.utterance.emotions import EMOTIONS
from ser.corpora.catalogue import CORPORA, corpus_named
from ser.corpora.published.iemocap import EMOTION_CODES as IEMOCAP_CODES
from ser.corpora.synthetic.speak import SYNTHETIC
from ser.files import read_json
from ser.io.audio.read import load_mono
from ser.io.intake.ingest import ingest
from ser.io.intake.own import add_own, prepare_own
from ser.params import Params, parse_params
from ser.predictor import Predictor
from ser.stages import embed, evaluate, featurize, gather, manifest, split, train
from support.signals import SR, voice

#: (relative name, speaker's number, emotion's number, take)
Names = Iterator[tuple[str, int, int, int]]


def ravdess() -> Names:
    for actor in range(1, 25):
        for emotion in range(1, 9):
            intensity = 2 if emotion % 2 == 0 else 1
            name = f"03-01-{emotion:02d}-{intensity:02d}-01-01-{actor:02d}.wav"
            yield f"Actor_{actor:02d}/{name}", actor, emotion, intensity


def ravdess_song() -> Names:
    for actor in range(1, 9):
        for emotion in range(1, 7):
            name = f"03-02-{emotion:02d}-01-01-01-{actor:02d}.wav"
            yield f"Actor_{actor:02d}/{name}", actor, emotion, 1


def cremad() -> Names:
    for actor in (1001, 1002, 1019, 1020, 1037, 1038, 1055, 1056, 1073, 1074):
        for number, emotion in enumerate(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
            level = ("LO", "MD", "HI")[number % 3]
            yield f"AudioWAV/{actor}_IEO_{emotion}_{level}.wav", actor, number, 1


def tess() -> Names:
    for number, actress in enumerate(("OAF", "YAF")):
        for place, emotion in enumerate(
            ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
        ):
            for take, word in enumerate(("back", "bar", "base", "bath", "bean", "beg")):
                yield f"{actress}_{emotion}/{actress}_{word}_{emotion}.wav", number, place, take


def savee() -> Names:
    for number, speaker in enumerate(("DC", "JE", "JK", "KL")):
        for place, emotion in enumerate(("a", "d", "f", "h", "n", "sa", "su")):
            for take in range(1, 4):
                yield f"{speaker}/{emotion}{take:02d}.wav", number, place, take


def emodb() -> Names:
    for speaker in (3, 8, 9, 10, 11, 12, 13, 14, 15, 16):
        for place, emotion in enumerate("WLEAFTN"):
            yield f"wav/{speaker:02d}a01{emotion}a.wav", speaker, place, 1


def iemocap() -> Names:
    codes = [code for code, emotion in IEMOCAP_CODES.items() if emotion in EMOTIONS]
    for session in range(1, 6):
        dialogue = f"Ses0{session}F_impro01"
        for number, sex in enumerate("FM"):
            for place, _ in enumerate(codes):
                name = f"Session{session}/sentences/wav/{dialogue}/{dialogue}_{sex}{place:03d}.wav"
                yield name, 2 * session + number, place, 1


def evaluations(folder: Path) -> None:
    codes = [code for code, emotion in IEMOCAP_CODES.items() if emotion in EMOTIONS]
    for session in range(1, 6):
        dialogue = f"Ses0{session}F_impro01"
        path = folder / f"Session{session}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
        path.parent.mkdir(parents=True)
        lines = [
            f"[{place}.0 - {place}.9]\t{dialogue}_{sex}{place:03d}\t{code}\t[2.5, 2.5, 2.5]"
            for sex in "FM"
            for place, code in enumerate(codes)
        ]
        path.write_text("\n".join(lines) + "\n")


#: Whose published protocol needs more speakers than are generated here.
LARGE = ("cremad",)

PUBLISHED: dict[str, Callable[[], Names]] = {
    "ravdess": ravdess,
    "ravdess-song": ravdess_song,
    "cremad": cremad,
    "tess": tess,
    "savee": savee,
    "emodb": emodb,
    "iemocap": iemocap,
}


def record(path: Path, speaker: int, emotion: int, take: int) -> None:
    """An utterance whose pitch and melody depend on speaker and emotion, its syllables on chance:
    no two are alike."""
    rng = np.random.default_rng([speaker, emotion, take])
    syllables = [
        voice(
            seconds=float(rng.uniform(0.1, 0.25)),
            f0=110 + 9 * (speaker % 11) + 6 * emotion + float(rng.normal(0, 12)),
            glide=float(rng.normal(10 * emotion - 30, 15)),
            seed=int(rng.integers(2**31)),
        )
        for _ in range(5)
    ]
    y = np.concatenate(syllables) + rng.normal(0, 0.01, sum(map(len, syllables)))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, SR, subtype="PCM_16")


def scored(root: Path, name: str, protocol: str) -> dict[str, object]:
    """The metrics of a classical model that was trained on the corpus in `root`."""
    params = parse_params(
        {
            "data": {"corpora": [name]},
            "split": {"protocol": protocol, "folds": 3},
            "model": {"name": "lda"},
            "augment": {"versions": 0},
            "evaluate": {"bootstrap": 100},
        }
    )
    manifest.run(root, params, name)
    run_rest(root, params)
    return dict(read_json(root / "reports" / "metrics.json"))


def run_rest(root: Path, params: Params) -> None:
    for stage in (gather, split, featurize, embed, train, evaluate):
        stage.run(root, params)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A project's folder, with one MLflow store for all corpora."""
    return tmp_path_factory.mktemp("every")


def test_every_adapter_has_a_layout_here():
    assert set(PUBLISHED) == set(CORPORA) - {SYNTHETIC.name}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_corpus_in_its_published_layout_ends_with_scores(root, tmp_path, name):
    corpus = CORPORA[name]
    for file, speaker, emotion, take in PUBLISHED[name]():
        record(tmp_path / "release" / file, speaker, emotion, take)
    if name == "iemocap":
        evaluations(tmp_path / "release")
    ingest(tmp_path / "release", root / "data" / "raw" / name, corpus)
    protocol = "grouped-kfold" if name in LARGE else corpus.protocols[0]
    metrics = scored(root, name, protocol)
    assert metrics["test"]["uar"] > metrics["test"]["chance"] / 2
    assert set(metrics["test"]["per_class"]) <= set(corpus.codes.values())
    assert metrics["protocol"]["name"] == protocol


def test_every_emotion_goes_through_to_an_answer(root, tmp_path):
    """Sentences and sexes are unknown, intensities graded, the names not English."""
    rows = []
    for speaker, person in enumerate(("Zoë", "李", "Żaneta", "أمل", "Ñandú", "o'Neil", "7")):
        for place, emotion in enumerate(EMOTIONS):
            for take in range(2):
                file = f"{person}/{emotion}-{take}.wav"
                record(tmp_path / "own" / file, speaker, place, take)
                rows.append((file, emotion, person, ("1", "2", "3")[(place + take) % 3]))
    table = pd.DataFrame(rows, columns=["file", "emotion", "speaker", "intensity"])
    table.to_csv(tmp_path / "labels.csv", index=False)
    own = prepare_own(tmp_path / "own", table=tmp_path / "labels.csv", facts={"title": "all"})
    add_own(own, tmp_path / "own", root / "data" / "raw" / "all")
    assert set(corpus_named("all", root / "data" / "raw").codes.values()) == set(EMOTIONS)

    metrics = scored(root, "all", "grouped-kfold")

    assert tuple(metrics["test"]["per_class"]) == EMOTIONS
    assert metrics["protocol"]["audit"]["sentence_overlap"] is None
    bundle = load_bundle(root / "models" / "bundle")
    y, sr = load_mono(next((root / "data" / "raw" / "all").rglob("*.wav")))
    answer = Predictor(bundle).predict(y, sr=sr)
    assert tuple(answer.posteriors) == EMOTIONS or answer.abstention
    assert np.isfinite(list(answer.posteriors.values())).all()
