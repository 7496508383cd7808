"""Sounds that changes need beside the recording: other speakers, noises and rooms of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ser.core.utterance.formats import AUDIO_FORMATS, is_audio
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import segments_of
from ser.core.utterance.waveform import resample
from ser.errors import AudioError
from ser.extras import need
from ser.io.audio.read import load_mono, load_segments

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
class Sounds:
    """What the changes of all recordings share; small: other processes are sent it.

    responses : impulse responses at RATE by the room's name. folder_responses : those of a folder.
    """

    clips: tuple[Clip, ...] = ()
    noises: tuple[Path, ...] = ()
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


def audio_in(folder: Path, option: str) -> tuple[Path, ...]:
    """The recordings of a folder, sorted; raises AudioError where it has none, or one is unfit."""
    if not folder.is_dir():
        raise AudioError("is not a folder", f"one with {AUDIO_FORMATS}", file=f"{option} {folder}")
    found = sorted(path for path in folder.rglob("*") if is_audio(path) and path.is_file())
    if not found:
        raise AudioError("holds no recordings", AUDIO_FORMATS, file=f"{option} {folder}")
    for path in found:
        if not sound(path).any():
            raise AudioError("is silent", "a sound", "Take it out of the folder.", file=str(path))
    return tuple(found)


@lru_cache(maxsize=256)
def sound(path: Path) -> np.ndarray:
    """A file's samples (n_samples,) at RATE, each process decodes it once."""
    y, sr = load_mono(path)
    return resample(y, sr_in=sr, sr_out=RATE)


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
