"""The body of a request, in memory only: refused as soon as it is too large or too slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from ser.params.server import LimitsParams
from ser.serve.interfaces.problems import Problem

MULTIPART = "multipart/form-data"
#: Parts of a form, characters of a text field, and bytes of a form beside its files.
MOST_PARTS, MOST_TEXT, FRAMING = 32, 2**16, 2**16
RAW_TYPES = ("audio/", "video/", "application/octet-stream", "application/ogg")


class Sink(Protocol):
    """Where the bytes of a file go."""

    def extend(self, data: bytes, /) -> None: ...

    def __len__(self) -> int: ...


class Counter(Protocol):
    """Where the bytes of a body are counted as they come."""

    size: int

    def add(self, size: int) -> None:
        """Raises Problem where they are too many."""


F = TypeVar("F", bound=Sink)


@dataclass(frozen=True)
class Bounds:
    """Of a body: bytes of a file, and seconds in which all of it must be there."""

    bytes: int
    seconds: float

    @classmethod
    def of(cls, limits: LimitsParams) -> Bounds:
        return cls(round(limits.max_megabytes * 2**20), limits.body_seconds)


@dataclass
class Form(Generic[F]):
    """files : the bytes of each file by its field's name; texts : the other fields."""

    files: dict[str, list[F]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def one_file(self, name: str) -> F | None:
        found = self.files.get(name, [])
        if len(found) > 1:
            raise Problem("bad_request", f"Found {len(found)} parts {name}; expected one.")
        return found[0] if found else None


async def read_form(request: Request, limits: LimitsParams, upload: Counter) -> Form[bytearray]:
    """`form_of`, in memory, within the limits of predictions."""
    return await form_of(request, Bounds.of(limits), upload, bytearray)


async def form_of(
    request: Request, bounds: Bounds, upload: Counter, new_file: Callable[[], F]
) -> Form[F]:
    """The form in a multipart body; a body of audio is the file `file` of such a form.

    new_file : what takes the bytes of a file. Raises Problem: too_large, body_timeout, overloaded,
    unsupported_media_type, bad_request.
    """
    most = bounds.bytes
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    media = kind.decode("latin-1").lower()
    multipart = media == MULTIPART
    if media and not multipart and not media.startswith(RAW_TYPES):
        raise Problem(
            "unsupported_media_type",
            f"The body is {media[:80]!r}; expected multipart/form-data with a part `file`, or "
            "audio/… with the recording alone.",
            close=True,
        )
    bound = most + (FRAMING if multipart else 0)
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > bound:
        raise _too_large(most)
    chunks = _chunks(request, bound, upload, bounds)
    if multipart:
        return await _multipart(chunks, options.get(b"boundary"), most, new_file)
    data = new_file()
    async for chunk in chunks:
        data.extend(chunk)
    return Form({"file": [data]})


async def _chunks(
    request: Request, bound: int, upload: Counter, bounds: Bounds
) -> AsyncIterator[bytes]:
    try:
        async with asyncio.timeout(bounds.seconds):
            async for chunk in request.stream():
                upload.add(len(chunk))
                if upload.size > bound:
                    raise _too_large(bounds.bytes)
                yield chunk
    except TimeoutError:
        raise Problem(
            "body_timeout",
            f"The body was not there after {bounds.seconds:g} s; send it faster.",
            close=True,
        ) from None
    except ClientDisconnect:
        raise Problem("bad_request", "The client left.", close=True) from None


async def _multipart(
    chunks: AsyncIterator[bytes], boundary: bytes | None, most: int, new_file: Callable[[], F]
) -> Form[F]:
    if not boundary:
        raise Problem("bad_request", "The form has no boundary in its content type.", close=True)
    parts = _Parts(most, new_file)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise Problem(
            "bad_request", f"The form cannot be read ({str(error)[:120]}).", close=True
        ) from error
    if not parts.ended:
        raise Problem("bad_request", "The form breaks off before its last boundary.", close=True)
    return parts.form


class _Parts(Generic[F]):
    """Gathers a form's parts as the parser finds them."""

    def __init__(self, most: int, new_file: Callable[[], F]) -> None:
        self.form: Form[F] = Form()
        self.most, self.ended, self._count = most, False, 0
        self._new_file = new_file
        self._begin()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data_came,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._header, self._value = bytearray(), bytearray()
        self._disposition, self._name = b"", ""
        self._file: F | None = None
        self._text = bytearray()

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise Problem("bad_request", f"The form has more than {MOST_PARTS} parts.", close=True)
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        # What the file is called is nobody's business: it is not kept.
        if b"filename" in options or self._name in ("file", "clips"):
            self._file = self._new_file()
        if not self._name:
            raise Problem("bad_request", "A part of the form has no name.", close=True)

    def _data_came(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.extend(data[start:end])
            if len(self._file) > self.most:
                raise _too_large(self.most)
            return
        self._text += data[start:end]
        if len(self._text) > MOST_TEXT:
            raise Problem("bad_request", f"The field {self._name[:40]!r} is too long.", close=True)

    def _part_end(self) -> None:
        if self._file is not None:
            self.form.files.setdefault(self._name, []).append(self._file)
        else:
            self.form.texts[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


def _too_large(most: int) -> Problem:
    return Problem(
        "too_large",
        f"The recording has more than {most / 2**20:g} MiB; send a shorter one, or FLAC.",
        close=True,
    )
