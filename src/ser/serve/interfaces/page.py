"""The web page at `/`, its files under `/static`, and the colours it draws emotions in."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, JSONResponse

from ser.core.utterance.emotions import COLOURS
from ser.serve.interfaces.rest import problems

STATIC = Path(__file__).parents[1] / "static"


def page_routes() -> APIRouter:
    router = APIRouter()

    @router.head("/", include_in_schema=False)
    @router.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html")

    @router.get(
        "/v1/emotions",
        response_model=dict[str, str],
        responses=problems("unauthorized"),
        summary="Every canonical emotion, in order, with the colour of figures and pages",
    )
    async def emotions() -> Response:
        return JSONResponse(COLOURS)

    return router
