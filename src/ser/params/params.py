"""All sections together."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ser.params.data import DataParams, SplitParams, SyntheticParams
from ser.params.features import EncoderParams, FeatureParams, WaveformAugmentParams
from ser.params.models import ModelParams
from ser.params.section import Section
from ser.params.training import (
    AbstentionParams,
    CalibrateParams,
    EvaluateParams,
    GateParams,
    MachineParams,
    TrainParams,
)


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
    def _sections_fit_together(self) -> Self:
        if "byol_s" in self.model.used and self.features.log_mel != "byol_s":
            raise ValueError(
                f"model.name {self.model.name} has BYOL-S, which takes features.log_mel byol_s, "
                f"not {self.features.log_mel}"
            )
        if "byol_s" in self.model.used and self.model.section("byol_s").weights is None:
            raise ValueError(
                f"model.name {self.model.name} has BYOL-S, whose weights you bring "
                "(docs/models.md): name their file in model.byol_s.weights"
            )
        if self.model.takes_encoder and self.encoder.name is None:
            raise ValueError(
                f"model.name {self.model.name} takes an encoder of the Hugging Face hub: name "
                "one, or its folder, in encoder.name"
            )
        return self
