"""`ser benchmark`: a model on a corpus under a protocol."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from ser.errors import ParamsError
from ser.output import count_of
from ser.params.overrides import parse_override, set_value
from ser.project import project_root

#: Parameters that `--set` refuses, each with the reason.
SET_ELSEWHERE = {
    "data.corpora": "--corpus sets that",
    "features.log_mel": "the model sets that",
    "model.enrolled": "--enrolled sets that",
    "model.name": "--model sets that",
    "split.fold": "all folds are run",
    "split.protocol": "--protocol sets that",
}


def benchmark(
    corpus: Annotated[str, typer.Option(help="One that `ser corpus list` has here.")],
    protocol: Annotated[
        str, typer.Option(help="holdout, grouped-kfold, or a published one: see `ser corpus info`.")
    ],
    model: Annotated[
        str, typer.Option(help="A model of params.yaml; `default` is its model.name.")
    ] = "default",
    enrolled: Annotated[
        bool, typer.Option("--enrolled", help="Speakers are enrolled with unlabelled clips.")
    ] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, instead of params.yaml's value; repeatable."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all scores to this file.")
    ] = None,
    page_file: Annotated[
        Path | None,
        typer.Option("--page", help="Write a page, with pictures, of all JSON files beside that."),
    ] = None,
) -> None:
    """Train and test a model on every fold of a protocol, and compare it with published scores.

    Choices are made on dev speakers inside each training fold; a test speaker is scored once.
    Parameters are those of params.yaml. A benchmark that was stopped goes on where it was.
    """
    from ser.benchmark.figure import comparison
    from ser.benchmark.folds import run_folds
    from ser.benchmark.page import page, read_result, sections
    from ser.benchmark.summary import summarise
    from ser.benchmark.workspace import prepare
    from ser.core.scores.metrics import interval_text
    from ser.files import atomic_path, write_json
    from ser.io.tracking.lineage import git_revision
    from ser.io.tracking.store import BENCHMARKS, prepare_store

    if page_file and not json_file:
        raise ParamsError("--page shows what lies beside --json FILE; give that, too.")
    for option, path in (("--json", json_file), ("--page", page_file)):
        if path and path.is_dir():
            raise ParamsError(f"{option} {path} is a folder; name a file in it.")
    root = project_root()
    words = ["--corpus", corpus, "--protocol", protocol, "--model", model]
    words += ["--enrolled"] if enrolled else []
    words += [word for chosen in sets or [] for word in ("--set", chosen)]
    command = shlex.join(["ser", "benchmark", *words])
    params = _params(root, corpus, protocol, model, enrolled, sets or [])
    # A store that takes no runs is found now, not after the features.
    prepare_store(root, BENCHMARKS)
    home = prepare(root, params)
    result = summarise(run_folds(root, home, params), params, command=command)
    result["commit"] = git_revision(root).get("mlflow.source.git.commit")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(result, json_file)
    if page_file and json_file:
        found = map(read_result, sorted(json_file.parent.glob("*.json")))
        results = [one for one in found if one]
        figure = f"{page_file.stem}-{{section}}.png"
        for section, group in sections(results):
            picture = figure.format(section=section.slug)
            with atomic_path(page_file.with_name(picture)) as temporary:
                comparison(group).savefig(temporary, format="png", dpi=110)
        with atomic_path(page_file) as temporary:
            temporary.write_text(page(results, figure=figure))
    score = f"UAR {result['uar']:.3f} {interval_text(result['uar_ci95'])}".rstrip()
    print(
        f"{corpus}, {protocol}, {count_of(result['folds'], 'fold')}, "
        f"{count_of(result['speakers'], 'unseen speaker')}, {result['normalisation']}: "
        f"{score}, chance {result['chance']:.3f}, "
        f"ECE {result['ece']:.3f}, {result['seconds']:.0f} s, splits {result['split_sha256'][:12]}."
    )


def _params(
    root: Path, corpus: str, protocol: str, model: str, enrolled: bool, sets: list[str]
) -> Any:
    """params.yaml, with the values of the command line."""
    from ser.params import MODELS, ModelParams, load_params, parse_params

    values = json.loads(load_params(root / "params.yaml").model_dump_json())
    for words in sets:
        _set(values, words)
    values["data"]["corpora"] = [corpus]
    values["split"] |= {"protocol": protocol, "fold": 1}
    values["model"]["enrolled"] = enrolled
    if model != "default":
        values["model"]["name"] = model
        if model not in MODELS:
            raise ParamsError(f"No model is called {model!r}; known are {', '.join(MODELS)}.")
    # Where the model is wrong, the error of parsing all of it names what, and the remedy.
    with suppress(ValidationError):
        used = ModelParams.model_validate(values["model"]).used
        values["features"]["log_mel"] = "byol_s" if "byol_s" in used else "ser"
    return parse_params(values, source="ser benchmark")


def _set(values: dict[str, Any], chosen: str) -> None:
    """Put `chosen`, KEY=VALUE, into nested values; a wrong key is refused later."""
    key, value = parse_override(chosen)
    if key in SET_ELSEWHERE:
        raise ParamsError(f"--set {chosen}: {SET_ELSEWHERE[key]}. Leave it out.")
    set_value(values, key, value)
