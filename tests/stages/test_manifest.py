"""Stage `manifest` on corpora whose labels are not in their file names."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.errors import TableError
from ser.io.intake.own import add_own, prepare_own
from ser.params import Params
from ser.stages import manifest


def record(path, seconds=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(round(16_000 * seconds)) / 20), 16_000)


def test_own_recordings_become_a_manifest(tmp_path):
    for name in ("angry/anna/1.wav", "calm/ben/2.flac"):
        record(tmp_path / "source" / name, seconds=0.5)
    own = prepare_own(tmp_path / "source", facts={"title": "calls"})
    add_own(own, tmp_path / "source", tmp_path / "data/raw/calls")

    manifest.run(tmp_path, Params(), "calls")

    table = pd.read_parquet(tmp_path / "data/interim/manifests/calls.parquet")
    assert table[["file", "corpus", "speaker", "emotion", "duration"]].to_numpy().tolist() == [
        ["data/raw/calls/angry/anna/1.wav", "calls", "calls/anna", "anger", 0.5],
        ["data/raw/calls/calm/ben/2.flac", "calls", "calls/ben", "calm", 0.5],
    ]


def iemocap(root, codes):
    session = root / "data/raw/iemocap/Session1"
    lines = []
    for number, code in enumerate(codes):
        turn = f"Ses01F_impro01_F{number:03d}"
        record(session / "sentences/wav/Ses01F_impro01" / f"{turn}.wav")
        lines.append(f"[6.2901 - 8.2357]\t{turn}\t{code}\t[2.5000, 2.5000, 2.5000]\n")
    evaluation = session / "dialog/EmoEvaluation/Ses01F_impro01.txt"
    evaluation.parent.mkdir(parents=True)
    evaluation.write_text("".join(lines))


def test_it_says_how_many_recordings_a_corpus_leaves_without_a_label(tmp_path, capsys):
    iemocap(tmp_path, ["neu", "xxx", "ang", "oth"])

    manifest.run(tmp_path, Params(), "iemocap")

    said = capsys.readouterr().out
    assert "iemocap: 2 utterances of 1 speaker," in said
    assert "2 of 4 recordings have no label by the corpus's own rules" in said
    assert "as published has 10039 utterances; here are 4" in said


def test_a_corpus_without_any_label_is_an_error(tmp_path):
    iemocap(tmp_path, ["xxx"])
    with pytest.raises(TableError, match="manifest of iemocap has no rows"):
        manifest.run(tmp_path, Params(), "iemocap")
