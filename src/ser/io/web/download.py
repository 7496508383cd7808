"""Files from the web: resumed after a cut, tried again, checked before they take their place."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import httpx
from tqdm import tqdm

from ser.errors import FetchError
from ser.io.web.partial import Part, Progress, Remote, validator
from ser.io.web.requests import PATIENCE, Patience, Pause, open_client, opened

#: Bytes that a download of unknown size may have.
MAX_BYTES = 64 * 2**30
THREADS = 8


def download_all(
    files: Sequence[Remote], *, doing: str, threads: int = THREADS, patience: Patience = PATIENCE
) -> list[Path]:
    """Fetch several files at once, under one progress bar; the first failure stops the others.

    Each comes by way of `dest.part`, which a later call goes on with. A `dest` that is there and
    fits size and hashes is not fetched again. Raises FetchError.
    """
    sizes = [file.size for file in files if file.size is not None]
    total = sum(sizes) if len(sizes) == len(files) else None
    stop = threading.Event()
    with (
        open_client(patience) as client,
        tqdm(total=total, desc=doing, unit="B", unit_scale=True, disable=None) as bar,
        ThreadPoolExecutor(max_workers=max(1, min(threads, len(files)))) as pool,
    ):

        def progress(count: int) -> None:
            if stop.is_set():
                raise FetchError(f"{doing} was stopped; what came is kept.")
            bar.update(count)

        patience = replace(patience, sleep=patience.sleep or stop.wait)
        jobs = [pool.submit(_download, file, progress, patience, client) for file in files]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [file.dest for file in files]


def _download(file: Remote, progress: Progress, patience: Patience, client: httpx.Client) -> None:
    """`progress` is called with each count of bytes, a negative one to fetch them anew."""
    try:
        if file.dest.exists() and file.mismatch(file.dest) is None:
            progress(file.dest.stat().st_size)
            return
        file.dest.parent.mkdir(parents=True, exist_ok=True)
        part = Part(file, progress)
        _check_room(part)
        wrong = _complete(part, patience, client)
        if wrong and part.resumed:
            # What was here may be of another edition, or torn by a power cut.
            part.drop()
            wrong = _complete(part, patience, client)
        if wrong:
            part.drop()
            raise FetchError(
                f"{file.url}: {wrong} Nothing of it is kept. Fetch again; if it stays so, the "
                "publisher changed the file."
            )
        part.finish()
    except OSError as error:
        raise FetchError(
            f"{error.filename or file.dest} could not be written ({error.strerror or error}). "
            "Make room or give access, then fetch again: it goes on where it stopped."
        ) from error


def _complete(part: Part, patience: Patience, client: httpx.Client) -> str | None:
    """Bring the part to its full length; what `Remote.mismatch` then finds."""
    failures, furthest = 0, part.size
    while True:
        try:
            _attempt(part, client)
            return part.file.mismatch(part.path)
        except Pause as pause:
            # An attempt that got further than all before it is no failure.
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            patience.wait(failures, pause, part.file.url)


def _attempt(part: Part, client: httpx.Client) -> None:
    """One request for what the part lacks; raises Pause where another one may succeed."""
    file = part.file
    if part.size == file.size:
        part.path.touch()
        return
    headers = part.range_headers()
    with opened(client, file.url, headers=headers) as response:
        if response.status_code == httpx.codes.PARTIAL_CONTENT and headers:
            _check_continues(part, response)
            part.resumed = True
        elif response.status_code == httpx.codes.OK:
            # The first request, a server that ignores ranges, or content that changed.
            part.begin(response)
        else:
            part.drop()
            raise Pause(f"the server answered {response.status_code} to a request for the rest")
        _check_promise(part, response)
        _take(part, response)
    expected = part.total if file.size is None else file.size
    if expected is not None and part.size < expected:
        raise Pause(f"it broke off after {part.size:,} of {expected:,} bytes")


def _take(part: Part, response: httpx.Response) -> None:
    limit = next((n for n in (part.file.size, part.total) if n is not None), MAX_BYTES)
    with part.path.open("ab") as sink:
        for chunk in response.iter_raw():
            if part.size + len(chunk) > limit:
                part.drop()
                raise FetchError(f"{part.file.url} sends over {limit:,} bytes; refused.")
            sink.write(chunk)
            part.grow(len(chunk))


def _check_continues(part: Part, response: httpx.Response) -> None:
    start, total = _content_range(response)
    other = validator(response)
    same = not other or not part.validator or other == part.validator
    if start != part.size or not same or total not in (None, part.total or total):
        part.drop()
        raise Pause("the server answered with another part or edition of the file")


def _check_promise(part: Part, response: httpx.Response) -> None:
    url, size, total = part.file.url, part.file.size, part.total
    if response.headers.get("Content-Encoding", "identity") != "identity":
        part.drop()
        raise FetchError(f"{url} comes packed although plain bytes were asked for; refused.")
    if size is not None and total is not None and total != size:
        part.drop()
        kind = response.headers.get("Content-Type", "unknown content")
        raise FetchError(
            f"{url} has {total:,} bytes ({kind}), expected {size:,}: another edition, or a page "
            "instead of the file. Look at it in a browser."
        )


def _check_room(part: Part) -> None:
    folder, size = part.path.parent, part.file.size
    if size is None:
        return
    free = shutil.disk_usage(folder).free
    if free < size - part.size:
        raise FetchError(
            f"{folder} has room for {free:,} bytes; {part.file.dest.name} needs "
            f"{size - part.size:,} more. Make room, then fetch again."
        )


def _content_range(response: httpx.Response) -> tuple[int, int | None]:
    """First byte and total of `bytes 5-99/100`; -1 where it makes no sense."""
    header = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", header)
    if found is None:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])
