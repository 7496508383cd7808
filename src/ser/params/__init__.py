"""Frozen, typed parameters. No other room opens params.yaml."""

from ser.params.data import DataParams, LabelParams, SplitParams, SyntheticParams
from ser.params.features import EncoderParams, FeatureParams, WaveformAugmentParams
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
from ser.params.params import Params
from ser.params.reading import MOVED, load_params, parse_params
from ser.params.section import Section
from ser.params.training import (
    AbstentionParams,
    CalibrateParams,
    EvaluateParams,
    GateParams,
    LogMelAugmentParams,
    MachineParams,
    TrainParams,
)

__all__ = [
    "MODELS",
    "MOVED",
    "AbstentionParams",
    "ByolParams",
    "CalibrateParams",
    "CnnParams",
    "DataParams",
    "EncoderParams",
    "EnsembleParams",
    "EvaluateParams",
    "FeatureParams",
    "GateParams",
    "GradientBoostingParams",
    "LabelParams",
    "LayersParams",
    "LdaParams",
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
    "SvcParams",
    "SyntheticParams",
    "TrainParams",
    "WaveformAugmentParams",
    "load_params",
    "parse_params",
]
