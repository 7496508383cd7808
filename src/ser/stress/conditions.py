"""The rows of the suite: what each does to a recording, and which need what this machine lacks.

Families and kinds follow audEERING's ser-tests (Derington et al. 2023, arXiv:2312.06270). Noise and
tones lie so many dB below the speech, its pauses left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ser.core.distortion import bands, levels, noises, rooms, timing
from ser.io.audio import codecs
from ser.io.audio.codecs import Codec
from ser.stress.sounds import ROOMS, Clip, Sounds, at_rate, piece, response, voice

VOICES = (4, 7)  #: Of babble, at least and at most (ser-tests).
#: A low-quality phone (after ser-tests): dB re the peak above which its compressor works and its
#: ratio; kbit/s of AMR; dB below the speech, and Hz, of the hiss.
PHONE_DB, PHONE_RATIO, PHONE_KBITS, HISS_DB, HISS_HZ = -20.0, 5.0, 7.4, 25.0, 3000.0


@dataclass(frozen=True)
class Taking:
    """The recording that a change takes: where it is chance's, and what else there is.

    clips : of other speakers.
    """

    rng: np.random.Generator
    sounds: Sounds
    clips: Sequence[Clip]


#: y (n_samples,) and its rate to those after the change.
Change = Callable[[np.ndarray, int, Taking], tuple[np.ndarray, int]]


@dataclass(frozen=True)
class Condition:
    """A row of the table by its unique name; lacks : what it needs and this machine has not."""

    family: str
    name: str
    change: Change
    lacks: str = ""


def conditions(sounds: Sounds, *, room_lack: str = "") -> list[Condition]:
    """All rows; those that this machine cannot make say what they lack.

    room_lack : why there are no rooms of the image-source method.
    """
    return [
        *_small(),
        *_noise(sounds),
        *_room(sounds, room_lack),
        *(_simple("tilt", f"{db:+g} dB/octave", bands.tilted, db_per_octave=db) for db in (-3, 3)),
        *_phone(),
        *(_coded("codec", codec) for codec in CODECS),
        *_time(),
    ]


#: Of files and of calls over the internet.
CODECS = (
    *(codecs.mp3(32), codecs.mp3(16), codecs.opus(24), codecs.opus(12)),
    *(codecs.VORBIS, codecs.ADPCM, codecs.MU_LAW),
)


def _small() -> Iterator[Condition]:
    """Changes that hardly anybody notices."""
    for db in (-20.0, -6.0, 6.0):
        yield Condition("small", f"gain {db:+.0f} dB", partial(_pure, change=levels.gained, db=db))
    yield Condition("small", "DC at -20 dB", partial(_beside, make=_constant, snr_db=20.0))
    yield Condition("small", "rumble at -20 dB", partial(_beside, make=_rumble, snr_db=20.0))
    yield Condition("small", "30 Hz at -20 dB", partial(_beside, make=_tone, snr_db=20.0, hz=30.0))
    yield Condition("small", "6 kHz at -45 dB", partial(_beside, make=_tone, snr_db=45.0, hz=6e3))
    for snr_db in (35.0, 40.0):
        change = partial(_beside, make=_coloured, snr_db=snr_db, colour="white")
        yield Condition("small", f"white noise {snr_db:.0f} dB", change)
    for share in (0.001, 0.003):
        change = partial(_pure, change=levels.clipped, share=share)
        yield Condition("small", f"clipped {100 * share:.1f} %", change)
    for place in ("start", "end"):
        seconds = f"{place}_seconds"
        yield _simple("small", f"crop {place} 60 ms", timing.cropped, **{seconds: 0.06})
        yield _simple("small", f"silence at {place}", timing.padded, **{seconds: 0.25})
    yield _simple("small", "low-pass 7 kHz", bands.band_passed, high_hz=7000.0)
    yield _simple("small", "high-pass 80 Hz", bands.band_passed, low_hz=80.0)


def _noise(sounds: Sounds) -> Iterator[Condition]:
    alone = "" if sounds.clips else "recordings of two speakers or more"
    for snr_db in (20.0, 10.0):
        at = f"{snr_db:.0f} dB"
        for colour in ("white", "pink"):
            change = partial(_beside, make=_coloured, snr_db=snr_db, colour=colour)
            yield Condition("noise", f"{colour} {at}", change)
        change = partial(_beside, make=_babble, snr_db=snr_db)
        yield Condition("noise", f"babble {at}", change, alone)
        for name, make in (("music", noises.music), ("hum", noises.hum), ("coughs", noises.coughs)):
            change = partial(_beside, make=_made, snr_db=snr_db, by=make)
            yield Condition("noise", f"{name} {at}", change)
        if sounds.noises:
            change = partial(_beside, make=_of_folder, snr_db=snr_db)
            yield Condition("noise", f"folder {at}", change)


def _room(sounds: Sounds, lack: str) -> Iterator[Condition]:
    for rt60, drr_db in ((0.3, 5.0), (0.5, 0.0), (0.8, -3.0)):
        change = partial(_decaying_room, rt60_seconds=rt60, drr_db=drr_db)
        yield Condition("room", f"RT60 {rt60:g} s, DRR {drr_db:g} dB", change)
    for name in ROOMS:
        yield Condition("room", name, partial(_room_named, name=name), lack)
    if sounds.folder_responses:
        yield Condition("room", "folder", _room_of_folder)


def _phone() -> Iterator[Condition]:
    yield _simple("phone", "8 kHz", bands.at_rate, rate=8000)
    yield _simple("phone", "8 kHz mu-law", bands.telephone)
    yield _coded("phone", codecs.GSM)
    for kbits in (12.2, 4.75):
        yield _coded("phone", codecs.amr(kbits))
    yield Condition("phone", "low quality", _low_quality, codecs.amr(PHONE_KBITS).missing())


def _time() -> Iterator[Condition]:
    for percent in (-10, -5, 5, 10):
        change = partial(_pure, change=timing.sped, speed=1 + percent / 100)
        yield Condition("time", f"speed {percent:+d} %", change)
    for share in (0.02, 0.1):
        yield Condition("time", f"packet loss {100 * share:.0f} %", partial(_losing, share=share))


def _simple(family: str, name: str, change: Callable[..., np.ndarray], **how: Any) -> Condition:
    return Condition(family, name, partial(_with_rate, change=change, **how))


def _coded(family: str, codec: Codec) -> Condition:
    return Condition(family, codec.name, partial(_through, codec=codec), codec.missing())


def _pure(
    y: np.ndarray, sr: int, taking: Taking, *, change: Callable[..., np.ndarray], **how: Any
) -> tuple[np.ndarray, int]:
    return change(y, **how), sr


def _with_rate(
    y: np.ndarray, sr: int, taking: Taking, *, change: Callable[..., np.ndarray], **how: Any
) -> tuple[np.ndarray, int]:
    # Of a recording of a lower rate nothing lies up there.
    idle = how.get("high_hz", 0.0) >= sr / 2 or how.get("rate", 0.0) >= sr
    return (y if idle else change(y, sr=sr, **how)), sr


def _beside(
    y: np.ndarray,
    sr: int,
    taking: Taking,
    *,
    make: Callable[..., np.ndarray],
    snr_db: float,
    **how: Any,
) -> tuple[np.ndarray, int]:
    """With what `make` makes, so many dB below the speech."""
    return noises.mixed(y, make(y.size, sr, taking, **how), sr=sr, snr_db=snr_db), sr


def _constant(n: int, sr: int, taking: Taking) -> np.ndarray:
    return np.ones(n, dtype=np.float32)


def _rumble(n: int, sr: int, taking: Taking) -> np.ndarray:
    return levels.rumble(n, sr=sr, rng=taking.rng)


def _tone(n: int, sr: int, taking: Taking, *, hz: float) -> np.ndarray:
    # A recording of a lower rate has no such tone.
    return levels.tone(n, sr=sr, hz=hz, rng=taking.rng) if hz < sr / 2 else np.zeros(n)


def _coloured(n: int, sr: int, taking: Taking, *, colour: str) -> np.ndarray:
    slope = noises.COLOURS[colour]
    return noises.coloured(n, sr=sr, db_per_octave=slope, rng=taking.rng)


def _made(n: int, sr: int, taking: Taking, *, by: Callable[..., np.ndarray]) -> np.ndarray:
    return by(n, sr=sr, rng=taking.rng)


def _babble(n: int, sr: int, taking: Taking) -> np.ndarray:
    count = int(taking.rng.integers(VOICES[0], VOICES[1] + 1))
    chosen = taking.rng.choice(len(taking.clips), min(count, len(taking.clips)), replace=False)
    voices = [at_rate(voice(taking.clips[i]), sr) for i in chosen]
    return noises.babble(n, sr=sr, voices=voices, rng=taking.rng)


def _of_folder(n: int, sr: int, taking: Taking) -> np.ndarray:
    chosen = taking.sounds.noises[int(taking.rng.integers(len(taking.sounds.noises)))]
    return piece(chosen, n, sr=sr, rng=taking.rng)


def _decaying_room(
    y: np.ndarray, sr: int, taking: Taking, *, rt60_seconds: float, drr_db: float
) -> tuple[np.ndarray, int]:
    made = rooms.impulse_response(sr=sr, rt60_seconds=rt60_seconds, drr_db=drr_db, rng=taking.rng)
    return rooms.reverberated(y, response=made), sr


def _room_named(y: np.ndarray, sr: int, taking: Taking, *, name: str) -> tuple[np.ndarray, int]:
    made = at_rate(taking.sounds.responses[name], sr)
    return rooms.reverberated(y, response=made), sr


def _room_of_folder(y: np.ndarray, sr: int, taking: Taking) -> tuple[np.ndarray, int]:
    files = taking.sounds.folder_responses
    chosen = response(files[int(taking.rng.integers(len(files)))])
    return rooms.reverberated(y, response=at_rate(chosen, sr)), sr


def _through(y: np.ndarray, sr: int, taking: Taking, *, codec: Codec) -> tuple[np.ndarray, int]:
    return codecs.transcode(codec, y, sr=sr)


def _low_quality(y: np.ndarray, sr: int, taking: Taking) -> tuple[np.ndarray, int]:
    """A cheap telephone: compressor, AMR, hiss above 3 kHz."""
    y = levels.compressed(y, sr=sr, threshold_db=PHONE_DB, ratio=PHONE_RATIO)
    y, rate = codecs.transcode(codecs.amr(PHONE_KBITS), y, sr=sr)
    hiss = noises.coloured(y.size, sr=rate, db_per_octave=-3.0, rng=taking.rng)
    hiss = bands.band_passed(hiss, sr=rate, low_hz=HISS_HZ)
    return noises.mixed(y, hiss, sr=rate, snr_db=HISS_DB), rate


def _losing(y: np.ndarray, sr: int, taking: Taking, *, share: float) -> tuple[np.ndarray, int]:
    return timing.with_losses(y, sr=sr, share=share, rng=taking.rng), sr
