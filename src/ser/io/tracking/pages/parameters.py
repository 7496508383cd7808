"""The parameters that a model reads: a run logs these, so that a comparison shows no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ser.params import AFTER_TRAINING, MODELS, FeatureParams, Params, TrainParams

#: What openSMILE's functionals leave aside: they have descriptors of their own.
OWN_DESCRIPTORS = (
    *("hop_length", "n_mels", "n_mfcc", "n_chroma", "n_contrast"),
    *("f0_min", "f0_max", "noise_floor_db", "top_db", "contrast_top_db"),
)
#: What every model reads of `train`, where there are several corpora.
BALANCE = "balance_corpora"
#: What our log-mel is made with.
LOG_MEL = ("hop_length", "n_mels", "top_db")


def read_params(params: Params) -> dict[str, Any]:
    """The parameters that preparing, splitting and training read, given the others.

    Those of scoring, of the gate and of machines are no part of a training.

    >>> sorted(read_params(Params(model={"name": "lda"}))["model"])
    ['enrolled', 'lda', 'name']
    """
    values = params.model_dump(mode="json", exclude=AFTER_TRAINING)
    kept = {"name", "enrolled", *params.model.used}
    values["model"] = {k: v for k, v in values["model"].items() if k in kept}
    for name in _unread(params):
        *sections, key = name.split(".")
        section = values
        for part in sections:
            section = section.get(part, {})
        section.pop(key, None)
    return {name: section for name, section in values.items() if section != {}}


def _unread(params: Params) -> Iterator[str]:
    """Sections and parameters that nothing reads, as `section.name`."""
    model, data, split, augment = params.model, params.data, params.split, params.augment
    byol = model.section("byol_s")
    fine_tuned = "byol_s" in model.used and byol.tune
    networks = {name for name in model.used if MODELS[name].torch and not MODELS[name].encoder}
    if len(data.corpora) < 2:
        yield f"train.{BALANCE}"
    if not networks - {"byol_s"} and not fine_tuned:
        # Classical models balance corpora, too.
        yield from (f"train.{name}" for name in TrainParams.model_fields if name != BALANCE)
    if not fine_tuned:
        yield from ("train.slow_rate", "model.byol_s.dropout")
    else:
        yield "model.byol_s.shrinkage"
    if not model.takes_encoder:
        yield "encoder"
    if "synthetic" not in data.corpora:
        yield "synthetic"
    if data.on_bad != "drop":
        yield "data.max_bad_share"
    if split.protocol != "grouped-kfold":
        yield "split.folds"
    if split.protocol != "holdout":
        yield "split.test_fraction"
    used = set(augment.channels[: augment.versions])
    yield from (
        f"augment.{name}" for name in AUGMENT_OF if not used or AUGMENT_OF[name] not in {"", *used}
    )
    if augment.versions == 0 or params.features.level_db is not None:
        yield "augment.gain_db"
    yield from (f"features.{name}" for name in _unread_features(params.features, bool(networks)))


#: Parameters of augmentation, and the kind of channel that reads each; none: all read it.
AUGMENT_OF = {
    "speed": "",
    "channels": "",
    "weights": "",
    "noise_db": "",
    "room_rt60_seconds": "room",
    "room_drr_db": "room",
    "telephone_low_hz": "telephone",
    "telephone_high_hz": "telephone",
}


def _unread_features(features: FeatureParams, takes_log_mel: bool) -> Iterator[str]:
    # Functionals are read whatever the model takes: novelty is measured on them.
    if not takes_log_mel:
        yield "log_mel"
    if features.trim_db is None:
        yield from ("trim_margin_seconds", "trim_noise_db")
    if features.functionals != "ser":
        ours = takes_log_mel and features.log_mel == "ser"
        yield from (name for name in OWN_DESCRIPTORS if not (ours and name in LOG_MEL))
