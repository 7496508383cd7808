"""`ser serve`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser.errors import SerError
from ser.io.tracking.address import VARIABLE, sqlite_file
from ser.project import find_root

if TYPE_CHECKING:
    from ser.params.server import ServeParams
    from ser.params.timeline import TimelineParams


def serve(
    model: Annotated[
        Path | None,
        typer.Option(help="A bundle's folder; default: the champion, and each one after it."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; all: 0.0.0.0.")] = None,
    port: Annotated[int | None, typer.Option(help="0: any that is free.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that predict; default: one for each core.")
    ] = None,
) -> None:
    """Serve the champion: REST, live streams and a page, until Ctrl-C (`make serve`).

    A new champion takes over by itself, without a failed request. Everything else stands in the
    section `serve` of params.yaml, and in the environment: SER_SERVE__LIMITS__MAX_SECONDS goes
    before serve.limits.max_seconds. SER_SERVE_TOKEN is the token that requests must carry.
    """
    from ser.serve.server import ServeError, serve

    project = find_root()
    # With an MLflow server no project is needed: its bundles are kept in this folder.
    root = project or (Path.cwd() if sqlite_file(Path.cwd()) is None else None)
    if root is None and model is None:
        raise ServeError(
            f"{Path.cwd()} is in no project, so there is no champion; cd to one, or name --model, "
            f"or an MLflow server with {VARIABLE}."
        )
    if model is not None and not model.is_dir():
        raise SerError(f"{model} is no folder; name a bundle's.")
    given = {"host": host, "port": port, "workers": workers}
    params, timeline = _params(
        project, {key: value for key, value in given.items() if value is not None}
    )

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    # The server stops in order by itself, and then lets the signal end the process.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    serve(params, timeline, root=root, bundle=model, tell=tell)


def _params(project: Path | None, options: dict[str, Any]) -> tuple[ServeParams, TimelineParams]:
    """Options go before the environment, that before params.yaml."""
    from ser.params import Params, load_params, parse_params
    from ser.params.overrides import from_environment, set_value

    params = load_params(project / "params.yaml") if project else Params()
    values: dict[str, Any] = {"serve": params.serve.model_dump()}
    for name, value in from_environment(os.environ, "serve"):
        set_value(values, name, value)
    values["serve"] |= options
    return parse_params(values, source="ser serve").serve, params.timeline
