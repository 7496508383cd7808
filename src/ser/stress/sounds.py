"""Sounds that changes need beside the recording: other speakers, noises and rooms of a folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.utterance.formats import AUDIO_FORMATS, is_audio
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import segments_of
from ser.core.utterance.waveform import mono, resample
from ser.errors import AudioError
from ser.extras import need
from ser.io.audio.limits import Limits
from ser.io.audio.mixing import Recording
from ser.io.audio.read import CORPUS, decode, decode_blocks, load_segments, opened

#: Hz at which the suite works: noise above the speech that models take would count for nothing.
RATE = 16_000
#: Clips of other speakers for babble: as many of each at most, and in all.
CLIPS_EACH, CLIPS = 6, 60
#: Rooms of the image-source method: metres of the room, where the speaker and the microphone
#: are, and the seconds in which sound decays by 60 dB.
ROOMS = {
    "office": ((4.2, 3.1, 2.6), (1.2, 1.4, 1.2), (2.0, 1.7, 1.1), 0.35),
    "meeting room": ((7.4, 5.2, 3.0), (1.6, 2.1, 1.5), (4.1, 2.9, 1.0), 0.6),
    "hall": ((14.0, 11.0, 5.5), (4.0, 5.0, 1.6), (8.5, 6.5, 1.2), 1.1),
}
#: Recordings of a user's folders: the seconds that a noise lasts at most are decoded for each
#: utterance, up to its piece.
NOISE = Limits(max_bytes=CORPUS.max_bytes, max_seconds=600.0, what="noise")
RESPONSE = Limits(max_bytes=CORPUS.max_bytes, max_seconds=60.0, what="impulse response")
#: Reflections beyond this number are left out: their sound is some 60 dB down.
MOST_REFLECTIONS = 40


@dataclass(frozen=True)
class Clip:
    """An utterance of a speaker; sha256 : of the file's bytes."""

    path: Path
    segment: Segment
    sha256: str
    speaker: str


@dataclass(frozen=True)
class Noise:
    """A recording of `n_samples` at `sr` Hz."""

    path: Path
    n_samples: int
    sr: int


@dataclass(frozen=True)
class Sounds:
    """What the changes of all recordings share; small: other processes are sent it.

    responses : impulse responses at RATE by the room's name. folder_responses : those of a folder.
    """

    clips: tuple[Clip, ...] = ()
    noises: tuple[Noise, ...] = ()
    responses: dict[str, np.ndarray] = field(default_factory=dict)
    folder_responses: tuple[Path, ...] = ()


def clips_of(root: Path, table: pd.DataFrame) -> tuple[Clip, ...]:
    """Clips for babble from a manifest, even over its speakers; none of a single speaker's."""
    if table["speaker"].nunique() < 2:
        return ()
    chosen = table.sort_values(["speaker", "sha256", "start"]).groupby("speaker").head(CLIPS_EACH)
    chosen = chosen.assign(turn=chosen.groupby("speaker").cumcount())
    chosen = chosen.sort_values(["turn", "speaker"]).head(CLIPS)
    rows = zip(
        chosen["file"], segments_of(chosen), chosen["sha256"], chosen["speaker"], strict=True
    )
    return tuple(Clip(root / file, *rest) for file, *rest in rows)


def noises_in(folder: Path) -> tuple[Noise, ...]:
    """The noises of a folder; raises AudioError where it has none, or one is unfit."""
    found = []
    for path in _audio_in(folder, "--noise-folder"):
        recording = _decoded(path, NOISE)
        found.append(Noise(path, recording.y.size, recording.sr))
    return tuple(found)


def responses_in(folder: Path) -> tuple[Path, ...]:
    """The impulse responses of a folder; raises AudioError as `noises_in`."""
    found = _audio_in(folder, "--rir-folder")
    for path in found:
        _decoded(path, RESPONSE)
    return tuple(found)


def _audio_in(folder: Path, option: str) -> list[Path]:
    if not folder.is_dir():
        raise AudioError("is not a folder", f"one with {AUDIO_FORMATS}", file=f"{option} {folder}")
    found = sorted(path for path in folder.rglob("*") if is_audio(path) and path.is_file())
    if not found:
        raise AudioError("holds no recordings", AUDIO_FORMATS, file=f"{option} {folder}")
    return found


def _decoded(path: Path, limits: Limits) -> Recording:
    """A recording of a folder, in memory as long as the caller has it."""
    with opened(path, limits=limits) as data:
        recording = decode(data, limits=limits)
    if not recording.y.any():
        raise AudioError("is silent", "a sound", "Take it out of the folder.", file=str(path))
    return recording


def piece(noise: Noise, n: int, *, sr: int, rng: np.random.Generator) -> np.ndarray:
    """y (n,) at `sr` Hz from a random place of a noise on, channels mixed; a short one is repeated.

    Nothing behind the piece is decoded, nothing before it is kept.
    """
    wanted = math.ceil((n + 1) / sr * noise.sr)
    start = int(rng.integers(max(1, noise.n_samples - wanted + 1)))
    with opened(noise.path, limits=NOISE) as data:
        parts = list(_between(decode_blocks(data, limits=NOISE), start, start + wanted))
    return np.resize(resample(np.concatenate(parts), sr_in=noise.sr, sr_out=sr), n)


def _between(
    blocks: Iterator[tuple[np.ndarray, int]], start: int, stop: int
) -> Iterator[np.ndarray]:
    """The samples from `start` to `stop` of blocks, their channels mixed."""
    at = 0
    for block, _ in blocks:
        yield mono(np.clip(block[max(0, start - at) : max(0, stop - at)], -1, 1))
        at += len(block)
        if at >= stop:
            return


@lru_cache(maxsize=8)
def response(path: Path) -> np.ndarray:
    """An impulse response (n_samples,) of a folder, at RATE."""
    recording = _decoded(path, RESPONSE)
    return resample(recording.y, sr_in=recording.sr, sr_out=RATE)


@lru_cache(maxsize=2 * CLIPS)
def voice(clip: Clip) -> np.ndarray:
    """A clip's samples (n_samples,) at RATE; raises as `load_segments`."""
    ((y, sr),) = load_segments(clip.path, [clip.segment], sha256=clip.sha256)
    return resample(y, sr_in=sr, sr_out=RATE)


def at_rate(y: np.ndarray, sr: int) -> np.ndarray:
    """A sound y (n_samples,) at RATE, brought to `sr` Hz."""
    return resample(y, sr_in=RATE, sr_out=sr)


def others(clips: Sequence[Clip], speaker: str) -> list[Clip]:
    """The clips of other speakers."""
    return [clip for clip in clips if clip.speaker != speaker]


def image_source_rooms() -> dict[str, np.ndarray]:
    """Impulse responses (n_samples,) at RATE of `ROOMS`, by the image-source method.

    Allen and Berkley 1979, as pyroomacoustics has it, with the walls' absorption by Sabine's
    formula. Raises SerError without the extra `insight`.
    """
    acoustics = need("insight", "pyroomacoustics")
    made = {}
    for name, (size, speaker, microphone, rt60) in ROOMS.items():
        absorption, reflections = acoustics.inverse_sabine(rt60, size)
        room = acoustics.ShoeBox(
            size,
            fs=RATE,
            materials=acoustics.Material(absorption),
            max_order=min(reflections, MOST_REFLECTIONS),
        )
        room.add_source(list(speaker))
        room.add_microphone(list(microphone))
        room.compute_rir()
        made[name] = np.asarray(room.rir[0][0], dtype=np.float32)
    return made
