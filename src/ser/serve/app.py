"""The ASGI application of a server's state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from ser import __version__
from ser.drawing import FOLDER as DRAWING
from ser.serve.interfaces.corrections import correction_routes
from ser.serve.interfaces.guard import Guard
from ser.serve.interfaces.page import STATIC, page_routes
from ser.serve.interfaces.problems import INTERNAL_MESSAGE, Problem
from ser.serve.interfaces.rest import rest_routes
from ser.serve.interfaces.stream import stream_routes
from ser.serve.interfaces.timeline import timeline_routes
from ser.serve.logs import log
from ser.serve.state import State

CODES = {404: "not_found", 405: "method_not_allowed"}
Running = Callable[[], AbstractAsyncContextManager[None]]


def create_app(state: State, running: Running) -> ASGIApp:
    """The application; `running` is entered before the first request and left after the last."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running():
            yield

    app = FastAPI(
        title="Speech emotion recognition",
        version=__version__,
        description="Perceived expression in speech, with reasons where there is no answer.",
        # Their pages load scripts of other hosts.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
    )
    app.include_router(rest_routes(state))
    app.include_router(timeline_routes(state))
    app.include_router(correction_routes(state))
    app.include_router(stream_routes(state))
    app.include_router(page_routes())
    app.mount("/static/drawing", StaticFiles(directory=DRAWING), name="drawing")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.exception_handler(Problem)
    async def refused(request: Request, problem: Problem) -> Response:
        state.metrics.rejects.labels(problem.code).inc()
        return problem.response(request.state.request_id)

    @app.exception_handler(HTTPException)
    async def known(request: Request, error: HTTPException) -> Response:
        code = CODES.get(error.status_code, "bad_request")
        return Problem(code, str(error.detail)).response(request.state.request_id)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first: Any = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = Problem("invalid_parameters", f"{place}: {first['msg']}.")
        return problem.response(request.state.request_id)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        request_id = request.state.request_id
        log.error("fault", exc_info=error, extra={"fields": {"request_id": request_id}})
        return Problem("internal_error", INTERNAL_MESSAGE).response(request_id)

    return Guard(app, state)
