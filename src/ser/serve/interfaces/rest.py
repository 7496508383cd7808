"""REST: predict, enrol, the model's card, health, metrics."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ser.errors import AudioError
from ser.io.audio.containers import Container, sniff
from ser.io.audio.riff import holds_plain_samples
from ser.io.tracking.registry.versions import MODEL
from ser.serve.card import card_of
from ser.serve.interfaces.admission import Upload
from ser.serve.interfaces.problems import INTERNAL_MESSAGE, KINDS, Problem
from ser.serve.interfaces.schemas import (
    EnrolmentAnswer,
    ErrorAnswer,
    Health,
    ModelCard,
    PredictionAnswer,
)
from ser.serve.interfaces.uploads import read_form
from ser.serve.logs import event
from ser.serve.state import State
from ser.serve.voices import ProfileError
from ser.serve.workers.errors import INTERNAL, Unanswerable, code_of
from ser.serve.workers.generation import Served
from ser.serve.workers.pool import NoModel

#: Enrolment clips of one request.
MOST_CLIPS = 20
#: Of a decoded sample: float32.
SAMPLE_BYTES = 4
BINARY = {"type": "string", "format": "binary"}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's answers for these codes."""
    return {KINDS[code][0]: {"model": ErrorAnswer} for code in codes}


COMMON = problems(
    *("bad_request", "unauthorized", "forbidden_origin", "body_timeout", "too_large"),
    *("unsupported_media_type", "corrupt_audio", "overloaded", "internal_error", "no_model"),
)


def body(fields: dict[str, Any], *, raw: bool, required: tuple[str, ...]) -> dict[str, Any]:
    """OpenAPI's request body: a form, and where `raw` also the recording alone."""
    form = {"type": "object", "properties": fields, "required": list(required)}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if raw:
        content |= {kind: {"schema": BINARY} for kind in ("audio/*", "application/octet-stream")}
    return {"requestBody": {"required": True, "content": content}}


def rest_routes(state: State) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/predict",
        response_model=PredictionAnswer,
        responses=COMMON | problems("profile_refused"),
        openapi_extra=body(
            {
                "file": {**BINARY, "description": "The recording, one utterance."},
                "profile": {"type": "string", "description": "Of /v1/enrol: the speaker's voice."},
            },
            raw=True,
            required=("file",),
        ),
        summary="The perceived emotion of one utterance",
    )
    async def predict(request: Request) -> Response:
        request_id, began = request.state.request_id, time.perf_counter()
        with state.admission.upload() as upload:
            form = await read_form(request, state.params.limits, upload)
            data = form.one_file("file")
            if data is None:
                raise Problem(
                    "bad_request", "The form has no part `file`; send the recording there."
                )
            read = time.perf_counter()
            with state.admission.request():
                answer = await _predicted(state, data, upload, form.texts.get("profile"))
        total = time.perf_counter() - began
        state.log_row(answer.pop("row"), seconds=total)
        answer["ms"]["total"] = round(1000 * total, 2)
        answer["request_id"] = request_id
        _measure(state, answer, body=read - began)
        return JSONResponse(answer)

    @router.post(
        "/v1/enrol",
        response_model=EnrolmentAnswer,
        responses=COMMON | problems("no_enrolment"),
        openapi_extra=body(
            {"clips": {"type": "array", "items": BINARY, "maxItems": MOST_CLIPS}},
            raw=False,
            required=("clips",),
        ),
        summary="A speaker's voice profile from unlabelled clips; nothing is stored",
    )
    async def enrol(request: Request) -> Response:
        with state.admission.upload() as upload:
            form = await read_form(request, state.params.limits, upload)
            clips = form.files.get("clips", [])
            if not 1 <= len(clips) <= MOST_CLIPS:
                raise Problem(
                    "bad_request", f"Found {len(clips)} parts `clips`; expected 1 to {MOST_CLIPS}."
                )
            with state.admission.request():
                profile, count, left_out = await enrolled(state, clips, upload)
        return JSONResponse(
            {
                "profile": profile,
                "clips": count,
                "left_out": left_out,
                "expires_seconds": state.params.profile_seconds,
                "request_id": request.state.request_id,
            }
        )

    @router.get(
        "/v1/model",
        response_model=ModelCard,
        responses=problems("unauthorized", "no_model"),
        summary="What serves, how good it is, and what it is for",
    )
    async def model() -> Response:
        if state.served is None:
            raise Problem("no_model", state.waits_for)
        return JSONResponse(card_of(state.served, state.params))

    @router.head("/health/live", include_in_schema=False)
    @router.get("/health/live", response_model=Health, summary="Whether the process answers")
    async def live() -> Response:
        return JSONResponse(Health(status="live").model_dump())

    @router.head("/health/ready", include_in_schema=False)
    @router.get(
        "/health/ready",
        response_model=Health,
        responses={503: {"model": Health}},
        summary="Whether a model is loaded and warm, and the server is not about to stop",
    )
    async def ready() -> Response:
        if state.stopping:
            found = Health(status="stopping", detail="The server stops.")
        elif state.served is None:
            found = Health(status="waiting", detail=state.waits_for)
        else:
            found = Health.model_validate({"status": "ready", "model": identity(state.served)})
        return JSONResponse(found.model_dump(), 200 if found.status == "ready" else 503)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        state.metrics.queue.set(state.pool.waiting)
        state.metrics.active.set(state.admission.active)
        state.metrics.streams.set(state.admission.streams)
        state.metrics.timelines_active.set(state.admission.timelines)
        state.metrics.traffic_dropped.set(state.traffic.dropped if state.traffic else 0)
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


def identity(served: Served) -> dict[str, Any]:
    return {
        "name": MODEL,
        "version": served.version,
        "bundle_sha256": served.bundle_sha256,
    }


async def enrolled(
    state: State, clips: list[bytearray], upload: Upload
) -> tuple[str, int, list[str]]:
    """A sealed profile, of how many clips it is, and why others are left out.

    Raises Problem where the model takes no enrolment, a clip or all of them are unfit, or all
    together are too long.
    """
    served = state.served
    if served is None:
        raise Problem("no_model", state.waits_for)
    if not served.takes_enrolment:
        raise Problem(
            "no_enrolment",
            "The model that serves was trained without enrolment (model.enrolled): send the "
            "recording without a profile.",
        )
    header, samples, seconds = [], [], 0.0
    most_seconds = state.params.limits.max_seconds
    for number, data in enumerate(clips, start=1):
        try:
            sr, y = await state.pool.decode(data)
        except Unanswerable as error:
            raise Problem(error.code, f"Clip {number}: {error.message}") from error
        # A clip of some kilobytes may hold hundreds of megabytes of samples.
        upload.add(len(y))
        seconds += len(y) / SAMPLE_BYTES / sr
        if seconds > most_seconds:
            raise Problem(
                "too_long_audio",
                f"The clips last more than {most_seconds:g} s together; send fewer.",
            )
        header.append((sr, len(y)))
        samples.append(y)
    answer, voice, served, _ = await asked(state, {"op": "enrol", "clips": header}, *samples)
    if not voice:
        raise Problem(
            "unfit_audio", f"No clip enrols the speaker. {(answer['left_out'] or [''])[0]}"
        )
    profile = state.profiles.seal(voice, bundle_sha256=served.bundle_sha256)
    return profile, answer["clips"], answer["left_out"]


def opened_voice(state: State, profile: str | None) -> bytes:
    """The voice in a profile, b"" without one; raises Problem `profile_refused`."""
    if not profile:
        return b""
    if state.served is None:
        raise Problem("no_model", state.waits_for)
    try:
        return state.profiles.open(profile, bundle_sha256=state.served.bundle_sha256)
    except ProfileError as error:
        raise Problem("profile_refused", str(error)) from error


async def asked(
    state: State, header: dict[str, Any], *payload: bytes | bytearray
) -> tuple[dict[str, Any], bytes, Served, float]:
    """A worker's answer; raises Problem."""
    try:
        return await state.pool.ask(header, *payload)
    except NoModel as error:
        if state.stopping:
            raise Problem("stopping", "The server stops; ask another one.") from error
        raise Problem("no_model", state.waits_for) from error
    except Unanswerable as error:
        if error.code != INTERNAL:
            raise Problem(error.code, error.message) from error
        event("worker_error", 40, error=error.message)
        raise Problem(INTERNAL, INTERNAL_MESSAGE) from error


async def _predicted(
    state: State, data: bytearray, upload: Upload, profile: str | None
) -> dict[str, Any]:
    if state.served is None:
        raise Problem("no_model", state.waits_for)
    voice = opened_voice(state, profile)
    header: dict[str, Any] = {"op": "predict", "voice": len(voice)}
    if voice:
        header["made_for"] = state.served.bundle_sha256
    began = time.perf_counter()
    try:
        state.pool.limits.check_bytes(len(data))
        whole = bytes(data)
        if sniff(whole) is Container.WAV and holds_plain_samples(whole):
            # Such samples need no decoder of their own.
            found = await asked(state, {**header, "kind": "file"}, data, voice)
            decoding = 0.0
        else:
            sr, samples = await state.pool.decode(data)
            decoding = time.perf_counter() - began
            upload.add(len(samples))
            found = await asked(state, {**header, "kind": "samples", "sr": sr}, samples, voice)
    except AudioError as error:
        raise Problem(code_of(error), str(error)) from error
    except Unanswerable as error:
        raise Problem(error.code, error.message) from error
    answer, _, served, waited = found
    return _as_answer(answer, served, waited=waited, decoding=decoding)


def _as_answer(
    answer: dict[str, Any], served: Served, *, waited: float, decoding: float
) -> dict[str, Any]:
    prediction, ms = answer["answer"], answer["ms"]
    return {
        "label": prediction.pop("emotion"),
        **prediction,
        "audio": answer["audio"],
        "row": answer["row"],
        "model": identity(served),
        "ms": {
            "queue": round(1000 * waited, 2),
            "decode": round(ms["decode"] + 1000 * decoding, 2),
            "features": ms["features"],
            "model": ms["model"],
        },
    }


def _measure(state: State, answer: dict[str, Any], *, body: float) -> None:
    seconds = state.metrics.seconds
    seconds.labels("body").observe(body)
    for stage, ms in answer["ms"].items():
        seconds.labels(stage).observe(ms / 1000)
    count(state, "rest", answer["label"], answer["abstention"])


def count(state: State, interface: str, label: str | None, abstention: Any) -> None:
    if label is not None:
        state.metrics.labels.labels(interface, label).inc()
    elif abstention:
        state.metrics.abstentions.labels(interface, abstention["reason"]).inc()
