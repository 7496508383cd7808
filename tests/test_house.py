"""The laws of the house: what a stage is made of, DVC looks at; no import goes in a circle."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from ser.params import MODELS, Params

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "ser"
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
#: What no artefact depends on: errors, places, atomic writes, and the record of the run.
HARMLESS = (
    *("errors", "files", "interrupts", "extras", "output", "parallel"),
    *(f"params.{part}" for part in ("models", "params", "section", "sections")),
    *(f"params.{part}" for part in ("flow", "server", "serving", "stress", "timeline", "traffic")),
    *("project", "strict_yaml", "stages.base", "io.tracking"),
    *("io.web.loopback", "io.web.quiet"),
)
#: And for one stage: `train` asks them whether DVC's copies are intact before it starts.
HARMLESS_TO = {"train": ("io.intake", "corpora")}
#: How the machine works is no part of what a model is.
MACHINE = "machine"
#: What opens a file in a mode.
OPENERS = ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile")
SOURCES = sorted(path for house in (SRC, ROOT / "flows") for path in house.rglob("*.py"))
#: What names a run in MLflow; another value makes other folds, on which the stage depends.
NAMES_OF_RUNS = {"train": ("data.corpora", "split"), "evaluate": ("data.corpora", "split")}


@cache
def graph() -> grimp.ImportGraph:
    """The imports, and those that the table of models makes by name."""
    found = grimp.build_graph("ser", cache_dir=None)
    for entry in MODELS.values():
        module = entry.path.partition(":")[0]
        found.add_import(importer="ser.models.build", imported=module)
    # Params takes the names of the protocols alone: who reads their speakers depends on the table.
    found.remove_import(importer="ser.params.sections", imported="ser.params.protocols")
    found.remove_import(importer="ser.params.params", imported="ser.params.protocols")
    return found


def definition(stage: str) -> dict[str, Any]:
    found: dict[str, Any] = STAGES[stage]
    return found.get("do", found)


def lacking(stage: str, deps: list[str]) -> list[str]:
    """Modules that a stage imports, itself or through others, and that none of `deps` holds."""
    rooms = tuple(dep.removeprefix("src/").removesuffix(".py").replace("/", ".") for dep in deps)
    harmless = (*HARMLESS, *HARMLESS_TO.get(stage, ()))
    allowed = (*rooms, *(f"ser.{name}" for name in harmless))
    module = f"ser.stages.{stage}"
    imported = {module, *graph().find_upstream_modules(module)} - {"ser", "ser.params"}
    return sorted(m for m in imported if not f"{m}.".startswith(tuple(f"{a}." for a in allowed)))


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_looks_at_every_module_that_a_stage_imports(stage):
    assert lacking(stage, definition(stage)["deps"]) == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_source_that_a_stage_names_is_idle(stage):
    deps = definition(stage)["deps"]
    for dep in (
        d for d in deps if d.startswith("src/") and "corpora" not in d and "intake" not in d
    ):
        assert lacking(stage, [d for d in deps if d != dep]), f"{stage} imports nothing of {dep}"


def test_no_import_goes_round_in_a_circle():
    circles = {
        module
        for module in graph().modules
        if module in graph().find_upstream_modules(module)
        or any(
            module in graph().find_upstream_modules(other)
            for other in graph().find_modules_directly_imported_by(module)
        )
    }
    assert circles == set()


def test_the_server_that_forks_trainings_imports_them_once_for_all():
    server = "ser.models.ensemble.fork_server"
    assert "ser.models.networks.training" in graph().find_modules_directly_imported_by(server)


def test_mlflow_is_imported_in_the_room_that_silences_it_first():
    """So telemetry is off whatever imports MLflow: a stage, a flow, a command, `ser.load`."""
    found = grimp.build_graph("ser", "flows", cache_dir=None, include_external_packages=True)
    importers = found.find_modules_that_directly_import("mlflow")
    assert importers
    assert {name for name in importers if not name.startswith("ser.io.tracking.")} == set()


def test_onnx_runtime_is_imported_where_its_telemetry_is_switched_off_first():
    found = grimp.build_graph("ser", "flows", cache_dir=None, include_external_packages=True)
    importers = found.find_modules_that_directly_import("onnxruntime")
    assert importers == {"ser.core.inference.graphs"}


def test_no_module_of_flows_hides_a_library():
    """Prefect puts a flow's folder first in Python's path when it reads the flow's parameters."""
    own = {path.stem for path in (ROOT / "flows").iterdir() if not path.stem.startswith(("_", "."))}
    assert own & ({*packages_distributions()} | sys.stdlib_module_names) == set()


def test_no_room_holds_more_than_a_dozen_modules():
    counts = Counter(
        str(path.parent.relative_to(ROOT))
        for house in (SRC, ROOT / "flows")
        for path in house.rglob("*.py")
        if path.name != "__init__.py"
    )
    crowded = {room: count for room, count in counts.items() if count > 12}
    assert crowded == {}


def _calls(path: Path) -> list[tuple[str, ast.Call]]:
    """What a module calls: the function's or the method's own name, and the call."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        (getattr(call.func, "attr", None) or getattr(call.func, "id", ""), call) for call in calls
    ]


def _is_text_by_locale(name: str, call: ast.Call) -> bool:
    """Whether it reads or writes text in an encoding that the machine's locale chooses."""
    if any(one.arg == "encoding" for one in call.keywords):
        return False
    is_function = isinstance(call.func, ast.Name)
    if name in ("read_text", "write_text"):
        # `ser.files.write_text` is a function.
        return not is_function
    given = [*call.args, *(one.value for one in call.keywords if one.arg == "mode")]
    values = [one.value for one in given if isinstance(one, ast.Constant)]
    mode = next((m for m in values if isinstance(m, str) and set(m) <= set("rwaxbt+")), None)
    if mode is None:
        return name == "open" and is_function
    # PyAV's "w" is a file of audio.
    is_file = ast.unparse(call.func) != "av.open" and name in OPENERS
    return is_file and "b" not in mode


def test_no_module_reads_or_writes_text_in_the_encoding_of_the_locale():
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for name, call in _calls(path)
        if _is_text_by_locale(name, call)
    ]
    assert found == []


def test_every_figure_begins_where_a_dollar_sign_is_made_no_formula():
    makers = {path.name for path in SOURCES for name, _ in _calls(path) if name == "Figure"}
    assert makers == {"canvas.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_that_a_stage_reads_is_declared(stage):
    declared = [*definition(stage)["params"], *NAMES_OF_RUNS.get(stage, ())]
    for name in read_by(stage):
        covered = any(f"{name}.".startswith(f"{d}.") for d in declared)
        partly = name.count(".") == 0 and any(d.startswith(f"{name}.") for d in declared)
        assert covered or partly, f"{stage} reads {name}; dvc.yaml declares {', '.join(declared)}"


def read_by(stage: str) -> set[str]:
    """`section` or `section.name` of each `params.…` in a stage and what it imports of others."""
    tree = _tree(f"ser.stages.{stage}")
    parts: list[ast.AST] = [tree]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ser.stages."):
            imported = {alias.name for alias in node.names}
            for own in _tree(node.module or "").body:
                if isinstance(own, ast.FunctionDef) and own.name in imported:
                    parts.append(own)
    chains = [_chain(node) for part in parts for node in ast.walk(part)]
    names = {".".join(c[1:3]) for c in chains if c[:1] == ["params"] and len(c) > 1}
    names = {n for n in names if n.split(".")[0] in Params.model_fields.keys() - {MACHINE}}
    # `params.data.corpora` holds `params.data`, too.
    return {n for n in names if not any(other.startswith(f"{n}.") for other in names)}


def _tree(module: str) -> ast.Module:
    place = SRC.parent / module.replace(".", "/")
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(file.read_text())


def _chain(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return [*before, node.attr] if before else []
    return [node.id] if isinstance(node, ast.Name) else []
