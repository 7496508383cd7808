"""The commands of README and guides, as a reader would type them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.project import Project

ROOT = Path(__file__).parents[2]
#: A page's blocks: language, content.
BLOCK = re.compile(r"^( *)```([\w-]*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
#: Code within a line.
SPAN = re.compile(r"`([^`\n]+)`")
#: Seconds in which a command must end, on a loaded machine.
PATIENCE = 600


def pages() -> list[str]:
    """README and all pages for readers, relative to the project's root."""
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/howto").glob("*.md")]
    return sorted(str(page.relative_to(ROOT)) for page in found)


def blocks(page: str, language: str) -> list[str]:
    """The blocks of that language; "" has shell lines, `text` what is printed."""
    return [own for _, kind, own in BLOCK.findall((ROOT / page).read_text()) if kind == language]


def commands(page: str) -> list[str]:
    """Each command of the page's shell blocks, in order, without its comment."""
    found = []
    for _, kind, own in BLOCK.findall((ROOT / page).read_text()):
        if kind in ("", "sh"):
            lines = own.replace("\\\n", " ").splitlines()
            words = (re.sub(r"(^|\s+)# .*$", "", line).strip() for line in lines)
            found += [re.sub(r"\s+", " ", line) for line in words if line]
    return found


def spans(page: str) -> Iterator[str]:
    """Code within the page's lines, outside of blocks."""
    yield from SPAN.findall(BLOCK.sub("", (ROOT / page).read_text()))


def applied(diff: str, root: Path) -> None:
    """Change files of `root` as a block `diff` shows: its lines stand in them once, in order."""
    path, hunks = re.search(r"^\+\+\+ b/(\S+)$", diff, re.MULTILINE)[1], diff.split("\n@@\n")[1:]
    text = (root / path).read_text()
    for hunk in hunks:
        lines = hunk.removesuffix("\n").split("\n")
        before = "\n".join(line[1:] for line in lines if line[:1] in (" ", "-", ""))
        after = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+", ""))
        assert text.count(before) == 1, f"{path} does not have these lines once:\n{before}"
        text = text.replace(before, after)
    (root / path).write_text(text)


@dataclass
class Typist:
    """Types commands into a shell in a project.

    replaced : words of the page -> what a reader would put there. typed : all commands so far.
    """

    project: Project
    replaced: Mapping[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What `make setup` makes: the environment of the suite, with the project's own source."""
        folder = self.project.root / ".venv" / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        root = self.project.root
        path = f"{root / 'src'}{os.pathsep}{root}"
        for name in ("python", "ser", "dvc", "mlflow"):
            start = "" if name == "python" else f"-m {'ser.cli' if name == 'ser' else name}"
            script = (
                f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {sys.executable} {start} "$@"\n'
            )
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)
        (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')
        for ready in (".ready", ".ready-dev"):
            (root / ".venv" / ready).touch()

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run it; it must succeed."""
        line = command
        for word, meant in self.replaced.items():
            line = line.replace(word, meant)
        self.typed.append(command)
        bin_folder = self.project.root / ".venv" / "bin"
        environment = {
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            # What would open a browser.
            "BROWSER": "true",
            "GIT_AUTHOR_NAME": "reader",
            "GIT_AUTHOR_EMAIL": "reader@localhost",
            "GIT_COMMITTER_NAME": "reader",
            "GIT_COMMITTER_EMAIL": "reader@localhost",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.project.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"$ {line}\n{done.stderr}"
        return done
