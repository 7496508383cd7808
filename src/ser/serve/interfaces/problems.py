"""Errors as clients see them: `{type, code, message, request_id}`."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

#: Status and type of each code.
KINDS = {
    "bad_request": (400, "invalid_request"),
    "invalid_host": (400, "invalid_request"),
    "unauthorized": (401, "unauthorized"),
    "forbidden_origin": (403, "forbidden"),
    "consent_required": (403, "forbidden"),
    "corrections_off": (403, "forbidden"),
    "not_found": (404, "not_found"),
    "method_not_allowed": (405, "invalid_request"),
    "body_timeout": (408, "timeout"),
    "no_enrolment": (409, "conflict"),
    "profile_refused": (409, "conflict"),
    "too_large": (413, "too_large"),
    "unsupported_media_type": (415, "unsupported"),
    "unsupported_format": (415, "unsupported"),
    "empty_audio": (422, "unfit_audio"),
    "too_long_audio": (422, "unfit_audio"),
    "refused_audio": (422, "unfit_audio"),
    "cancelling_channels": (422, "unfit_audio"),
    "corrupt_audio": (422, "unfit_audio"),
    "unfit_audio": (422, "unfit_audio"),
    "invalid_parameters": (422, "invalid_request"),
    "overloaded": (429, "overloaded"),
    "internal_error": (500, "internal"),
    "no_model": (503, "unavailable"),
    "stopping": (503, "unavailable"),
    "inbox_full": (507, "unavailable"),
}
#: Seconds after which a client that was refused may try again.
RETRY_AFTER = 1
INTERNAL_MESSAGE = "A fault of the server; its log has the request_id."


class Problem(Exception):
    """A request that is refused. close : also its connection, whose rest is not read."""

    def __init__(self, code: str, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.close = code, message, close

    @property
    def status(self) -> int:
        return KINDS[self.code][0]

    def response(self, request_id: str) -> JSONResponse:
        status, kind = self.status, KINDS[self.code][1]
        headers = {"Connection": "close"} if self.close else {}
        if status in (429, 503):
            headers["Retry-After"] = str(RETRY_AFTER)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(request_id, kind), status, headers)

    def body(self, request_id: str, kind: str | None = None) -> dict[str, Any]:
        return {
            "type": kind or KINDS[self.code][1],
            "code": self.code,
            "message": self.message,
            "request_id": request_id,
        }
