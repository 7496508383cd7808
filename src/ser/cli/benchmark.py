"""`ser benchmark`: a model under a protocol, or trained on some corpora and tested on others."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from ser.errors import ParamsError
from ser.params.overrides import parse_override, set_value
from ser.project import project_root

if TYPE_CHECKING:
    from ser.benchmark.designs import Design

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
    corpus: Annotated[
        str | None,
        typer.Option(help="One that `ser corpus list` has here; several: A,B."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="holdout, grouped-kfold, or a published one: see `ser corpus info`."),
    ] = None,
    train: Annotated[
        str | None, typer.Option(help="Instead of those: the corpora to train on, A,B.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="With --train: the corpora to test, each by itself, C,D.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A model of params.yaml; `default` is its model.name.")
    ] = "default",
    enrolled: Annotated[
        bool, typer.Option("--enrolled", help="Speakers are enrolled with unlabelled clips.")
    ] = False,
    labels: Annotated[
        str | None,
        typer.Option(help="all, 4-class, 6-class, or emotions to keep: anger,fear,neutral."),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(help="OLD=NEW, an emotion that counts as another: calm=neutral; repeatable."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, instead of params.yaml's value; repeatable."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write all scores to this file; of several --test corpora, to FILE.CORPUS.json.",
        ),
    ] = None,
    page_file: Annotated[
        Path | None,
        typer.Option("--page", help="Write a page, with pictures, of all JSON files beside that."),
    ] = None,
) -> None:
    """Train and test a model: on every fold of a protocol, or on some corpora against others.

    With --corpus and --protocol each speaker is tested once, by a model that was not trained on
    that speaker, and the score stands beside published ones. With --train and --test the model is
    trained on all speakers of some corpora and tested on all of another one, with the emotions
    that both have.

    Choices are made on dev speakers inside each training fold; a test speaker is scored once.
    Parameters are those of params.yaml. A benchmark that was stopped goes on where it was.
    """
    from ser.benchmark.folds import run_folds
    from ser.benchmark.summary import summarise, words_of
    from ser.benchmark.workspace import prepare
    from ser.benchmark.writing import write_page
    from ser.files import check_file, write_json
    from ser.io.tracking.lineage import git_revision
    from ser.io.tracking.store import BENCHMARKS, prepare_store

    if page_file and not json_file:
        raise ParamsError("--page shows what lies beside --json FILE; give that, too.")
    for path in filter(None, (json_file, page_file)):
        check_file(path)
    trained, tested = _sides(corpus, protocol, train, test)
    root = project_root()
    data = {} if labels is None else {"keep": labels if "," not in labels else _names(labels)}
    params = _params(
        root,
        corpora=sorted({*trained, *tested}),
        protocol=protocol,
        model=model,
        enrolled=enrolled,
        labels=data | ({"merge": dict(map(_pair, merge))} if merge else {}),
        sets=sets or [],
    )
    # A store that takes no runs is found now, not after the features.
    prepare_store(root, BENCHMARKS)
    home = prepare(root, params)
    chosen = ["--model", model, *(["--enrolled"] if enrolled else [])]
    chosen += ["--labels", labels] if labels else []
    chosen += [word for pair in merge or [] for word in ("--merge", pair)]
    chosen += [word for one in sets or [] for word in ("--set", one)]
    for words, design in _designs(home, params, trained, tested):
        result = summarise(
            run_folds(root, home, params, design),
            params,
            design,
            command=shlex.join(["ser", "benchmark", *words, *chosen]),
        )
        result["commit"] = git_revision(root).get("mlflow.source.git.commit")
        if json_file:
            several = len(tested) > 1
            ending = f".{design.account['test_corpus']}.json" if several else json_file.suffix
            path = json_file.with_suffix(ending)
            write_json(result, path)
        print(words_of(result))
    if page_file and json_file:
        write_page(page_file, json_file.parent)


def _sides(
    corpus: str | None, protocol: str | None, train: str | None, test: str | None
) -> tuple[list[str], list[str]]:
    """The corpora to train on and those to test; none to test where a protocol says whom."""
    within, between = (corpus, protocol), (train, test)
    if all(within) and not any(between):
        return _names(str(corpus)), []
    if not all(between) or any(within):
        raise ParamsError(
            "Give --corpus and --protocol, to test each speaker of a corpus once, or --train and "
            "--test, to train on some corpora and test others."
        )
    trained, tested = _names(str(train)), _names(str(test))
    for name in tested:
        if name in trained:
            raise ParamsError(
                f"{name} stands in --train and in --test. For a score within one corpus: `ser "
                f"benchmark --corpus {name} --protocol grouped-kfold`."
            )
    return trained, tested


def _designs(
    home: Path, params: Any, trained: list[str], tested: list[str]
) -> Sequence[tuple[list[str], Design]]:
    """The options that ask for each design, and the design; all are checked before one is run."""
    from ser.benchmark.designs import between, within

    if not tested:
        words = ["--corpus", ",".join(params.data.corpora), "--protocol", params.split.protocol]
        return [(words, within(home, params))]
    return [
        (
            ["--train", ",".join(trained), "--test", name],
            between(home, params, train=trained, test=name),
        )
        for name in tested
    ]


def _names(words: str) -> list[str]:
    """The names in `A,B`, each once."""
    names = [name for part in words.split(",") if (name := part.strip())]
    if not names:
        raise ParamsError(f"{words!r} names nothing; expected names with commas between: A,B.")
    return list(dict.fromkeys(names))


def _pair(words: str) -> tuple[str, str]:
    """`calm=neutral` as two emotions."""
    old, equals, new = (part.strip() for part in words.partition("="))
    if not old or not equals or not new:
        raise ParamsError(f"--merge {words}: expected OLD=NEW, such as calm=neutral.")
    return old, new


def _params(
    root: Path,
    *,
    corpora: Sequence[str],
    protocol: str | None,
    model: str,
    enrolled: bool,
    labels: dict[str, Any],
    sets: Sequence[str],
) -> Any:
    """params.yaml, with the values of the command line."""
    from ser.params import MODELS, ModelParams, load_params, parse_params

    values = json.loads(load_params(root / "params.yaml").model_dump_json())
    for words in sets:
        _set(values, words)
    values["data"]["corpora"] = list(corpora)
    values["data"]["labels"] |= labels
    # Of corpora against another one, no protocol says who is tested.
    values["split"] |= {"protocol": protocol or "holdout", "fold": 1}
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
