"""MLflow is told to report nothing before it is imported, whatever imports it."""

import os
import subprocess
import sys

import pytest

from ser.io.web.quiet import QUIET

# Started by Python before anything else.
WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "mlflow":
            lacking = [key for key in {quiet!r} if key not in os.environ]
            print("mlflow imported, unset:", lacking, file=sys.stderr)

sys.meta_path.insert(0, Watch())
"""
COMMANDS = {
    "stage": ["-m", "ser.stages.train"],
    "versions": ["-m", "ser.cli", "versions"],
    "benchmark": [
        *("-m", "ser.cli", "benchmark", "--corpus", "synthetic", "--protocol", "holdout"),
        *("--model", "lda"),
    ],
    "load": ["-c", "import ser\ntry: ser.load()\nexcept Exception as error: print(error)"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_mlflow_is_imported_only_after_it_is_silenced(trained, tmp_path, words):
    project = trained.copied_to(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(WATCH.format(quiet=list(QUIET)))
    unset = {k: v for k, v in os.environ.items() if k not in QUIET}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project.root,
        env={**unset, "PYTHONPATH": f"{tmp_path}{os.pathsep}{project.root / 'src'}"},
        capture_output=True,
        text=True,
    )
    assert "mlflow imported, unset: []" in done.stderr
