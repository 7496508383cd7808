"""`ser …`: what a person types. Translates words to calls, results and errors to lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ser import __version__
from ser.corpora.base import AUDIO_FORMATS, is_audio
from ser.errors import AudioError, RegistryError, SerError

#: Exit statuses: every file answered, some file failed, nothing could be done.
SOME_FAILED, USER_ERROR = 1, 2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Speech emotion recognition: predict, manage corpora, choose what serves. "
    "`make run` trains; `--debug` with any command shows tracebacks.",
)
corpus_app = typer.Typer(no_args_is_help=True, help="Corpora of emotional speech.")
app.add_typer(corpus_app, name="corpus")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help=f"Recordings ({AUDIO_FORMATS}), or folders.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="A bundle's folder or models:/emotion-recognition/3; default: the champion."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array on stdout.")] = False,
) -> None:
    """Perceived emotion of each recording, with all posteriors.

    A file that fails does not stop the others; the exit status is then 1.
    """
    from ser.bundle import load_bundle
    from ser.predictor import Predictor

    recordings = list(_recordings(files))
    predictor = Predictor(load_bundle(_bundle_dir(model)))
    answers = [_answer(predictor, file) for file in recordings]
    if as_json:
        print(json.dumps(answers, indent=2))
    else:
        _print_answers([a for a in answers if "error" not in a])
        for answer in answers:
            if "error" in answer:
                print(f"error: {answer['error']}", file=sys.stderr)
    if any("error" in answer for answer in answers):
        raise typer.Exit(SOME_FAILED)


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="Number of the registered version.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "promoted by hand",
) -> None:
    """Make a registered version the champion, past the gate."""
    from ser.io import registry

    root = _root()
    registry.promote(root, registry.get_version(root, version), reason=reason)
    print(f"Version {version} is the champion.")


@app.command("roll-back")
def roll_back(
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "rolled back by hand",
) -> None:
    """Give the champion's place back to its predecessor."""
    from ser.io import registry

    print(f"Version {registry.roll_back(_root(), reason=reason).version} is the champion again.")


@app.command()
def version() -> None:
    """This release."""
    print(__version__)


@corpus_app.command("list")
def corpus_list() -> None:
    """Corpora that can be read, and which are here."""
    from rich.console import Console
    from rich.table import Table

    from ser.corpora.catalogue import CORPORA

    root = _root()
    table = Table("corpus", "here", "utterances", "speakers", "licence", "title", box=None)
    for corpus in CORPORA.values():
        here = (root / "data" / "raw" / corpus.name).is_dir()
        count = str(corpus.utterances)
        speakers = str(corpus.speakers)
        row = [corpus.name, "yes" if here else "no", count, speakers, corpus.licence, corpus.title]
        table.add_row(*row)
    Console().print(table)


@corpus_app.command("add")
def corpus_add(
    name: Annotated[str, typer.Argument(help="Which corpus it is, e.g. ravdess.")],
    path: Annotated[Path, typer.Argument(help="Its folder, or its ZIP or TAR archive.")],
) -> None:
    """Copy a corpus that you have into data/raw, and put it under DVC."""
    from ser.corpora.catalogue import corpus_named
    from ser.io import dvc
    from ser.io.ingest import ingest

    root, corpus = _root(), corpus_named(name)
    print(f"{corpus.title}. Licence: {corpus.licence}. {corpus.citation}")
    dest = Path("data/raw") / name
    count = ingest(path, root / dest, corpus)
    dvc.add(root, dest)
    print(f"{count} recordings in {dest}, tracked by {dest}.dvc.")
    if count != corpus.utterances:
        print(f"The corpus as published has {corpus.utterances}.")
    print(f"Next: set data.corpora: [{name}] in params.yaml, then `make run`.")


def main() -> None:
    """Entry point: a SerError is one line and exit status 2, a traceback only with --debug."""
    debug = "--debug" in sys.argv or bool(os.environ.get("SER_DEBUG"))
    sys.argv = [a for a in sys.argv if a != "--debug"]
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        app()
    except SerError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)


def _root() -> Path:
    """The project that the current folder belongs to."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise SerError(f"{here} is in no project: no params.yaml and dvc.yaml here or above. cd there.")


def _bundle_dir(model: str | None) -> Path:
    from ser.io import registry

    if model is None or model.startswith("models:"):
        return registry.fetch_bundle(_root(), model)
    if not Path(model).is_dir():
        raise RegistryError(
            f"--model {model} is neither a folder nor a registry URI such as "
            "models:/emotion-recognition@champion."
        )
    return Path(model)


def _recordings(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if is_audio(p) and p.is_file())
            if not found:
                raise AudioError(f"{path} holds no recordings ({AUDIO_FORMATS}).")
            yield from found
        else:
            yield path


def _answer(predictor: Any, file: Path) -> dict[str, Any]:
    from ser.io.audio import load_audio

    sr = predictor.bundle.features.sr
    try:
        return {
            "file": str(file),
            **asdict(predictor.predict(load_audio(file, sr=sr), sr=sr)),
        }
    except AudioError as error:
        message = str(error)
        return {
            "file": str(file),
            "error": message if str(file) in message else f"{file}: {message}",
        }


def _print_answers(answers: list[dict[str, Any]]) -> None:
    """A line a file: emotion, confidence, file, then the other posteriors, largest first."""
    width = max((len(a["file"]) for a in answers), default=0)
    for answer in answers:
        others = sorted(answer["posteriors"].items(), key=lambda item: -item[1])[1:]
        rest = "  ".join(f"{emotion} {p:.2f}" for emotion, p in others)
        best = f"{answer['emotion']:<9}  {answer['confidence']:.2f}"
        print(f"{best}  {answer['file']:<{width}}  {rest}".rstrip())


if __name__ == "__main__":
    main()
