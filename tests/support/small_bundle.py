"""A small bundle with the default features, an ensemble and a novelty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.bundle import Bundle, load_bundle, save_bundle
from ser.core.features.extract import audible, extract
from ser.core.uncertainty.novelty import Novelty
from ser.core.utterance.emotions import EMOTIONS
from ser.corpora.synthetic.speak import speak, utterances
from ser.models.base import Examples, Fitting, Inputs
from ser.models.build import build_model
from ser.models.ensemble import members
from ser.params import (
    AbstentionParams,
    FeatureParams,
    ModelParams,
    SyntheticParams,
    TrainParams,
)
from ser.predictor import Predictor

SR = 16_000


@pytest.fixture(scope="session")
def spoken() -> list[tuple[str, str, np.ndarray]]:
    """(speaker, emotion, samples of 16 bits): three speakers' utterances in six emotions."""
    plan = utterances(SyntheticParams(speakers=3, sentences=2), seed=3)
    return [(u.speaker, u.emotion, np.round(speak(u, sr=SR) * 2**15) / 2**15) for u in plan]


@pytest.fixture(scope="session")
def bundle_folder(spoken, tmp_path_factory) -> Path:
    params = FeatureParams()
    features = [
        extract(audible(y.astype(np.float32), sr=SR, params=params), params=params)
        for _, _, y in spoken
    ]
    inputs = Inputs(
        pd.DataFrame([one.functionals for one in features]), [one.log_mel for one in features]
    )
    speaker, emotion, _ = (np.array(values, dtype=object) for values in zip(*spoken, strict=True))
    examples = Examples(inputs, emotion.astype(str), speaker.astype(str))
    classes = tuple(e for e in EMOTIONS if e in set(examples.emotion))
    model = build_model(
        ModelParams(
            name="ensemble",
            ensemble={"members": ("cnn", "lda")},
            cnn={"channels": 4, "width": 16},
        ),
        TrainParams(max_epochs=4, batch_size=12, learning_rate=0.01, average=0.8),
        classes=classes,
    )
    is_dev = examples.speaker == examples.speaker[-1]
    with pytest.MonkeyPatch.context() as patch:
        # Trained in this process: no start-up to wait for.
        patch.setattr(members, "cpu_count", lambda: 1)
        model.fit(
            examples.take(np.flatnonzero(~is_dev)),
            examples.take(np.flatnonzero(is_dev)),
            Fitting(3, enrolled=True),
        )
    novelty = Novelty.of(inputs.functionals.to_numpy(), speaker=examples.speaker)
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_bundle(Bundle("ensemble", model, params, novelty=novelty), folder)
    return folder


@pytest.fixture(scope="session")
def bundle(bundle_folder) -> Bundle:
    return load_bundle(bundle_folder)


@pytest.fixture(scope="session")
def predictor(bundle) -> Predictor:
    """Answers all speech: three speakers are too few to limit what is strange."""
    return Predictor(replace(bundle, abstention=AbstentionParams(max_novelty_percentile=None)))
