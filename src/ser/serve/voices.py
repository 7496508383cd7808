"""A speaker's voice on its way to the client and back: encrypted, signed, and for a time only."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from cryptography.fernet import Fernet, InvalidToken
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ser.core.speakers.enrolment import OwnEmotions, Voice
from ser.errors import BundleError, SerError
from ser.files import atomic_path

#: Of the environment: the key that several servers share.
KEY = "SER_PROFILE_KEY"
KEY_FILE = Path(".ser/profile.key")
EMOTIONS = "emotions"


class ProfileError(SerError):
    """A voice profile that is damaged, too old, or of another model."""


class Profiles:
    """Seals voices as opaque texts, and opens them again."""

    def __init__(self, key: bytes, *, seconds: int) -> None:
        self._fernet, self._seconds = Fernet(key), seconds

    def seal(self, voice: bytes, *, bundle_sha256: str) -> str:
        """The profile of a voice, of `voice_to_bytes`, for the model with this hash."""
        return self._fernet.encrypt(bundle_sha256.encode() + b"\n" + voice).decode()

    def open(self, profile: str, *, bundle_sha256: str) -> bytes:
        """The voice in a profile; raises ProfileError."""
        try:
            made_for, _, voice = self._fernet.decrypt(profile, ttl=self._seconds).partition(b"\n")
        except (InvalidToken, ValueError, TypeError) as error:
            raise ProfileError(
                "The voice profile is damaged, older than the server accepts, or of another "
                "server. Enrol the speaker again."
            ) from error
        if made_for.decode() != bundle_sha256:
            raise ProfileError(
                "The voice profile is of another model than the one that serves. Enrol the "
                "speaker again."
            )
        return voice


def profile_key(root: Path | None) -> bytes:
    """The key of the environment, else of the project (made once), else one for this process."""
    if named := os.environ.get(KEY):
        return named.encode()
    if root is None:
        return Fernet.generate_key()
    path = root / KEY_FILE
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_bytes(Fernet.generate_key())
    return path.read_bytes()


def voice_to_bytes(voice: Voice) -> bytes:
    """A voice as safetensors."""
    arrays = {"mean": voice.mean, "scale": voice.scale, "clips": np.array([voice.clips])}
    _add(arrays, EMOTIONS, voice.emotions)
    return save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def voice_from_bytes(data: bytes) -> Voice:
    """Inverse of `voice_to_bytes`; raises BundleError."""
    try:
        arrays = load_arrays(data)
        emotions = _own(arrays, EMOTIONS)
        return Voice(arrays["mean"], arrays["scale"], int(arrays["clips"][0]), emotions)
    except (SafetensorError, KeyError, IndexError) as error:
        raise BundleError("The voice cannot be read. Enrol the speaker again.") from error


def _add(arrays: dict[str, np.ndarray], name: str, own: OwnEmotions) -> None:
    if isinstance(own, tuple):
        arrays[f"{name}.parts"] = np.array([len(own)])
        for place, part in enumerate(own):
            _add(arrays, f"{name}.{place}", part)
    elif own is not None:
        arrays[name] = own


def _own(arrays: dict[str, np.ndarray], name: str) -> OwnEmotions:
    if f"{name}.parts" in arrays:
        parts = int(arrays[f"{name}.parts"][0])
        return tuple(_own(arrays, f"{name}.{place}") for place in range(parts))
    return arrays.get(name)
