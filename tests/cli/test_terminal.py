"""What is printed neither commands a terminal nor fails for its encoding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser.cli import app
from ser.cli.answers import print_answers
from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, StageError
from ser.predictor import Prediction
from ser.stages.base import run_stage

HOSTILE = "a\x1b[2Jb\nc\u202e.wav"


@pytest.mark.parametrize("form", ["text", "json", "json lines"])
def test_predict_escapes_names_in_answers_and_in_errors(capsys, form):
    refused = Prediction(None, None, abstention=Abstention("too_long", HOSTILE))
    answers = [AudioError(f"{HOSTILE} is no audio."), Prediction("anger", 1.0), refused]
    assert print_answers([Path(HOSTILE)] * 3, answers, form=form) == 1
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == (form != "json")
    assert (out + err).replace("\n", "").isprintable()
    if form != "json":
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


def test_a_shell_completes_commands_and_options(monkeypatch, capsys):
    monkeypatch.setenv("_SER_COMPLETE", "complete_bash")
    for words, expected in (
        ("ser st", "stream\nstatus\n"),
        ("ser benchmark --prot", "--protocol\n"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        with pytest.raises(SystemExit) as ended:
            app(prog_name="ser")
        assert ended.value.code == 0
        assert set(expected.split()) <= set(capsys.readouterr().out.split())
