"""What commands that ask a model share, and what `ser predict` prints and logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ser.core.utterance.formats import AUDIO_FORMATS, is_audio
from ser.errors import AudioError
from ser.output import (
    INTERRUPTED,
    SOME_FAILED,
    count_of,
    end_silently,
    one_line,
    print_error,
)
from ser.project import find_root

if TYPE_CHECKING:
    from ser.api import Model
    from ser.io.audio.take import Answered
    from ser.io.storage.traffic import TrafficLog
    from ser.predictor import Prediction

Form = Literal["text", "json", "json lines"]
ModelOption = Annotated[
    str | None,
    typer.Option(help="A bundle's folder or models:/emotion-recognition/3; default: the champion."),
]


@contextmanager
def ended_by_a_person() -> Iterator[None]:
    """Ctrl-C, or a reader of stdout that has left, ends the command with its exit status."""
    try:
        yield
    except KeyboardInterrupt:
        print_error("interrupted; what is printed stands.")
        end_silently()
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        end_silently()
        raise typer.Exit(SOME_FAILED) from None


def print_answers(
    files: Sequence[Path],
    answers: Iterable[Prediction | AudioError],
    *,
    form: Form,
) -> int:
    """Print each prediction as soon as it is made; returns how many recordings have none.

    json : an array on stdout, with errors in it. text, json lines : errors on stderr.
    """
    failed = 0
    names = [one_line(str(file)) for file in files]
    width = max(map(len, names), default=0)
    for place, (file, answer) in enumerate(zip(files, answers, strict=True)):
        failed += isinstance(answer, AudioError)
        if form == "json":
            text = json.dumps(_as_dict(file, answer), indent=2)
            print("[" if place == 0 else ",", *text.splitlines(), sep="\n  ", end="")
        elif isinstance(answer, AudioError):
            print_error(answer.of(file))
        elif form == "json lines":
            print(json.dumps(_as_dict(file, answer)))
        else:
            print(_text(f"{names[place]:<{width}}", answer))
        sys.stdout.flush()
    if form == "json":
        print("\n]" if files else "[]")
    return failed


def recordings_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are named, and those in folders; raises AudioError of a folder without any."""
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if is_audio(p) and p.is_file())
            if not found:
                raise AudioError("holds no recordings", AUDIO_FORMATS, file=str(path))
            yield from found
        else:
            yield path


@contextmanager
def logged(answers: Iterable[Answered], model: Model) -> Iterator[Iterable[Answered]]:
    """The answers, each logged as it is taken; at the end a line on stderr says where."""
    from ser.io.storage.traffic import VARIABLE, open_traffic
    from ser.params import Params, load_params

    root = find_root()
    params = (load_params(root / "params.yaml") if root else Params()).serve.traffic
    # Asked for on the command line, it is on.
    wanted = params.model_copy(update={"enabled": True})
    log = open_traffic(wanted, root=root or Path.cwd())
    if log is None:
        print(f"nothing is logged: {VARIABLE} is off.", file=sys.stderr)
        yield answers
        return
    try:
        yield _each_logged(answers, model, log)
    finally:
        log.close()
        dropped = f"; {log.dropped} could not be written" if log.dropped else ""
        where = one_line(str(log.folder))
        print(f"logged: {count_of(log.written, 'answer')} in {where}{dropped}.", file=sys.stderr)


def _each_logged(answers: Iterable[Answered], model: Model, log: TrafficLog) -> Iterator[Answered]:
    from ser.monitoring.traffic import row_of

    for one in answers:
        if not isinstance(one.prediction, AudioError):
            log.add(
                row_of(
                    one.prediction,
                    one.summary,
                    time=datetime.now(UTC),
                    source="predict",
                    interface="batch",
                    served=model.served,
                    latency_ms=one.latency_ms,
                )
            )
        yield one


def _as_dict(file: Path, answer: Prediction | AudioError) -> dict[str, object]:
    if isinstance(answer, AudioError):
        return {"file": str(file), "error": str(answer.of(file))}
    return {"file": str(file), **asdict(answer)}


def _text(name: str, answer: Prediction) -> str:
    """Emotion, confidence, file, then the others by size, a bar after the set.

    Where the model abstains, the reason stands in the emotion's place, and a sentence below.
    """
    by_size = sorted(answer.posteriors.items(), key=lambda item: -item[1])
    words = [f"{emotion} {p:.2f}" for emotion, p in by_size]
    if refused := answer.abstention:
        line = f"{refused.reason:<15}  {name}  {'  '.join(words)}".rstrip()
        return f"{line}\n  {one_line(refused.detail)}"
    words.insert(len(answer.candidates), "|")
    return f"{answer.emotion:<9}  {answer.confidence:.2f}  {name}  {'  '.join(words[1:])}"
