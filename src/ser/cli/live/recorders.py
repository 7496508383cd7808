"""What records a microphone: a Python package, else a program of this machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from shutil import which
from typing import IO, Any

from ser.client.audio import STREAM_SR as SR
from ser.errors import SerError
from ser.output import one_line


class RecorderError(SerError):
    """No microphone can be recorded."""


@dataclass(frozen=True)
class Recorder:
    """A program that writes raw s16le at 16 kHz to stdout until it is ended.

    words : of its command line, with places for device, channels and rate. device : the default.
    """

    program: str
    words: tuple[str, ...]
    device: str

    def command(self, *, channels: int, device: str | None) -> list[str]:
        given = {"channels": channels, "device": device or self.device, "sr": SR}
        return [self.program, *(word.format(**given) for word in self.words)]


IS_MAC = sys.platform == "darwin"
FFMPEG_INPUT = ("avfoundation", ":default") if IS_MAC else ("pulse", "default")
SOX_INPUT = ("coreaudio" if IS_MAC else "alsa", "default")
#: The first one that is installed records.
RECORDERS = (
    Recorder(
        "arecord",
        ("-q", "-t", "raw", "-f", "S16_LE", "-r", "{sr}", "-c", "{channels}", "-D", "{device}"),
        "default",
    ),
    Recorder(
        "parec",
        (
            *("--raw", "--format=s16le", "--rate={sr}", "--channels={channels}"),
            *("--latency-msec=50", "--device={device}"),
        ),
        "@DEFAULT_SOURCE@",
    ),
    Recorder(
        "ffmpeg",
        (
            *("-nostdin", "-loglevel", "error", "-f", FFMPEG_INPUT[0], "-i", "{device}"),
            *("-ac", "{channels}", "-ar", "{sr}", "-f", "s16le", "-flush_packets", "1", "-"),
        ),
        FFMPEG_INPUT[1],
    ),
    Recorder(
        "sox",
        (
            *("-q", "-t", SOX_INPUT[0], "{device}", "-t", "raw", "-e", "signed-integer", "-L"),
            *("-b", "16", "-r", "{sr}", "-c", "{channels}", "-"),
        ),
        SOX_INPUT[1],
    ),
)


def sounddevice() -> Any:
    """The package, or None where it, or the PortAudio that it needs, is not installed."""
    try:
        return import_module("sounddevice")
    except (ImportError, OSError):
        return None


def installed_recorder() -> Recorder:
    """The first program of RECORDERS; raises RecorderError, which says what to install."""
    for recorder in RECORDERS:
        if which(recorder.program):
            return recorder
    named = ", ".join(recorder.program for recorder in RECORDERS)
    raise RecorderError(
        f"Nothing here records a microphone; expected one of {named}. Install alsa-utils (it has "
        "arecord), or `pip install sounddevice`."
    )


@contextmanager
def recording(recorder: Recorder, *, channels: int, device: str | None) -> Iterator[IO[bytes]]:
    """The program's stdout while it runs.

    Raises RecorderError, with its last words, where it fails by itself.
    """
    command = recorder.command(channels=channels, device=device)
    with tempfile.TemporaryFile() as words:
        # In a session of its own: Ctrl-C ends the recording here, what it gave is measured first.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=words, bufsize=0, start_new_session=True
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            # Its end has been read, or it is ended here.
            failed = _ended(process) and process.returncode > 0
        finally:
            process.terminate()
            process.stdout.close()
            process.wait()
        if failed:
            words.seek(0)
            said = words.read().decode(errors="replace").strip().splitlines() or ["no word of why"]
            raise RecorderError(
                f"{recorder.program} records nothing ({one_line(said[-1])}); expected a "
                "microphone. Name another with --device."
            )


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(0.2)
    except subprocess.TimeoutExpired:
        return False
    return True
