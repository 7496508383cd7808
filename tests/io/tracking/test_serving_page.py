"""The lines of docs/howto/serve-mlflow.md, typed as they stand, on a real `mlflow models serve`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ser.bundle import load_bundle
from ser.io.audio.read import load_mono
from ser.io.storage.traffic_files import read_traffic
from ser.io.tracking.registry import versions
from ser.predictor import Prediction, Predictor
from support.project import Project
from support.registry import promote

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "serve-mlflow.md"
SERVE, GIVEN, *ASKED = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@dataclass(frozen=True)
class Served:
    root: Path
    url: str
    environment: dict[str, str]
    expected: Prediction
    server: subprocess.Popen[bytes]

    def typed(self, lines: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", GIVEN.replace("http://127.0.0.1:5001", self.url) + lines],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def is_right(self, row: dict[str, Any]) -> bool:
        return row["emotion"] == self.expected.emotion and row["posteriors"] == pytest.approx(
            self.expected.posteriors, abs=1e-6
        )


@pytest.fixture(scope="module")
def served(prepared: Path, trained: Project, tmp_path_factory: Any) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    (root / "mlruns").mkdir()
    shutil.copy(prepared / "mlruns" / "mlflow.db", root / "mlruns")
    promote(root, 1)
    clip = next((trained.root / "data" / "raw" / "synthetic").rglob("*.wav"))
    shutil.copy(clip, root / "clip.wav")
    y, sr = load_mono(clip)
    expected = Predictor(load_bundle(prepared / "bundles" / "1")).predict(y, sr=sr)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[3] / "src"),
        "SER_TRAFFIC": str(root / "log"),
        "no_proxy": "127.0.0.1",
    }
    command = SERVE.replace("5001", str(port))
    assert "models:/emotion-recognition@champion" in command
    with (root / "server.log").open("w") as log:
        server = subprocess.Popen(
            ["bash", "-c", command],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(server, url, root / "server.log")
        yield Served(root, url, environment, expected, server)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 120
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            if httpx.get(f"{url}/ping", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)


def test_the_page_s_requests_are_answered_as_by_the_predictor(served: Served) -> None:
    assert versions.champion(served.root) is not None
    *right, misspelt = ASKED
    answers = [
        row
        for lines in right
        for text in served.typed(lines).replace("}{", "}\n{").splitlines()
        for row in json.loads(text)["predictions"]
    ]
    # One each, two rows in the split one, three of TensorFlow Serving's.
    assert len(answers) == 8
    assert all(served.is_right(row) for row in answers)
    message = json.loads(served.typed(misspelt))["message"]
    assert "Found the columns adio: adio is unknown; expected rows with the column audio" in message


def test_the_page_s_python_is_answered_as_by_the_predictor(served: Served) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PYTHON],
        cwd=served.root,
        env=served.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    right, wrong = json.loads(done.stdout.splitlines()[-1])
    assert served.is_right(right)
    assert "base64" in wrong["error"]


def test_requests_at_once_are_answered_alike(served: Served) -> None:
    y, sr = load_mono(served.root / "clip.wav")
    body = {"dataframe_records": [{"samples": y.tolist(), "sr": sr}]}

    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda _: client.post(f"{served.url}/invocations", json=body).json(), range(24)
        )
        assert all(served.is_right(answer["predictions"][0]) for answer in answers)


def test_a_server_that_is_interrupted_has_logged_figures_and_neither_audio_nor_names(
    served: Served,
) -> None:
    start = datetime.now(UTC) - timedelta(milliseconds=1)
    served.typed(ASKED[0])
    # Ctrl-C: of SIGTERM uvicorn dies in the end, without Python's exit.
    os.killpg(served.server.pid, signal.SIGINT)

    end = time.monotonic() + 15
    while (rows := read_traffic(served.root / "log", since=start)).empty:
        assert time.monotonic() < end
        time.sleep(0.1)
    (row,) = rows.to_dict("records")
    assert row["source"] == "pyfunc"
    assert row["confidence"] == pytest.approx(served.expected.confidence)
    planted = (served.root / "clip.wav").read_bytes()[2_000:2_032]
    for path in [*(served.root / "log").iterdir(), served.root / "server.log"]:
        assert planted not in path.read_bytes()
        assert b"clip.wav" not in path.read_bytes()
