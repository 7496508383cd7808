"""docs/howto/traffic-log.md names the columns that there are, and its lines run."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ser.io.storage.traffic import TrafficLog
from ser.monitoring.traffic import COLUMNS, InputSummary, Served, row_of
from ser.predictor import Prediction

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "howto" / "traffic-log.md").read_text()


def test_the_page_has_a_line_for_each_column():
    table = PAGE.partition("| column | type | null | is |\n|---|---|---|---|\n")[2]
    lines = table.partition("\n\n")[0].splitlines()
    assert lines == [
        f"| `{c.name}` | {c.kind} | {'yes' if c.optional else 'no'} | {c.meaning} |"
        for c in COLUMNS
    ]


@pytest.mark.parametrize("lines", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_the_page_s_python_reads_a_log(tmp_path, lines):
    with TrafficLog(tmp_path / "data" / "traffic") as log:
        for _ in range(2):
            row = row_of(
                Prediction("fear", 0.8, {"fear": 0.8}, ("fear",)),
                InputSummary(),
                time=datetime.now(UTC),
                source="predict",
                interface="batch",
                served=Served("a" * 64),
                latency_ms=5.0,
            )
            log.add(row)
            log.flush()
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"(fear|predict) +2", done.stdout)
