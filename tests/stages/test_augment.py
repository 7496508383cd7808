"""Augmented versions: the real stage, on recordings that the embedded corpus speaks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.augmentation.waveforms import augmented, versions_of
from ser.core.features.extract import above_rumble, audible, extract
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import StageError, TableError
from ser.io.storage import shards
from ser.io.storage.examples import load_examples
from ser.params import Params, SyntheticParams
from ser.project import AUGMENTED, MANIFEST
from ser.stages import featurize, gather, manifest
from support.recordings import load_audio

SR = 16_000
TABLE = MANIFEST


def params(**values: object) -> Params:
    return Params(augment=values)


@pytest.fixture
def root(tmp_path):
    plan = utterances(SyntheticParams(speakers=2, sentences=1), seed=1)
    for utterance in [*plan[:2], *plan[6:8]]:
        path = tmp_path / "data/raw/synthetic" / utterance.file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, speak(utterance, sr=SR), SR)
    manifest.run(tmp_path, Params(), "synthetic")
    gather.run(tmp_path, Params())
    return tmp_path


def run(root: Path, capsys, chosen: Params | None = None) -> int:
    """How many versions the stage computed."""
    capsys.readouterr()
    featurize.run(root, chosen or params())
    _, line = capsys.readouterr().out.splitlines()
    return int(line.split(": ")[1].split()[0])


def test_versions_are_features_of_altered_recordings(root, capsys):
    assert run(root, capsys) == 16
    row = pd.read_parquet(root / TABLE).iloc[:1]
    features = params().features
    y = audible(load_audio(root / row["file"].iloc[0], sr=SR), sr=SR, params=features)
    sequences = shards.read_sequences(root / AUGMENTED)
    for number in (1, 2, 3, 4):
        heard = augmented(
            y,
            sr=SR,
            speaker=row["speaker"].iloc[0],
            recording=row["sha256"].iloc[0],
            version=number,
            params=params().augment,
        )
        (key,) = versions_of(row, number).index
        expected = extract(above_rumble(heard, params=features), params=features).log_mel
        np.testing.assert_allclose(sequences[key], expected, rtol=2e-3)


def test_again_nothing_is_computed_and_more_versions_cost_what_is_new(root, capsys):
    run(root, capsys)
    assert run(root, capsys) == 0
    assert run(root, capsys, params(weights=[1.0])) == 0
    assert run(root, capsys, params(versions=5)) == 4
    assert run(root, capsys, params(versions=1)) == 0
    assert len(shards.read_functionals(root / AUGMENTED)) == 4


def test_another_change_computes_all_again(root, capsys):
    run(root, capsys)
    assert run(root, capsys, params(speed=0.1)) == 16
    assert run(root, capsys, params(speed=0.1, channels=["plain"])) == 16


def test_a_recording_that_turns_out_to_be_another_speaker_s_is_another_voice(root, capsys):
    run(root, capsys)
    table = pd.read_parquet(root / TABLE)
    table.loc[0, "speaker"] = "synthetic/99"
    table.to_parquet(root / TABLE)
    assert run(root, capsys) == 4


def test_one_recording_under_two_speakers_names_is_two_voices(root, capsys):
    table = pd.read_parquet(root / TABLE)
    twin = table.iloc[[0]].assign(speaker="synthetic/99", file="data/raw/synthetic/twin.wav")
    (root / twin["file"].iloc[0]).write_bytes((root / table["file"].iloc[0]).read_bytes())
    pd.concat([table, twin], ignore_index=True).to_parquet(root / TABLE)
    assert run(root, capsys) == 20
    rows = pd.read_parquet(root / TABLE)
    featurize.run(root, params())
    examples = load_examples(root, frozenset({"log_mel"}), rows, versions=2)
    assert len(examples.augmented[0].log_mel[0]) != len(examples.augmented[0].log_mel[-1])


def test_a_recording_of_one_window_is_long_enough_however_fast_it_is_played(root, capsys):
    table = pd.read_parquet(root / TABLE)
    path = root / table["file"].iloc[0]
    y, sr = soundfile.read(path)
    loud = int(np.abs(y).argmax())
    soundfile.write(path, y[max(0, loud - 500) :][:1030], sr)
    table.loc[0, "sha256"] = shards.file_hash(path)
    table.to_parquet(root / TABLE)
    assert run(root, capsys) == 16


def test_none_are_made_where_none_are_asked_for(root, capsys):
    run(root, capsys)
    featurize.run(root, params(versions=0))
    assert list((root / AUGMENTED).glob("*.arrow")) == []
    assert "on the recordings alone" in capsys.readouterr().out


def test_models_are_given_each_version_in_the_order_of_the_recordings(root, capsys):
    featurize.run(root, params())
    run(root, capsys)
    rows = pd.read_parquet(root / TABLE).iloc[[2, 0]]
    examples = load_examples(root, frozenset({"functionals"}), rows, versions=2)
    stored = shards.read_functionals(root / AUGMENTED)
    for number, version in enumerate(examples.augmented, start=1):
        expected = stored.loc[versions_of(rows, number).index]
        assert np.array_equal(version.functionals, expected)
    flat = examples.with_augmented()
    assert len(flat) == len(flat.inputs.functionals) == 6
    assert list(flat.emotion) == [*examples.emotion] * 3
    assert len(set(flat.speaker)) == 3 * len(set(examples.speaker))
    with pytest.raises(TableError, match="`dvc repro -f featurize`"):
        load_examples(root, frozenset({"functionals"}), rows, versions=5)


def test_recordings_that_cannot_be_read_are_one_line(root):
    table = pd.read_parquet(root / TABLE)
    for row, file in enumerate(table["file"].iloc[:2]):
        (root / file).write_bytes(b"no audio %d" % row)
        table.loc[row, "sha256"] = shards.file_hash(root / file)
    table.to_parquet(root / TABLE)
    with pytest.raises(StageError, match=r"2 of 4 files fail"):
        featurize.run(root, params())
