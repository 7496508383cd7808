"""A listener says what a prediction should have been; with consent, the recording is kept, too."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ser.errors import AudioError
from ser.inbox.corrections import REQUEST_ID, Inbox, InboxFull
from ser.io.audio.containers import sniff
from ser.serve.interfaces.problems import Problem
from ser.serve.interfaces.rest import BINARY, COMMON, body, problems
from ser.serve.interfaces.schemas import CorrectionAnswer, Deleted
from ser.serve.interfaces.uploads import read_form
from ser.serve.logs import event
from ser.serve.state import State
from ser.serve.workers.errors import code_of


def correction_routes(state: State) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/corrections",
        response_model=CorrectionAnswer,
        responses=COMMON | problems("consent_required", "inbox_full"),
        openapi_extra=body(
            {
                "request_id": {"type": "string", "pattern": REQUEST_ID.pattern},
                "label": {"type": "string"},
                "predicted": {"type": "string"},
                "consent": {"type": "string", "enum": ["true"]},
                "file": {**BINARY, "description": "The recording, where it may be kept."},
            },
            raw=False,
            required=("request_id", "label", "consent"),
        ),
        summary="A listener's label for a prediction; kept for a time, and deleted on request",
    )
    async def correct(request: Request) -> Response:
        inbox = _inbox(state)
        with state.admission.upload() as upload:
            form = await read_form(request, state.params.limits, upload)
            texts = form.texts
            if texts.get("consent") != "true":
                raise Problem(
                    "consent_required", "A correction is kept: send consent=true where all agree."
                )
            request_id = _request_id(state, texts.get("request_id", ""))
            emotions = state.served.classes if state.served else ()
            if texts.get("label") not in emotions:
                raise Problem(
                    "invalid_parameters", f"label is none of {', '.join(emotions)}; send one."
                )
            if texts.get("predicted", "") not in ("", *emotions):
                raise Problem(
                    "invalid_parameters", f"predicted is none of {', '.join(emotions)}; send one."
                )
            audio = form.one_file("file")
            if audio is not None:
                check_is_recording(audio)
            correction = {
                "request_id": request_id,
                "label": texts["label"],
                "predicted": texts.get("predicted") or None,
                "model_version": state.version,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            kept = bytes(audio) if audio else None
            try:
                stored = await asyncio.to_thread(inbox.store, request_id, correction, kept)
            except InboxFull as error:
                raise Problem("inbox_full", str(error)) from error
            except OSError as error:
                event("inbox_not_written", logging.ERROR, reason=str(error))
                raise Problem(
                    "inbox_full", "The inbox cannot be written; nothing is kept."
                ) from error
        return JSONResponse(
            {"request_id": request_id, "stored": stored, "delete_after_days": inbox.days}
        )

    @router.delete(
        "/v1/corrections/{request_id}",
        response_model=Deleted,
        responses=problems(
            "unauthorized", "forbidden_origin", "not_found", "invalid_parameters", "bad_request"
        ),
        summary="Delete a correction, and its recording",
    )
    async def delete(request_id: str) -> Response:
        inbox = _inbox(state)
        if not await asyncio.to_thread(inbox.delete, _request_id(state, request_id)):
            raise Problem("not_found", "No correction has this request_id.")
        return JSONResponse({"deleted": True})

    return router


def _inbox(state: State) -> Inbox:
    if state.inbox is None:
        raise Problem("corrections_off", "This server takes no corrections (serve.inbox.enabled).")
    return state.inbox


def check_is_recording(data: bytearray) -> None:
    """Raises Problem where data begin like no recording: nothing else is kept."""
    try:
        sniff(bytes(data))
    except AudioError as error:
        raise Problem(code_of(error), str(error)) from error


def _request_id(state: State, text: str) -> str:
    if not state.ids.is_own(text):
        raise Problem("invalid_parameters", "request_id is no id of this server; copy it.")
    return text
