"""A benchmark's page in docs/benchmarks: what was run, where, and what came out."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "benchmarks"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats with three significant digits."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def write(name: str, *, title: str, body: str) -> None:
    """Write docs/benchmarks/NAME.md, and print it."""
    text = f"# {title}\n\n{_circumstances(name)}\n\n{body.strip()}\n"
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / f"{name}.md").write_text(text)
    print(text)


def cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _circumstances(name: str) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    # Where things lie on this machine is nobody's business.
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *words])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"`{command}`, commit {commit or 'unknown'}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores ({_processor()}), load average at "
        f"the end {load}."
    )


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
