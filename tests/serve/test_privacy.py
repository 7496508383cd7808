"""What a client sends is found nowhere afterwards."""

from __future__ import annotations

import asyncio
import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from websockets.asyncio.client import connect

from support.serving import serving

SR, REQUESTS = 16_000, 1_000
NAME = "fraulein-meiers-call.wav"


def planted(recording: Path) -> tuple[np.ndarray, list[bytes]]:
    """Speech with a stretch of noise in it, int16, and what the stretch looks like in a file."""
    y, _ = soundfile.read(recording, dtype="int16")
    mark = np.random.default_rng(5).integers(-3_000, 3_000, 512).astype("<i2")
    y[4_000 : 4_000 + mark.size] = mark
    middle = mark[100:140]
    floats = middle.astype("<f4") / 32_768
    forms = [middle.tobytes(), floats.tobytes(), floats.astype("<f8").tobytes()]
    return y, [*forms, *(base64.b64encode(form)[4:-4] for form in forms)]


def test_planted_samples_and_names_are_on_no_disk(trained, tmp_path, recordings, monkeypatch):
    y, marks = planted(recordings[0])
    found_in = tmp_path / "control.wav"
    soundfile.write(found_in, y, SR, subtype="PCM_16")
    assert any(mark in found_in.read_bytes() for mark in marks)
    found_in.unlink()
    for variable in ("TMPDIR", "HOME", "XDG_CACHE_HOME"):
        place = tmp_path / variable
        place.mkdir()
        monkeypatch.setenv(variable, str(place))
    files = []
    for form, repeats in (("WAV", 1), ("FLAC", 1), ("WAV", 12)):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.tile(y, repeats), SR, format=form, subtype="PCM_16")
        files.append(buffer.getvalue())

    async def stream(url: str) -> None:
        async with connect(url, proxy=None) as socket:
            for start in range(0, y.size, 1_600):
                await socket.send(y[start : start + 1_600].tobytes())
            await socket.send('{"type": "session.close"}')
            async for _ in socket:
                pass

    with serving(trained.root / "models/bundle", tmp_path / "project") as server:

        def ask(number: int) -> int:
            data = files[number % 2] if number % 50 else files[2]
            with server.client() as client:
                return client.post("/v1/predict", files={"file": (NAME, data)}).status_code

        with ThreadPoolExecutor(4) as threads:
            statuses = set(threads.map(ask, range(REQUESTS)))
        asyncio.run(stream(server.stream_url))
    assert statuses == {200}
    looked_at = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("traffic" in str(path) for path in looked_at)
    for path in looked_at:
        content = path.read_bytes()
        assert not any(mark in content for mark in marks), path
        assert NAME.encode() not in content, path
        assert b"127.0.0.1:" not in content.replace(server.host_port.encode(), b""), path
