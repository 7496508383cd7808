"""Recordings that are unfit for training, one of each kind, as files."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
import soundfile

from ser.corpora.synthetic.speak import speak, utterances
from ser.params import SyntheticParams
from support.recordings import SR


def lsb(n: int, *, steps: int = 1, bits: int = 16, seed: int = 1) -> np.ndarray:
    """Noise of the last bit: float (n,), up to so many steps of that depth."""
    return np.random.default_rng(seed).integers(-steps, steps + 1, n) / 2 ** (bits - 1)


def waveforms() -> dict[str, tuple[str, np.ndarray]]:
    """Name -> (reason, samples at SR that show it)."""
    n = 2 * SR
    voice = np.sin(np.arange(n) / 9) * 0.3
    rumble = 0.1 * np.sin(2 * np.pi * 12 * np.arange(n) / SR)
    return {
        "silent": ("silent", np.zeros(n)),
        "last_bit": ("noise", lsb(n)),
        "last_bits": ("noise", lsb(n, steps=5)),
        "last_of_8_bits": ("noise", lsb(n, bits=8)),
        "last_bit_on_offset": ("noise", 0.2 + lsb(n)),
        "last_bit_on_rumble": ("noise", rumble + lsb(n)),
        "offset": ("constant", np.full(n, 0.1)),
        "short": ("too short", voice[: SR // 50]),
        "cancelling": ("channels cancel", np.stack([voice, -voice], axis=1)),
    }


def write_speech(folder: Path) -> list[str]:
    """SPEAKER/EMOTION/n.wav: four speakers, two emotions, three each; their relative paths."""
    words = {"anger": "angry", "sadness": "sad"}
    names = []
    for utterance in utterances(SyntheticParams(speakers=4, sentences=3), seed=7):
        speaker, _, emotion, _ = PurePath(utterance.file).name.split("_")
        if emotion in words:
            own = f"{'abcd'[int(speaker[-2:]) - 1]}/{words[emotion]}"
            names.append(f"{own}/{sum(name.startswith(own) for name in names)}.wav")
            (folder / names[-1]).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / names[-1], speak(utterance, sr=SR), SR)
    return names


def write_unfit(folder: Path) -> dict[str, str]:
    """One file of each kind under a/angry, and a damaged one: relative path -> reason."""
    reasons = {}
    for name, (reason, y) in waveforms().items():
        reasons[f"a/angry/{name}.wav"] = reason
        soundfile.write(folder / f"a/angry/{name}.wav", y, SR)
    whole = (folder / "a/angry/0.wav").read_bytes()
    (folder / "a/angry/damaged.wav").write_bytes(whole[: len(whole) // 2])
    return {**reasons, "a/angry/damaged.wav": "damaged"}
