"""The lines of README and docs/serving.md, typed as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE, README = ROOT / "docs/serving.md", ROOT / "README.md"


def blocks(page: Path) -> list[str]:
    """Blocks of shell lines that ask a server."""
    found = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    return [block for block in found if "curl" in block]


@pytest.mark.parametrize("block", [*blocks(GUIDE), *blocks(README)])
def test_every_line_answers(server, recordings, tmp_path, block):
    shutil.copy(recordings[0], tmp_path / "clip.wav")
    script = block.replace("http://127.0.0.1:8000", server.address)
    assert server.address in script
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_guide_shows_the_fields_of_an_answer(server, recordings):
    (shown,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with server.client() as client:
        data = recordings[0].read_bytes()
        answer = client.post("/v1/predict", files={"file": data}).json()
    example = json.loads(shown)
    assert set(example) == set(answer)
    assert {name: set(example[name]) for name in ("audio", "model", "ms")} == {
        name: set(answer[name]) for name in ("audio", "model", "ms")
    }


def test_the_guide_lists_every_code():
    from ser.serve.interfaces.problems import KINDS

    text = GUIDE.read_text()
    for code, (status, _) in KINDS.items():
        (row,) = [line for line in text.splitlines() if f"`{code}`" in line and line[0] == "|"]
        assert str(status) in row.split("|")[1], code
