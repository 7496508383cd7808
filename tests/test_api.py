"""Two lines of Python ask a model."""

import subprocess
import sys
from dataclasses import asdict

import pytest

import ser
from ser.errors import AudioError, ParamsError, RegistryError


def test_two_lines_answer_as_the_command_line_does(trained):
    recording = next((trained.root / "data/raw/synthetic").rglob("*.wav"))
    prediction = ser.load(trained.root / "models/bundle").predict(recording)
    done = trained.call("ser.cli", "predict", str(recording), "--model", "models/bundle")
    best = prediction.emotion or prediction.abstention.reason
    assert done.stdout.startswith(best)
    assert sum(asdict(prediction)["posteriors"].values()) == pytest.approx(1)


def test_what_is_no_model_or_no_recording_is_said(trained, tmp_path):
    with pytest.raises(RegistryError, match="neither a folder nor a registry URI"):
        ser.load(tmp_path / "nowhere")
    model = ser.load(trained.root / "models/bundle")
    with pytest.raises(AudioError):
        model.predict(tmp_path / "nowhere.wav")


def test_a_model_without_voices_says_so(trained):
    recording = next((trained.root / "data/raw/synthetic").rglob("*.wav"))
    with pytest.raises(ParamsError, match="knows no voices"):
        ser.load(trained.root / "models/bundle").enrol([recording])


def test_importing_ser_loads_nothing_heavy():
    script = "import sys, ser; assert not {'numpy', 'pandas', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
