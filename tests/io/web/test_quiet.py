"""MLflow is told to report nothing before it is imported, whatever imports it."""

import os
import subprocess
import sys
from pathlib import Path

from ser.io.web.quiet import QUIET

ROOT = Path(__file__).parents[3]

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


def test_mlflow_is_imported_only_after_it_is_silenced(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WATCH.format(quiet=list(QUIET)))
    unset = {k: v for k, v in os.environ.items() if k not in QUIET}
    done = subprocess.run(
        [sys.executable, "-c", "import ser.io.tracking.registry, mlflow"],
        env={**unset, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
    )
    assert "mlflow imported, unset: []" in done.stderr
