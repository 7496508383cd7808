"""Features cost what is new: by the real stage, on recordings that the embedded corpus speaks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.features.extract import audible, extract
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import ChangedAudio, CorruptAudio
from ser.io.storage import manifests, shards
from ser.params import FeatureParams, Params, SyntheticParams
from ser.project import FEATURES, MANIFEST
from ser.stages import featurize, gather, manifest
from support.recordings import load_audio

SR = 16_000
#: Recordings alone.
PLAIN = Params(augment={"versions": 0})


def say(root: Path, *, speakers: range) -> None:
    """Three recordings by each of these speakers of the embedded corpus."""
    plan = utterances(SyntheticParams(speakers=6, sentences=1), seed=1)
    for speaker in speakers:
        for utterance in plan[6 * speaker : 6 * speaker + 3]:
            path = root / "data/raw/synthetic" / utterance.file
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speak(utterance, sr=SR), SR)


@pytest.fixture
def root(tmp_path):
    say(tmp_path, speakers=range(4))
    manifest.run(tmp_path, Params(), "synthetic")
    gather.run(tmp_path, Params())
    return tmp_path


def run(root: Path, capsys, params: Params | None = None) -> int:
    """How many recordings the stage computed."""
    capsys.readouterr()
    featurize.run(root, params or PLAIN)
    return int(capsys.readouterr().out.split(": ")[1].split()[0])


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / FEATURES).iterdir()}


def test_stored_features_are_those_that_are_extracted(root, capsys):
    assert run(root, capsys) == 12
    table = pd.read_parquet(root / MANIFEST)
    functionals = shards.read_functionals(root / FEATURES)
    sequences = shards.read_sequences(root / FEATURES)
    for file, sha256 in table[["file", "sha256"]].to_numpy()[::4]:
        y = audible(load_audio(root / file, sr=SR), sr=SR, params=FeatureParams())
        features = extract(y, params=FeatureParams())
        # A worker has one thread, this process several: their sums end in other digits.
        np.testing.assert_allclose(
            functionals.loc[sha256], features.functionals, rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(sequences[sha256], features.log_mel, rtol=2e-3)


def test_again_nothing_is_computed_and_a_new_speaker_costs_a_speaker(root, capsys):
    run(root, capsys)
    before = contents(root)
    assert run(root, capsys) == 0
    assert contents(root) == before
    say(root, speakers=range(4, 5))
    manifest.run(root, Params(), "synthetic")
    gather.run(root, Params())
    assert run(root, capsys) == 3


def test_the_folder_depends_on_the_recordings_and_not_on_their_order_of_coming(root, capsys):
    run(root, capsys)
    say(root, speakers=range(4, 6))
    manifest.run(root, Params(), "synthetic")
    gather.run(root, Params())
    run(root, capsys)
    grown = contents(root)
    for path in (root / FEATURES).iterdir():
        path.unlink()
    assert run(root, capsys) == 18
    assert contents(root) == grown


def test_a_renamed_recording_is_not_computed_again(root, capsys):
    run(root, capsys)
    table = pd.read_parquet(root / MANIFEST)
    old = root / table["file"].iloc[0]
    old.rename(old.with_name("renamed.wav"))
    table.loc[0, "file"] = table["file"].iloc[0].replace(old.name, "renamed.wav")
    table.to_parquet(root / MANIFEST)
    assert run(root, capsys) == 0


def test_another_parameter_or_other_code_computes_all_again(root, capsys, monkeypatch):
    run(root, capsys)
    params = Params(features=FeatureParams(n_mels=40))
    assert run(root, capsys, params) == 12
    assert shards.read_sequences(root / FEATURES).popitem()[1].shape[1] == 40
    monkeypatch.setattr(featurize, "CODE", featurize.CODE[:-1])
    assert run(root, capsys, params) == 12


def test_a_damaged_shard_is_noticed_and_computed_again(root, capsys):
    run(root, capsys)
    before = contents(root)
    shard = next((root / FEATURES).glob("*.arrow"))
    bent = bytearray(shard.read_bytes())
    bent[len(bent) // 2] ^= 1
    shard.write_bytes(bent)
    assert 0 < run(root, capsys) <= 12
    assert contents(root) == before


def test_a_recording_that_changed_is_refused_although_its_features_are_known(root, capsys):
    run(root, capsys)
    path = next((root / "data/raw/synthetic").rglob("*.wav"))
    bent = bytearray(path.read_bytes())
    bent[-9] ^= 1
    path.write_bytes(bent)
    with pytest.raises(ChangedAudio, match=path.name):
        run(root, capsys)


def test_what_was_computed_before_a_failure_is_kept(root, capsys, monkeypatch):
    """One unreadable recording: its shard is missing, the others are there."""
    monkeypatch.setattr(manifests, "SHARD", 2)
    table = pd.read_parquet(root / MANIFEST)
    victim = root / table["file"].iloc[-1]
    good = victim.read_bytes()
    victim.write_bytes(b"no audio")
    sha256 = shards.file_hash(victim)
    bent = table.assign(sha256=[*table["sha256"][:-1], sha256])
    bent.to_parquet(root / MANIFEST)
    with pytest.raises(CorruptAudio, match=victim.name):
        run(root, capsys)
    victim.write_bytes(good)
    table.to_parquet(root / MANIFEST)
    assert 0 < run(root, capsys) < 12


def test_an_interrupt_stops_the_workers_and_leaves_no_debris(root):
    """SIGINT to the whole group, as Ctrl-C sends it, in the midst of the work."""
    table = pd.read_parquet(root / MANIFEST)
    many = pd.concat([table] * 150, ignore_index=True)
    # Copies with one changed sample: each is a recording of its own.
    folder = root / "data/raw/synthetic"
    for i in range(len(table), len(many)):
        y, sr = soundfile.read(root / many["file"].iloc[i], dtype="int16")
        y[100] = i
        soundfile.write(folder / f"{i}.wav", y, sr)
        many.loc[i, ["file", "sha256"]] = [
            f"data/raw/synthetic/{i}.wav",
            shards.file_hash(folder / f"{i}.wav"),
        ]
    many.to_parquet(root / MANIFEST)
    (root / "params.yaml").write_text("seed: 7\n")
    stage = subprocess.Popen(
        [sys.executable, "-m", "ser.stages.featurize"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 60
    while len(_group(stage.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.killpg(stage.pid, signal.SIGINT)
    said = stage.communicate(timeout=30)[1]
    assert stage.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    deadline = time.monotonic() + 10
    while _group(stage.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _group(stage.pid) == []
    assert not list(root.rglob("*.tmp"))


def _group(leader: int) -> list[int]:
    """Processes of the session, zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found
