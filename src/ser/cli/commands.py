"""`ser`: predict, choose what serves, and the entry point of all commands."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ser import __version__
from ser.cli import own
from ser.cli.answers import (
    Form,
    ModelOption,
    ended_by_a_person,
    logged,
    print_answers,
    recordings_in,
)
from ser.cli.benchmark import benchmark
from ser.cli.compiled import compiled_code_kept
from ser.cli.corpus import corpus_app
from ser.cli.insight.doctor import doctor
from ser.cli.insight.explain import explain
from ser.cli.insight.plot import plot
from ser.cli.insight.report import report
from ser.cli.insight.stress import stress
from ser.cli.insight.timeline import timeline
from ser.cli.live.serve import serve
from ser.cli.live.stream import stream
from ser.cli.registry.drift import drift
from ser.cli.registry.lineage import lineage
from ser.cli.registry.verdict import verdict
from ser.cli.registry.versions import history, promote, roll_back, versions
from ser.cli.start import PASSED_ON, down, notify, reproduce, run, status, ui, up, worker
from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import SerError, way_out
from ser.files import no_room
from ser.output import (
    INTERRUPTED,
    SOME_FAILED,
    USER_ERROR,
    end_silently,
    escape_unencodable,
    one_line,
    print_error,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Speech emotion recognition: predict, manage corpora, choose what serves. "
    "`ser run` trains; `--debug` with any command shows tracebacks.",
)
#: Headings of `ser --help`.
ASK, DATA, MODELS, REGISTRY, MACHINE = (
    "Ask a model",
    "Recordings",
    "Train, compare, look into a model",
    "What serves",
    "This machine",
)
# "-1" is a number, and no option: the registry says which versions there are.
NUMBERS = {"ignore_unknown_options": True}
PLAIN: dict[str, tuple[Callable[..., None], ...]] = {
    ASK: (timeline, stream, explain, serve),
    DATA: (plot,),
    MODELS: (benchmark, stress, report),
    REGISTRY: (versions, verdict, drift, history, lineage),
    MACHINE: (doctor,),
}
STARTS: dict[str, tuple[Callable[..., None], ...]] = {
    MODELS: (run, reproduce),
    MACHINE: (up, down, status, notify, ui, worker),
}
for _heading, _commands in PLAIN.items():
    for _command in _commands:
        app.command(rich_help_panel=_heading)(_command)
app.add_typer(corpus_app, name="corpus", rich_help_panel=DATA)
app.command(context_settings=NUMBERS, rich_help_panel=REGISTRY)(promote)
app.command("roll-back", context_settings=NUMBERS, rich_help_panel=REGISTRY)(roll_back)
for _heading, _commands in STARTS.items():
    for _command in _commands:
        app.command(context_settings=PASSED_ON, rich_help_panel=_heading)(_command)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print this release."
        ),
    ] = False,
) -> None:
    """Options that stand before any command."""


@app.command(rich_help_panel=ASK)
def predict(
    files: Annotated[list[Path], typer.Argument(help=f"Recordings ({AUDIO_FORMATS}), or folders.")],
    model: ModelOption = None,
    enrol: Annotated[
        Path | None,
        typer.Option(
            help="Enrolment clips: a folder of other recordings of the speaker, unlabelled, best "
            "in various moods; for a model that was trained with model.enrolled."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array on stdout.")] = False,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="A JSON object a line, one for each recording.")
    ] = False,
    log: Annotated[
        bool,
        typer.Option(
            "--log",
            help="Log the answers, as figures without audio or names, in data/traffic, or in the "
            "folder that SER_TRAFFIC names (docs/howto/traffic-log.md).",
        ),
    ] = False,
) -> None:
    """Perceived emotion of each recording, with all posteriors.

    The emotions left of the bar hold the true one as often as calibrate.coverage asks.
    A file that fails does not stop the others; the exit status is then 1.
    """
    from threadpoolctl import threadpool_limits

    from ser.api import load
    from ser.interrupts import interrupted_between

    def left_out(why: str) -> None:
        print(f"left out: {one_line(why)}", file=sys.stderr)

    recordings = list(recordings_in(files))
    loaded = load(model)
    voice = loaded.enrol(recordings_in([enrol]), on_left_out=left_out) if enrol else None
    if sys.stderr.isatty() and not (as_json or json_lines):
        print("Emotions before | are the candidates for the true one.", file=sys.stderr)
    form: Form = "json" if as_json else "json lines" if json_lines else "text"
    # An interrupt amid joblib's own work ends in tracebacks of its threads.
    answers = interrupted_between(loaded.answer_all(recordings, voice=voice))
    # A second thread gains nothing on a clip, and is in the way of the processes that extract.
    with (
        threadpool_limits(None if loaded.predictor.bundle.encoder else 1),
        logged(answers, loaded) if log else nullcontext(answers) as given,
        ended_by_a_person(),
    ):
        failed = print_answers(recordings, (one.prediction for one in given), form=form)
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command(rich_help_panel=DATA)
def audit(
    path: Annotated[Path, typer.Argument(help="A folder of labelled recordings.")],
    corpus: Annotated[
        str | None, typer.Option(help="The corpus they are of; default: by their names.")
    ] = None,
    measure: Annotated[
        bool, typer.Option(help="Score a random split against one by speakers.")
    ] = True,
    table: own.Table = None,
    columns: own.Columns = None,
    mapping: own.Mapping = None,
    pattern: own.Pattern = None,
    drop_unlisted: own.DropUnlisted = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")] = False,
) -> None:
    """Look recordings over before anything is trained: copies, labels, what cannot be read.

    Shows also by how much a random split, with speakers on both sides, raises the score.

    The exit status is 1 where a recording is there twice or cannot be read.
    """
    from ser.audit import audit_folder, lines

    if not os.path.isdir(path):
        raise SerError(f"{path} is not a folder; name the one that holds the recordings.")
    described = own.described(table, columns, mapping, pattern, drop_unlisted)
    found = audit_folder(path, corpus=corpus, described=described, measure=measure)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print("\n".join(map(one_line, lines(found))))
    if not found.is_clean:
        raise typer.Exit(SOME_FAILED)


def _paragraphs(text: str) -> str:
    """
    >>> _paragraphs("One\\ntwo.\\n\\nThree.")
    'One two.\\n\\nThree.'
    """
    return "\n\n".join(part.replace("\n", " ") for part in text.split("\n\n"))


# Typer keeps a docstring's own line breaks in all paragraphs but the first.
for _one in (*app.registered_commands, *corpus_app.registered_commands):
    _one.help = _paragraphs(inspect.getdoc(_one.callback) or "")


def main() -> None:
    """Entry point: a SerError is one line and exit status 2, a traceback only with --debug."""
    escape_unencodable()
    if "--debug" in sys.argv:
        # Also for what a command starts.
        os.environ["SER_DEBUG"] = "1"
    debug = bool(os.environ.get("SER_DEBUG"))
    # A plain `kill` goes the way of Ctrl-C, which is held off where it must not interrupt.
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.argv = [a for a in sys.argv if a != "--debug"]
    # torch would keep compiled code for each of 1,024 lengths of recordings: 100 MB.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
    try:
        with compiled_code_kept():
            try:
                app()
            finally:
                # Python itself would say in a traceback that stdout is full.
                sys.stdout.flush()
    except KeyboardInterrupt:
        if debug:
            raise
        print_error("interrupted.")
        sys.exit(INTERRUPTED)
    except SerError as error:
        if debug:
            raise
        # Paths as they were typed.
        print_error(str(error).replace(f"{Path.cwd()}{os.sep}", ""))
        sys.exit(USER_ERROR)
    except BrokenPipeError:
        raise
    except OSError as error:
        if debug:
            raise
        what = error.filename or "What is printed"
        why = error.strerror or str(error)
        remedy = way_out(error) or "Mend that, then try again."
        print_error(f"{what} cannot be written or read ({why}). {remedy}")
        # Python would try once more to write what is left.
        end_silently()
        sys.exit(USER_ERROR)
    except Exception as error:
        # Not every library says by an OSError that it could not write.
        if debug or not (full := no_room(error, Path.cwd())):
            raise
        print_error(full)
        sys.exit(USER_ERROR)
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
