"""Two lines of Python ask a model."""

import subprocess
import sys
from dataclasses import asdict

import pytest

import ser
from ser import api
from ser.errors import AudioError, ParamsError, RegistryError


def test_two_lines_answer_as_the_command_line_does(trained):
    recording = next((trained.root / "data/raw/synthetic").rglob("*.wav"))
    prediction = ser.load(trained.root / "models/bundle").predict(recording)
    done = trained.call("ser.cli", "predict", str(recording), "--model", "models/bundle")
    best = prediction.emotion or prediction.abstention.reason
    assert done.stdout.startswith(best)
    assert sum(asdict(prediction)["posteriors"].values()) == pytest.approx(1)


def test_many_are_answered_in_order_as_one_by_one(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "MANY", 8)
    monkeypatch.setattr(api, "FIRST", 2)
    monkeypatch.setattr(api, "PART", 5)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    recordings = sorted((trained.root / "data/raw/synthetic").rglob("*.wav"))[:15]
    recordings.insert(4, tmp_path / "broken.wav")
    model = ser.load(trained.root / "models/bundle")
    answers = list(model.predict_all(recordings))
    assert isinstance(answers.pop(4), AudioError)
    del recordings[4]
    for recording, answer in zip(recordings, answers, strict=True):
        alone = model.predict(recording)
        assert (answer.emotion, answer.candidates) == (alone.emotion, alone.candidates)
        assert answer.posteriors == pytest.approx(alone.posteriors, abs=1e-6)


def test_what_is_no_model_or_no_recording_is_said(trained, tmp_path):
    with pytest.raises(RegistryError, match="neither a folder nor a registry URI"):
        ser.load(tmp_path / "nowhere")
    model = ser.load(trained.root / "models/bundle")
    with pytest.raises(AudioError):
        model.predict(tmp_path / "nowhere.wav")


def test_a_model_without_voices_says_so(trained):
    recording = next((trained.root / "data/raw/synthetic").rglob("*.wav"))
    with pytest.raises(ParamsError, match="trained without enrolment"):
        ser.load(trained.root / "models/bundle").enrol([recording])


def test_importing_ser_loads_nothing_heavy():
    script = "import sys, ser; assert not {'numpy', 'pandas', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
