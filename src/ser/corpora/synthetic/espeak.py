"""Bare espeak-ng through ctypes: text and a voice description in, samples out.

espeak keeps state between utterances (the phase of its flutter, its noise, its last voice), so
the library is loaded afresh for each: about 1 ms, and every utterance starts from the same state.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import tempfile
import threading
from typing import Any

import espeakng_loader
import numpy as np

from ser.errors import CorpusError

SR = 22_050

_SYNCHRONOUS = 2  # samples go to a callback, on the calling thread
_DONT_EXIT = 0x8000  # an initialisation that fails returns instead of ending the process
_RATE, _VOLUME = 1, 2  # parameters of the voice
_LOUDNESS = 60  # on espeak's own scale: loud voices stay clear of its internal clipping
_UTF8 = 1
_PREFIX = "ser-"  # a temporary file's name has a separator before it and eight characters after it
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)

_LOCK = threading.Lock()


def synthesize(text: str, voice: str, *, words_per_minute: int) -> np.ndarray:
    """`text` spoken by a voice: float32 (n,), mono, 22.05 kHz, within ±1.

    voice : the text of an espeak-ng voice file.

    The same arguments give the same samples, whatever was spoken before and in any process.
    """
    # espeak reads voices from disk only.
    folder = _folder_that_espeak_can_name()
    with (
        _LOCK,
        tempfile.NamedTemporaryFile("w", prefix=_PREFIX, dir=folder, encoding="utf-8") as file,
    ):
        file.write(voice)
        file.flush()
        espeak = ctypes.CDLL(espeakng_loader.get_library_path())
        try:
            return _speak(espeak, text, file.name, words_per_minute)
        finally:
            espeak.espeak_Terminate()
            _ctypes.dlclose(espeak._handle)


def _folder_that_espeak_can_name() -> str:
    """A folder for passing files, preferably the system's.

    espeak keeps 59 bytes of a voice's path, in lower case, and cuts it at a `+`.
    """
    folders = (tempfile.gettempdir(), "/tmp", "/dev/shm")
    for folder in folders:
        short = len(os.fsencode(folder)) + len(_PREFIX) + 9 < 60 and "+" not in folder
        if short and os.path.isdir(folder.lower()) and os.access(folder.lower(), os.W_OK):
            return folder
    raise CorpusError(
        f"espeak-ng can read no voice from {', '.join(folders)}: it needs a writable folder of at "
        "most 46 lower-case characters. Set TMPDIR to one."
    )


def _speak(espeak: Any, text: str, voice: str, words_per_minute: int) -> np.ndarray:
    data = espeakng_loader.get_data_path()
    sr = espeak.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT)
    if sr != SR:
        raise CorpusError(
            f"espeak-ng could not start from {data}: it returned {sr}, not {SR}. "
            "Reinstall espeakng-loader."
        )
    # espeak seeds its noise with the time of day.
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))
    chunks: list[bytes] = []

    @_CALLBACK
    def collect(samples: Any, n: int, _events: Any) -> int:
        if n > 0:
            chunks.append(ctypes.string_at(samples, 2 * n))
        return 0

    espeak.espeak_SetSynthCallback(collect)
    if espeak.espeak_SetVoiceByFile(os.fsencode(voice)) != 0:
        raise CorpusError(
            f"espeak-ng could not read the voice {voice}. Set TMPDIR to another folder."
        )
    espeak.espeak_SetParameter(_RATE, words_per_minute, 0)
    espeak.espeak_SetParameter(_VOLUME, _LOUDNESS, 0)
    encoded = text.encode()
    espeak.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
    pcm = np.frombuffer(b"".join(chunks), dtype=np.int16)
    if not pcm.any():
        raise CorpusError(
            f"espeak-ng spoke nothing for {text!r}. Reinstall espeakng-loader, and check that "
            "no other library of this process holds espeak-ng."
        )
    return pcm.astype(np.float32) / 32_768
