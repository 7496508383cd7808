"""How timelines are drawn in a browser: ES modules and a style that the server's page loads, and
that self-contained pages hold in themselves."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
STYLE = FOLDER / "timeline.css"
#: A line of a module that names another one.
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.-]+)";\n', re.MULTILINE)


def bundled(entry: Path) -> str:
    """A module and all that it imports as one script, in which no module is loaded.

    What it imports lies beside it or in this folder; each import is a line of its own, renames
    nothing, and no two modules have a name at their top in common.
    """
    parts: dict[str, str] = {}
    _gather(entry, parts)
    return "\n".join(parts.values())


def _gather(module: Path, parts: dict[str, str]) -> None:
    text = module.read_text(encoding="utf-8")
    for name in IMPORT.findall(text):
        if name not in parts:
            beside = module.with_name(name)
            _gather(beside if beside.is_file() else FOLDER / name, parts)
    own = re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.MULTILINE)
    parts[module.name] = own.strip() + "\n"
