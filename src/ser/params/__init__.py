"""Frozen, typed parameters. No other room opens params.yaml."""

from ser.params.flow import GateParams
from ser.params.models import (
    MODELS,
    ByolParams,
    CnnParams,
    EnsembleParams,
    GradientBoostingParams,
    LayersParams,
    LdaParams,
    LogisticRegressionParams,
    LoraParams,
    MlpParams,
    ModelParams,
    RandomForestParams,
    SvcParams,
)
from ser.params.params import AFTER_TRAINING, MOVED, Params, load_params, parse_params
from ser.params.section import Section
from ser.params.sections import (
    AbstentionParams,
    DataParams,
    EncoderParams,
    FeatureParams,
    LogMelAugmentParams,
    MachineParams,
    SplitParams,
    SyntheticParams,
    TrainParams,
    WaveformAugmentParams,
)
from ser.params.stress import FAMILIES, LimitParams, StressParams

__all__ = [
    "AFTER_TRAINING",
    "FAMILIES",
    "MODELS",
    "MOVED",
    "AbstentionParams",
    "ByolParams",
    "CnnParams",
    "DataParams",
    "EncoderParams",
    "EnsembleParams",
    "FeatureParams",
    "GateParams",
    "GradientBoostingParams",
    "LayersParams",
    "LdaParams",
    "LimitParams",
    "LogMelAugmentParams",
    "LogisticRegressionParams",
    "LoraParams",
    "MachineParams",
    "MlpParams",
    "ModelParams",
    "Params",
    "RandomForestParams",
    "Section",
    "SplitParams",
    "StressParams",
    "SvcParams",
    "SyntheticParams",
    "TrainParams",
    "WaveformAugmentParams",
    "load_params",
    "parse_params",
]
