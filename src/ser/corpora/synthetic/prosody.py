"""The prosody of six emotions, and how speakers differ in it.

The directions follow Burkhardt & Sendlmeier (2000), "Verification of acoustical correlates of
emotional speech using formant synthesis", and Banse & Scherer (1996), "Acoustic profiles in
vocal emotion expression"; the magnitudes are ours, chosen so that the emotions overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Prosody:
    """A way of speaking, as a departure from the speaker's neutral habit; all zeros is neutral.

    f0 : mean F0, semitones.
    f0_range : span of F0 in semitones, as log2 of a ratio.
    rate : speaking rate, as log2 of a ratio.
    level : vocal effort, dB.
    tilt : spectral tilt, dB per octave; positive is a tense, bright voice, negative a lax one.
    breath : aspiration noise under the voice, dB.
    rough : irregularity of the glottal pulses, in espeak's steps of roughness (0 to 7).
    tremor : depth of a slow vibration of F0, semitones.
    slope : rise of F0 over the utterance, semitones.
    opening : F1 and F2, as log2 of a ratio; spread lips and a raised larynx raise both.
    articulation : strength of the consonants, dB.
    """

    f0: float = 0.0
    f0_range: float = 0.0
    rate: float = 0.0
    level: float = 0.0
    tilt: float = 0.0
    breath: float = 0.0
    rough: float = 0.0
    tremor: float = 0.0
    slope: float = 0.0
    opening: float = 0.0
    articulation: float = 0.0

    def vector(self) -> np.ndarray:
        """The departures in the order of the fields, (11,)."""
        return np.array([getattr(self, field.name) for field in fields(self)])


#: Sadness is the quiet kind, anger the hot, fear near panic, happiness elated.
PROSODY = {
    "neutral": Prosody(),
    "happiness": Prosody(
        f0=4.0, f0_range=0.65, rate=0.12, level=3.0, tilt=0.7, slope=1.3, opening=0.085,
        articulation=1.0,
    ),
    "sadness": Prosody(
        f0=-0.9, f0_range=-0.6, rate=-0.28, level=-4.5, tilt=-1.3, breath=5.0, tremor=0.10,
        slope=-1.0, opening=-0.03, articulation=-2.5,
    ),
    "anger": Prosody(
        f0=3.2, f0_range=0.5, rate=0.16, level=6.0, tilt=2.0, breath=-1.5, rough=2.5,
        slope=-1.0, opening=0.03, articulation=3.5,
    ),
    "fear": Prosody(
        f0=5.4, f0_range=-0.15, rate=0.28, level=-0.5, tilt=-0.3, breath=4.0, tremor=0.40,
        slope=0.7, articulation=-0.5,
    ),
    "disgust": Prosody(
        f0=-1.6, f0_range=0.05, rate=-0.24, level=-0.5, tilt=0.6, rough=3.0, slope=-1.6,
        opening=-0.06, articulation=2.0,
    ),
}  # fmt: skip

EMOTIONS = tuple(PROSODY)

#: Standard deviation of a speaker's own departure in an emotion.
HABIT = Prosody(
    f0=0.5, f0_range=0.10, rate=0.035, level=0.8, tilt=0.25, breath=0.8, rough=0.4, tremor=0.03,
    slope=0.3, opening=0.012, articulation=0.5,
)  # fmt: skip

#: Standard deviation between utterances of one speaker and emotion.
WANDER = Prosody(
    f0=0.7, f0_range=0.13, rate=0.05, level=1.2, tilt=0.28, breath=1.0, rough=0.5, tremor=0.04,
    slope=0.4, opening=0.014, articulation=0.6,
)  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """What all utterances of a speaker have in common, and the place where they are recorded.

    f0_hz, f0_range_semitones : mean and span (5th to 95th percentile) of neutral F0.
    words_per_minute : neutral rate, as espeak counts it.
    formants, strengths, widths : frequency, height and bandwidth of F1 to F5, ratios.
    tilt, breath, rough : as in Prosody, the neutral voice's own.
    flutter : slow irregularity of F0, in espeak's steps.
    expressiveness : a factor on the emotion's departures.
    gain_db, snr_db : the recording's level and its noise below neutral speech.
    noise_tilt : colour of that noise, dB per octave.
    """

    f0_hz: float
    f0_range_semitones: float
    words_per_minute: float
    formants: tuple[float, ...]
    strengths: tuple[float, ...]
    widths: tuple[float, ...]
    tilt: float
    breath: float
    rough: float
    flutter: int
    expressiveness: float
    gain_db: float
    snr_db: float
    noise_tilt: float


def draw_voice(sex: str, *, rng: np.random.Generator) -> Voice:
    """A speaker of that sex: F0 of about 92–150 Hz for men, 165–255 Hz for women.

    Women's formants lie about 15 % above men's (Peterson & Barney 1952).
    """
    male = sex == "male"
    f0_hz = rng.normal(116, 14) if male else rng.normal(205, 20)
    tract = rng.normal(0.98, 0.03) if male else rng.normal(1.13, 0.03)
    return Voice(
        f0_hz=float(np.clip(f0_hz, 92, 150) if male else np.clip(f0_hz, 165, 255)),
        f0_range_semitones=float(np.clip(rng.normal(5.5, 0.7), 4.0, 7.0)),
        words_per_minute=float(np.clip(rng.normal(168, 9), 148, 188)),
        formants=_around(tract, 0.025, rng),
        strengths=_around(1.0 if male else 0.85, 0.08, rng),
        widths=_around(1.0 if male else 1.4, 0.10, rng),
        tilt=float(rng.normal(0, 0.5)),
        breath=float(rng.normal(0 if male else 2, 1.5)),
        rough=float(rng.uniform(0, 2)),
        flutter=int(rng.integers(2, 7)),
        expressiveness=float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.25)),
        gain_db=float(rng.normal(0, 3)),
        snr_db=float(rng.uniform(24, 36)),
        noise_tilt=float(rng.uniform(-6, -2)),
    )


def draw_habit(emotion: str, *, rng: np.random.Generator) -> Prosody:
    """A speaker's own departure in one emotion; in neutral there is none."""
    if emotion == "neutral":
        return Prosody()
    return Prosody(*(HABIT.vector() * rng.standard_normal(len(fields(Prosody)))).tolist())


def draw_prosody(
    emotion: str, expressiveness: float, habit: Prosody, *, rng: np.random.Generator
) -> Prosody:
    """One utterance's departure: the emotion's, scaled, the speaker's habit and a random part."""
    wander = WANDER.vector() * rng.standard_normal(len(fields(Prosody)))
    drawn = expressiveness * PROSODY[emotion].vector() + habit.vector() + wander
    return Prosody(*drawn.tolist())


def _around(centre: float, spread: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Five ratios, one a formant, spread about a centre."""
    return tuple((centre * rng.normal(1.0, spread, size=5)).tolist())
