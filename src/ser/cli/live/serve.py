"""`ser serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ser.errors import SerError
from ser.project import find_root


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
    section `serve` of params.yaml; SER_SERVE_TOKEN in the environment is the token that requests
    must carry.
    """
    from ser.params import Params, load_params
    from ser.serve.server import ServeError, serve

    root = find_root()
    if root is None and model is None:
        raise ServeError(
            f"{Path.cwd()} is in no project, so there is no champion; cd to one, or name --model."
        )
    if model is not None and not model.is_dir():
        raise SerError(f"{model} is no folder; name a bundle's.")
    params = (load_params(root / "params.yaml") if root else Params()).serve
    given = {"host": host, "port": port, "workers": workers}
    chosen = {name: value for name, value in given.items() if value is not None}
    params = type(params).model_validate({**params.model_dump(), **chosen})

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    serve(params, root=root, bundle=model, tell=tell)
