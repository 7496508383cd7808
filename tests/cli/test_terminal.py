"""What is printed neither commands a terminal nor fails for its encoding."""

import os
import subprocess
import sys

import pytest
import typer

from ser import api
from ser.cli import commands
from ser.errors import StageError
from ser.stages.base import run_stage

HOSTILE = "a\x1b[2Jb\nc\u202e.wav"


def test_predict_escapes_names_in_answers_and_in_errors(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(api, "load_bundle", lambda folder: None)
    monkeypatch.setattr(api, "load_encoder_of", lambda bundle: None)
    monkeypatch.setattr(api, "Predictor", lambda *given: None)
    (tmp_path / HOSTILE).write_text("no audio")
    with pytest.raises(typer.Exit):
        commands.predict([tmp_path / HOSTILE], model=str(tmp_path))
    refused = {"reason": "too_long", "detail": HOSTILE}
    answer = {"emotion": "anger", "confidence": 1.0, "candidates": ["anger"]}
    answer |= {"file": HOSTILE, "posteriors": {"anger": 1.0}, "abstention": None}
    commands._print_answers([answer, {**answer, "posteriors": {}, "abstention": refused}])
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert len(out.splitlines()) == 3
    assert (out + err).replace("\n", "").isprintable()
    assert r"a\x1b[2Jb\nc\u202e.wav" in err


def test_a_stage_escapes_names_in_its_error(tmp_path, monkeypatch, capsys):
    def run(root, params):
        raise StageError(HOSTILE)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(SystemExit):
        run_stage(run)
    assert capsys.readouterr().err == "error: a\\x1b[2Jb\\nc\\u202e.wav\n"


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "ser.cli", "corpus", "list"),
        ("-c", "from ser.stages.base import run_stage; run_stage(lambda root, p: print('…é'))"),
    ],
)
def test_what_the_encoding_lacks_is_escaped(checkout, words):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=checkout.root,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u" in done.stdout or "\\x" in done.stdout
