"""Sections on how models are trained, judged and served."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ser.params.section import Section


class LogMelAugmentParams(Section):
    """How far a training utterance's log-mel may be changed; 0 switches a change off."""

    #: Speed varies by this factor's power, up and down: 0.15 is 0.87 to 1.15.
    stretch: float = Field(0.15, ge=0, lt=1)
    #: The mel axis is scaled by up to this share: another vocal tract.
    warp: float = Field(0.1, ge=0, lt=1)
    #: The mel axis is shifted by up to this many bands: another pitch.
    shift: float = Field(1.5, ge=0)
    #: A smooth curve over mel of up to this many dB: another microphone.
    tilt_db: float = Field(3.0, ge=0)
    #: Masked stripes (SpecAugment): number, and their largest widths.
    masks: int = Field(2, ge=0)
    mask_bands: int = Field(8, ge=0)
    mask_frames: int = Field(20, ge=0)
    #: Parameter of mixup's Beta distribution.
    mixup: float = Field(0.0, ge=0)


class TrainParams(Section):
    """How networks are trained; classical models have all their parameters in `model`."""

    max_epochs: int = Field(32, ge=1)
    batch_size: int = Field(32, ge=1)
    #: The peak of a one-cycle schedule.
    learning_rate: float = Field(0.005, gt=0)
    #: Of a pretrained encoder's own weights, as a share of the learning rate.
    slow_rate: float = Field(0.05, gt=0, le=1)
    weight_decay: float = Field(0.02, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    #: Decay per step of the average of weights that is scored and kept.
    average: float = Field(0.98, ge=0, lt=1)
    #: Longer utterances are cropped, at random, while training.
    crop_frames: int = Field(128, ge=10)
    augment: LogMelAugmentParams = LogMelAugmentParams()


class CalibrateParams(Section):
    #: The share of utterances whose set of emotions shall hold the true one.
    coverage: float = Field(0.9, gt=0, lt=1)


class AbstentionParams(Section):
    """When no emotion is named, but the reason why not."""

    #: What detects speech: silero (extra `vad`), energy (built in), auto: silero where installed.
    detector: Literal["auto", "silero", "energy"] = "auto"
    #: 0 answers however short; silence is answered never.
    min_speech_seconds: float = Field(0.3, ge=0)
    #: Seconds of the recording beyond which it is no single utterance; None: off. The longest
    #: utterance of a published corpus, IEMOCAP's, lasts 34 s.
    max_seconds: float | None = Field(40.0, gt=0)
    #: Share of samples in flat tops; 1 switches it off.
    max_clipped_share: float = Field(0.02, ge=0, le=1)
    #: Of unseen speakers' utterances, the percentile beyond which speech is strange; None: off.
    max_novelty_percentile: float | None = Field(99.0, gt=0, le=100)
    #: Calibrated posterior of the best emotion; 0 switches it off.
    min_confidence: float = Field(0.0, ge=0, le=1)


class EvaluateParams(Section):
    bootstrap: int = Field(2000, ge=100)


class GateParams(Section):
    """The challenger is promoted when P(challenger >= champion) over speaker resamples
    reaches `min_probability`."""

    min_probability: float = Field(0.5, ge=0, le=1)
    #: With fewer test speakers nothing is promoted over a champion.
    min_speakers: int = Field(3, ge=1)
    #: Of the bootstrap over speakers.
    resamples: int = Field(2000, ge=100)


class MachineParams(Section):
    """How this machine works; no part of what a model is: nothing is made again for it."""

    #: CPU threads of a network that is trained alone; more than there are cores slows it tenfold.
    threads: int = Field(2, ge=1)
    #: Ask the Hugging Face hub for what this machine lacks of an encoder.
    download: bool = False
