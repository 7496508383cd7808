"""The sections of params.yaml, except that of the model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ser.params.protocols import known_protocol
from ser.params.section import Section


class LabelParams(Section):
    """Which emotions are classes: some are merged, then all but those to keep are dropped."""

    #: all, 4-class, 6-class, or a list of emotions.
    keep: str | tuple[str, ...] = "all"
    merge: dict[str, str] = Field({})


class DataParams(Section):
    corpora: tuple[str, ...] = Field(("synthetic",), min_length=1)
    #: Recordings to leave out: paths in data/raw, `*` for any letters; or a file of such paths.
    exclude: tuple[str, ...] | str = ()
    #: Whether recordings that are unfit for training stop the pipeline or are left out.
    on_bad: Literal["stop", "drop"] = "stop"
    #: With drop: a larger share of a corpus's recordings stops the pipeline all the same.
    max_bad_share: float = Field(0.05, ge=0, le=1)
    labels: LabelParams = LabelParams()

    @field_validator("corpora")
    @classmethod
    def _each_once(cls, corpora: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(corpora)) < len(corpora):
            raise ValueError("each corpus may be named once")
        return corpora


class SyntheticParams(Section):
    """The embedded corpus. `speakers` × `sentences` × 6 emotions × `takes` utterances."""

    speakers: int = Field(16, ge=2)
    sentences: int = Field(8, ge=1, le=8)
    takes: int = Field(1, ge=1)


class SplitParams(Section):
    protocol: Annotated[str, AfterValidator(known_protocol)] = "holdout"
    fold: int = Field(1, ge=1)
    #: Of grouped-kfold; published protocols have their own number.
    folds: int = Field(5, ge=2)
    test_fraction: float = Field(0.3, gt=0, lt=1)
    dev_fraction: float = Field(0.2, gt=0, lt=1)


class FeatureParams(Section):
    """How a waveform becomes features; travels inside every bundle."""

    #: For classical models: our own, or openSMILE's eGeMAPSv02 or ComParE_2016 (extra `egemaps`).
    functionals: Literal["ser", "egemaps", "compare"] = "ser"
    #: For networks: our own, or that of BYOL-S.
    log_mel: Literal["ser", "byol_s"] = "ser"
    sr: int = Field(16_000, ge=4_000, le=192_000)
    n_fft: int = Field(1024, ge=64)
    hop_length: int = Field(160, ge=1)
    n_mels: int = Field(64, ge=8)
    n_mfcc: int = Field(20, ge=2)
    n_chroma: int = Field(12, ge=2)
    n_contrast: int = Field(6, ge=1)
    f0_min: float = Field(65.0, gt=0)
    f0_max: float = Field(500.0, gt=0)
    #: High-pass filter against DC offset and rumble: 3 dB at this frequency, 70 dB from about
    #: half of it down. None: no filter.
    high_pass_hz: float | None = Field(70.0, gt=0)
    #: White noise this far below the utterance's level is added to the spectra of functionals,
    #: on average, so that the floors of recordings are alike; None: none.
    noise_floor_db: float | None = Field(30.0, ge=0, le=100)
    #: Log-mel is floored this far below the utterance's loudest bin; None: at -100 dB.
    top_db: float | None = Field(80.0, gt=0)
    #: Spectral contrast is floored this far below its loudest peak: what lies deeper is the
    #: residue of a resampler or a codec. None: librosa's 160 dB.
    contrast_top_db: float | None = Field(80.0, gt=0)
    #: Edges this far below the loudest 10 ms are silence and trimmed; None: kept.
    trim_db: float | None = Field(40.0, gt=0)
    #: Edges less than this far above the noise floor are trimmed, too, however loud the noise;
    #: None: trim_db alone decides.
    trim_noise_db: float | None = Field(8.0, gt=0, le=40)
    trim_margin_seconds: float = Field(0.05, ge=0)
    #: Root mean square that every utterance is scaled to, dB re 1, so that the microphone's
    #: distance does not matter. None: as recorded.
    level_db: float | None = Field(-23.0, ge=-100, le=0)

    def at(self, sr: int) -> Self:
        """The same for a waveform of another rate, unchecked: enough to prepare it."""
        return self.model_copy(update={"sr": sr})

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.f0_min < self.f0_max < self.sr / 2:
            raise ValueError("f0_min must lie below f0_max, and f0_max below half of sr")
        if self.high_pass_hz is not None and self.high_pass_hz >= self.sr / 2:
            raise ValueError("high_pass_hz must lie below half of sr")
        if self.n_fft < 2 * self.sr / self.f0_min:
            raise ValueError("n_fft must hold two periods of f0_min: 2 * sr / f0_min samples")
        if self.n_mfcc > self.n_mels:
            raise ValueError("n_mfcc must not exceed n_mels")
        rate_and_frames = self.sr, self.n_fft, self.hop_length
        if self.log_mel == "byol_s" and rate_and_frames != (16_000, 1024, 160):
            raise ValueError("log_mel: byol_s needs sr 16000, n_fft 1024 and hop_length 160")
        # Octave bands from 200 Hz, as librosa's spectral contrast has them.
        if 200 * 2 ** (self.n_contrast - 1) >= self.sr / 2:
            raise ValueError("n_contrast octaves from 200 Hz must begin below half of sr")
        return self


#: Within which bounds the ranges of augmentation lie.
RANGES = {
    "noise_db": (-20, 100),
    "room_rt60_seconds": (0.01, 10),
    "room_drr_db": (-40, 60),
    "telephone_low_hz": (20, 1000),
    "telephone_high_hz": (1500, 3990),
}


class WaveformAugmentParams(Section):
    """Augmented versions of every recording, on which models are trained too."""

    #: How many of each; 0: none.
    versions: int = Field(4, ge=0, le=20)
    #: Versions of a speaker are up to this share slower (odd ones) or faster (even ones).
    speed: float = Field(0.15, ge=0, lt=1)
    #: What version 1, 2, … comes through; with more versions it begins again.
    channels: tuple[Literal["plain", "room", "telephone"], ...] = Field(
        ("plain", "plain", "telephone", "room"), min_length=1
    )
    #: How much the recording and its version 1, 2, … count in training, relative to each other;
    #: further versions as much as the last one. Networks draw by it, classical models weigh.
    weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (2.0, 1.0, 1.0, 0.4, 0.4), min_length=1
    )
    #: How many dB below the speech noise lies in every version, from and to; None: no noise.
    noise_db: tuple[float, float] | None = (5.0, 40.0)
    #: Time in which a room's reverberation decays by 60 dB, from and to.
    room_rt60_seconds: tuple[float, float] = (0.15, 1.0)
    #: Direct sound over reverberation, dB, from and to.
    room_drr_db: tuple[float, float] = (-5.0, 12.0)
    #: Lower and upper edge of a telephone's band, each from and to.
    telephone_low_hz: tuple[float, float] = (100.0, 450.0)
    telephone_high_hz: tuple[float, float] = (2800.0, 3800.0)
    #: Louder or softer by up to this many dB; without effect unless features.level_db is null.
    gain_db: float = Field(0.0, ge=0, le=60)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the recording and of each version that there is."""
        last = len(self.weights) - 1
        return tuple(self.weights[min(place, last)] for place in range(self.versions + 1))

    @field_validator(*RANGES)
    @classmethod
    def _from_low_to_high(
        cls, value: tuple[float, float] | None, info: ValidationInfo
    ) -> tuple[float, float] | None:
        least, most = RANGES[str(info.field_name)]
        if value is not None and not least <= value[0] <= value[1] <= most:
            raise ValueError(
                f"they are {list(value)}; expected two numbers, "
                f"{least:g} <= low <= high <= {most:g}"
            )
        return value


class EncoderParams(Section):
    """A speech encoder of the Hugging Face hub, for the models `layers` and `lora`."""

    #: A name on the hub, or a folder that holds an encoder as save_pretrained writes it.
    name: str | None = None
    #: Commit or branch on the hub; None: the newest that this machine has.
    revision: str | None = None


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
    #: Steady noise so many dB below the loudest bin is added, from and to; None: none.
    floor_db: tuple[float, float] | None = None
    #: Masked stripes (SpecAugment): number, and their largest widths.
    masks: int = Field(2, ge=0)
    mask_bands: int = Field(8, ge=0)
    mask_frames: int = Field(20, ge=0)
    #: Parameter of mixup's Beta distribution; 0: no mixup.
    mixup: float = Field(0.0, ge=0)


class TrainParams(Section):
    """How networks are trained; all other parameters of classical models stand in `model`."""

    #: Of several corpora each counts alike, however many utterances it has: a batch draws them
    #: evenly, a classical model weighs them so. False: each utterance counts alike.
    balance_corpora: bool = True
    max_epochs: int = Field(32, ge=1)
    batch_size: int = Field(32, ge=1)
    #: The peak of a one-cycle schedule.
    learning_rate: float = Field(0.005, gt=0)
    #: Learning rate of a pretrained encoder's weights, as a share of `learning_rate`.
    slow_rate: float = Field(0.05, gt=0, le=1)
    weight_decay: float = Field(0.02, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    #: Decay per step of the averaged weights, which are scored and kept.
    average: float = Field(0.98, ge=0, lt=1)
    #: Longer utterances are cropped, at random, while training.
    crop_frames: int = Field(128, ge=10)
    augment: LogMelAugmentParams = LogMelAugmentParams()


class CalibrateParams(Section):
    #: Share of utterances whose candidates should hold the true emotion.
    coverage: float = Field(0.9, gt=0, lt=1)


class AbstentionParams(Section):
    """When a reason is given instead of an emotion."""

    #: What detects speech: silero (extra `vad`), energy (built in), auto: silero where installed.
    detector: Literal["auto", "silero", "energy"] = "auto"
    #: 0: short speech is answered too; silence never is.
    min_speech_seconds: float = Field(0.3, ge=0)
    #: Longest recording that counts as one utterance; None: off. The longest utterance of a
    #: published corpus (IEMOCAP) lasts 34 s.
    max_seconds: float | None = Field(40.0, gt=0)
    #: Share of samples in flat tops; 1 switches it off.
    max_clipped_share: float = Field(0.02, ge=0, le=1)
    #: Percentile of unseen speakers' novelty beyond which speech is out of domain; None: off.
    max_novelty_percentile: float | None = Field(99.0, gt=0, le=100)
    #: Least posterior of the most probable emotion; 0 switches it off.
    min_confidence: float = Field(0.0, ge=0, le=1)


class EvaluateParams(Section):
    bootstrap: int = Field(2000, ge=100)


class ReportParams(Section):
    """The model report; nothing else depends on it."""

    #: Wrong answers in each of its two lists, with their recordings as players; 0: the page holds
    #: no recording.
    errors: int = Field(6, ge=0, le=20)


class MachineParams(Section):
    """How this machine works. No stage depends on it."""

    #: CPU threads of a network that is trained alone; more than cores slow it down tenfold.
    threads: int = Field(2, ge=1)
    #: Whether an encoder that this machine lacks is downloaded from the Hugging Face hub.
    download: bool = False
