"""Frozen, typed parameters. No other module opens params.yaml."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from ser.errors import ParamsError
from ser.strict_yaml import DuplicateKey, load_yaml

Protocol = Literal[
    "holdout",
    "grouped-kfold",
    "leave-one-speaker-out",
    "ravdess-luna5",
    "ravdess-emobox6",
    "cremad-blocks5",
    "emodb-loso",
    "savee-loso",
    "tess-cross",
    "iemocap-loso",
]
ClassicalName = Literal[
    "lda", "logistic_regression", "svc", "random_forest", "mlp", "gradient_boosting"
]
#: What an ensemble is made of.
MemberName = Literal[
    "cnn",
    "byol_s",
    "layers",
    "lda",
    "logistic_regression",
    "svc",
    "random_forest",
    "mlp",
    "gradient_boosting",
]
ModelName = Literal[MemberName, "lora", "ensemble", "stack", "transfer"]

#: Those that hear by an encoder of the Hugging Face hub.
HUB_MODELS = frozenset({"layers", "lora"})


class Section(BaseModel):
    """A section of params.yaml: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelParams(Section):
    """Which emotions are told apart: some are merged, then all but those to keep are dropped."""

    #: all, 4-class, 6-class, or a list of emotions.
    keep: str | tuple[str, ...] = "all"
    merge: dict[str, str] = {}


class DataParams(Section):
    corpora: tuple[str, ...] = Field(("synthetic",), min_length=1)
    #: Recordings to leave out: paths in data/raw, `*` for any letters; or a file of such lines.
    exclude: tuple[str, ...] | str = ()
    #: What recordings that are unfit for training do: stop the pipeline, or drop out of it.
    on_bad: Literal["stop", "drop"] = "stop"
    #: With drop: a larger share of a corpus's recordings stops it all the same.
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
    protocol: Protocol = "holdout"
    fold: int = Field(1, ge=1)
    #: Of grouped-kfold; published protocols have their own number.
    folds: int = Field(5, ge=2)
    test_fraction: float = Field(0.3, gt=0, lt=1)
    dev_fraction: float = Field(0.2, gt=0, lt=1)


class FeatureParams(Section):
    """How a waveform becomes features; travels inside every bundle."""

    #: Of classical models: our own, or openSMILE's eGeMAPSv02 or ComParE_2016 (extra `egemaps`).
    functionals: Literal["ser", "egemaps", "compare"] = "ser"
    #: Of networks: our own, or that which BYOL-S was taught on.
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
    """Augmented versions of every recording, from which models learn beside itself."""

    #: How many of each; 0: none.
    versions: int = Field(2, ge=0, le=20)
    #: Each speaker's are played up to this share slower (odd versions) or faster (even ones).
    speed: float = Field(0.15, ge=0, lt=1)
    #: Noise lies between so many dB below the speech; None: no noise.
    noise_db: tuple[float, float] | None = (5.0, 40.0)
    #: Louder or softer by up to this; heard only where features.level_db is null.
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


class LdaParams(Section):
    """Linear discriminants, for which all emotions vary alike."""

    #: Of the covariance, towards its diagonal: there are more functionals than utterances.
    shrinkage: float = Field(0.7, gt=0, le=1)
    #: Functionals to keep, those that tell emotions apart best by themselves; None: all.
    select: PositiveInt | None = None


class LogisticRegressionParams(Section):
    select: PositiveInt | None = None
    c: float = Field(0.01, gt=0)
    max_iter: int = Field(2000, ge=1)


class SvcParams(Section):
    select: PositiveInt | None = None
    c: float = Field(10.0, gt=0)
    gamma: float = Field(0.0005, gt=0)


class RandomForestParams(Section):
    trees: int = Field(300, ge=1)
    min_samples_leaf: int = Field(2, ge=1)


class MlpParams(Section):
    hidden: tuple[PositiveInt, ...] = Field((128,), min_length=1)
    #: Weight decay.
    alpha: float = Field(1.0, ge=0)
    learning_rate: float = Field(0.001, gt=0)
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(60, ge=1)


class GradientBoostingParams(Section):
    rounds: int = Field(100, ge=1)
    max_depth: int = Field(3, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    #: Share of the utterances that each tree sees.
    subsample: float = Field(0.7, gt=0, le=1)


class CnnParams(Section):
    """The default network: convolutions over log-mel, attentive statistics pooling."""

    #: Maps of the first layer; the others have two, three and four times as many.
    channels: int = Field(16, ge=4)
    #: Channels over time, of which mean and deviation are classified.
    width: int = Field(96, ge=8)
    dropout: float = Field(0.2, ge=0, lt=1)


class ByolParams(Section):
    """BYOL-S, an encoder that was taught by unlabelled speech; needs features.log_mel: byol_s."""

    #: Path of its weights, which the user brings: they are no part of this package.
    weights: str | None = None
    #: SHA-256 that the file must have; None: any. DVC notices another file by this alone.
    weights_sha256: str | None = None
    #: Whether it learns on; else it stays as it is, and linear discriminants learn.
    tune: bool = False
    #: Of the discriminants' covariance.
    shrinkage: float = Field(0.7, gt=0, le=1)
    dropout: float = Field(0.3, ge=0, lt=1)


class LayersParams(Section):
    """A head on all layers of an encoder of the hub, which learns how much each of them counts."""

    #: Units of the hidden layer; 0: the head is linear.
    hidden: int = Field(0, ge=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    learning_rate: float = Field(0.001, gt=0)
    #: Of the layers' weights, of which there are few: they may move faster.
    layer_learning_rate: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(64, ge=1)
    max_epochs: int = Field(60, ge=1)
    #: Epochs without a better dev UAR before training stops.
    patience: int = Field(12, ge=1)


class LoraParams(Section):
    """Adapters in an encoder of the hub (LoRA), and how they and the head on it learn.

    head : as it learns before the encoder does.
    """

    rank: int = Field(8, ge=1)
    #: The adapters' output counts alpha / rank.
    alpha: int = Field(16, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    learning_rate: float = Field(0.0002, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    #: Utterances at once; a step is taken after `accumulate` times as many.
    batch_size: int = Field(4, ge=1)
    accumulate: int = Field(4, ge=1)
    max_epochs: int = Field(10, ge=1)
    #: Epochs without a better dev UAR before training stops.
    patience: int = Field(3, ge=1)
    #: Longer utterances are cropped, at random, while training.
    crop_seconds: float = Field(8.0, gt=0)
    head: LayersParams = LayersParams()


class EnsembleParams(Section):
    """Networks and a classical model, which err differently."""

    #: The same name twice: two of a kind that began differently.
    members: tuple[MemberName, ...] = Field(("cnn", "cnn", "lda"), min_length=1)


class StackParams(Section):
    """Classical models alone: fitted in seconds, and served without torch."""

    members: tuple[ClassicalName, ...] = Field(("lda", "svc", "logistic_regression"), min_length=1)


class TransferParams(Section):
    """The ensemble, and encoders that have heard other speech."""

    members: tuple[MemberName, ...] = Field(
        ("cnn", "cnn", "cnn", "cnn", "lda", "byol_s"), min_length=1
    )


class ModelParams(Section):
    """`name` chooses the model; the section of that name configures it, and its members'."""

    name: ModelName = "ensemble"
    #: Learn from and answer for speakers who are known by unlabelled clips of theirs.
    enrolled: bool = False
    ensemble: EnsembleParams = EnsembleParams()
    stack: StackParams = StackParams()
    transfer: TransferParams = TransferParams()
    byol_s: ByolParams = ByolParams()
    layers: LayersParams = LayersParams()
    lora: LoraParams = LoraParams()
    lda: LdaParams = LdaParams()
    logistic_regression: LogisticRegressionParams = LogisticRegressionParams()
    svc: SvcParams = SvcParams()
    random_forest: RandomForestParams = RandomForestParams()
    mlp: MlpParams = MlpParams()
    gradient_boosting: GradientBoostingParams = GradientBoostingParams()
    cnn: CnnParams = CnnParams()

    @property
    def used(self) -> frozenset[str]:
        """The names of the model and its members."""
        return frozenset({self.name, *getattr(getattr(self, self.name), "members", ())})

    @property
    def hears_by_encoder(self) -> bool:
        """Whether an encoder of the Hugging Face hub is among them."""
        return not self.used.isdisjoint(HUB_MODELS)


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
    """How networks learn; scikit-learn's models configure themselves in `model`."""

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

    #: What hears speech: silero (extra `vad`), energy (built in), auto: silero where installed.
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


#: What sections were called before.
RENAMED = {"alter": "augment"}
#: What stands for pydantic's words, which speak of Python.
EXPECTED = {
    "tuple_type": "expected a list, such as [{example}]",
    "model_type": "expected a section with a line for each parameter",
}
#: Where a parameter stands that stood elsewhere before.
MOVED = {
    "train.threads": "machine.threads",
    "model.layers.threads": "machine.threads",
    "model.lora.threads": "machine.threads",
    "model.lora.head.threads": "machine.threads",
    "encoder.download": "machine.download",
}


class Params(Section):
    seed: int = Field(7, ge=0, lt=2**32)
    data: DataParams = DataParams()
    synthetic: SyntheticParams = SyntheticParams()
    split: SplitParams = SplitParams()
    features: FeatureParams = FeatureParams()
    augment: WaveformAugmentParams = WaveformAugmentParams()
    encoder: EncoderParams = EncoderParams()
    model: ModelParams = ModelParams()
    train: TrainParams = TrainParams()
    calibrate: CalibrateParams = CalibrateParams()
    abstention: AbstentionParams = AbstentionParams()
    evaluate: EvaluateParams = EvaluateParams()
    gate: GateParams = GateParams()
    machine: MachineParams = MachineParams()

    @model_validator(mode="after")
    def _encoder_hears_its_own(self) -> Self:
        if "byol_s" in self.model.used and self.features.log_mel != "byol_s":
            raise ValueError(
                f"model.name {self.model.name} has BYOL-S, which hears features.log_mel byol_s, "
                f"not {self.features.log_mel}"
            )
        if "byol_s" in self.model.used and self.model.byol_s.weights is None:
            raise ValueError(
                f"model.name {self.model.name} has BYOL-S, whose weights you bring (see README): "
                "name their file in model.byol_s.weights"
            )
        if self.model.hears_by_encoder and self.encoder.name is None:
            raise ValueError(
                f"model.name {self.model.name} hears by an encoder of the Hugging Face hub: name "
                "one, or its folder, in encoder.name"
            )
        return self


def load_params(path: Path) -> Params:
    """Read params.yaml; raises ParamsError naming the key, what stands there and the remedy."""
    try:
        values = load_yaml(path.read_text())
    except FileNotFoundError as error:
        raise ParamsError(
            f"{path.name} is not in {path.parent}; run from the project's root."
        ) from error
    except DuplicateKey as error:
        raise ParamsError(f"{path.name}: {error.problem}. Remove one of them.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ParamsError(f"{path.name}{line} is not YAML; mend the syntax there.") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path.name} holds no sections; expected seed, data, split, ….")
    return parse_params(values, source=path.name)


def parse_params(values: dict[str, Any], source: str = "params.yaml") -> Params:
    """Parameters from nested values; raises ParamsError."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(f"{source}: {_explain(error.errors()[0])}") from error


def _explain(problem: Any) -> str:
    # Of a union of types, pydantic names the one that it tried.
    location = [str(part) for part in problem["loc"] if "[" not in str(part)]
    key = ".".join(location)
    if problem["type"] == "value_error":
        reason = problem["msg"].removeprefix("Value error, ")
        return f"{key or 'sections'} do not fit: {reason}. Correct them."
    if problem["type"] != "extra_forbidden":
        found, expected = problem["input"], EXPECTED.get(problem["type"], _lower(problem["msg"]))
        example = found if isinstance(found, str | int | float) else "a, b"
        shown = "empty" if found is None else repr(found)
        return f"{key} is {shown}; {expected.replace('{example}', str(example))}. Correct it."
    if key in RENAMED:
        return f"{key} is now called {RENAMED[key]}. Rename it."
    if key in MOVED:
        return f"{key} is no parameter of the model; it stands in {MOVED[key]} now. Move it there."
    section: Any = Params
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1)
    remedy = f"Did you mean {close[0]}?" if close else "Remove it."
    return f"{key} is not a parameter; known here are {', '.join(known)}. {remedy}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
