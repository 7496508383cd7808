"""Sections on what is extracted of a recording."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ser.params.section import Section


class FeatureParams(Section):
    """How a waveform becomes features; travels inside every bundle."""

    #: Of classical models: our own, or openSMILE's eGeMAPSv02 or ComParE_2016 (extra `egemaps`).
    functionals: Literal["ser", "egemaps", "compare"] = "ser"
    #: Of networks: our own, or that of BYOL-S.
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
    #: What lies below speech (DC offset, rumble) is filtered off: 3 dB at this frequency, 70 dB
    #: from about half of it down. None: as recorded.
    high_pass_hz: float | None = Field(70.0, gt=0)
    #: Log-mel is floored this far below the utterance's loudest bin; None: at -100 dB.
    top_db: float | None = Field(80.0, gt=0)
    #: Peaks and valleys of spectral contrast are floored this far below the loudest one: what lies
    #: deeper is the residue of a resampler or a codec. None: librosa's 160 dB.
    contrast_top_db: float | None = Field(80.0, gt=0)
    #: Edges this far below the loudest 10 ms are silence and trimmed; None: kept.
    trim_db: float | None = Field(40.0, gt=0)
    trim_margin_seconds: float = Field(0.05, ge=0)
    #: Root mean square that every utterance is brought to, dB re 1: how far away the microphone
    #: was shall not matter. None: as recorded.
    level_db: float | None = Field(-23.0, ge=-100, le=0)

    def at(self, sr: int) -> Self:
        """The same, but for a waveform of another rate that is only to be prepared."""
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
        if self.log_mel == "byol_s" and (self.sr, self.n_fft, self.hop_length) != (
            16_000,
            1024,
            160,
        ):
            raise ValueError("log_mel: byol_s needs sr 16000, n_fft 1024 and hop_length 160")
        # Octave bands from 200 Hz, as librosa's spectral contrast has them.
        if 200 * 2 ** (self.n_contrast - 1) >= self.sr / 2:
            raise ValueError("n_contrast octaves from 200 Hz must begin below half of sr")
        return self


class WaveformAugmentParams(Section):
    """Augmented versions of every recording, on which models are trained, too."""

    #: How many of each; 0: none.
    versions: int = Field(2, ge=0, le=20)
    #: Each speaker's are played up to this share slower (odd versions) or faster (even ones).
    speed: float = Field(0.15, ge=0, lt=1)
    #: Noise lies between so many dB below the speech; None: no noise.
    noise_db: tuple[float, float] | None = (5.0, 40.0)
    #: Louder or softer by up to this; of effect only where features.level_db is null.
    gain_db: float = Field(0.0, ge=0, le=60)

    @field_validator("noise_db")
    @classmethod
    def _from_low_to_high(cls, noise_db: tuple[float, float] | None) -> tuple[float, float] | None:
        if noise_db is not None and not -20 <= noise_db[0] <= noise_db[1] <= 100:
            raise ValueError(
                f"they are {list(noise_db)}; noise goes from less to more dB below the speech, "
                "between -20 and 100"
            )
        return noise_db


class EncoderParams(Section):
    """A speech encoder of the Hugging Face hub, for the models `layers` and `lora`."""

    #: A name on the hub, or a folder that holds an encoder as save_pretrained writes it.
    name: str | None = None
    #: Commit or branch of the hub's; None: the newest that this machine has.
    revision: str | None = None
