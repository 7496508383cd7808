"""A run logs the parameters that its model reads, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from ser.io.tracking.pages.parameters import read_params
from ser.io.tracking.runs import flatten
from ser.params import parse_params


def read(**values: Any) -> set[str]:
    return set(flatten(read_params(parse_params(values))))


def test_a_classical_model_reads_nothing_of_networks() -> None:
    keys = read(model={"name": "lda"})
    assert {"seed", "model.name", "model.lda.shrinkage", "augment.versions"} <= keys
    # Our functionals are made of the log-mel, too.
    assert "features.n_mels" in keys
    for prefix in (
        "train.",
        "encoder.",
        "gate.",
        "evaluate.",
        "machine.",
        "serve.",
        "features.log_mel",
    ):
        assert not {key for key in keys if key.startswith(prefix)}, prefix
    assert {key for key in keys if key.startswith("model.")} == {
        "model.name",
        "model.enrolled",
        "model.lda.shrinkage",
        "model.lda.select",
    }


def test_a_network_reads_how_it_is_trained_and_an_ensemble_what_its_members_read() -> None:
    for model in ({"name": "cnn"}, {"name": "ensemble"}):
        keys = read(model=model)
        assert {"train.max_epochs", "features.log_mel", "model.cnn.dropout"} <= keys
        # Of a pretrained encoder, which neither has.
        assert "train.slow_rate" not in keys
    assert "model.lda.shrinkage" in read(model={"name": "ensemble"})
    assert "model.lda.shrinkage" not in read(model={"name": "ensemble", "ensemble": {
        "members": ["cnn"]}})  # fmt: skip
    assert "train.max_epochs" not in read(model={"name": "stack"})


def test_an_encoder_is_read_by_the_models_that_take_one() -> None:
    keys = read(model={"name": "layers"}, encoder={"name": "facebook/wav2vec2-base"})
    assert {"encoder.name", "model.layers.hidden"} <= keys
    assert not {key for key in keys if key.startswith("train.")}


def test_byol_s_reads_how_it_is_trained_only_where_it_is_tuned() -> None:
    def keys(*, tune: bool) -> set[str]:
        byol = {"name": "byol_s", "byol_s": {"weights": "w.pt", "tune": tune}}
        return read(model=byol, features={"log_mel": "byol_s"})

    tuned, frozen = keys(tune=True), keys(tune=False)
    assert {"train.slow_rate", "model.byol_s.dropout"} <= tuned - frozen
    assert "model.byol_s.shrinkage" in frozen - tuned


@pytest.mark.parametrize(
    ("values", "read_now", "unread_now"),
    [
        ({}, {"split.test_fraction", "synthetic.speakers"}, {"split.folds"}),
        ({"split": {"protocol": "grouped-kfold"}}, {"split.folds"}, {"split.test_fraction"}),
        (
            {"split": {"protocol": "cremad-blocks5"}, "data": {"corpora": ["cremad"]}},
            {"split.fold"},
            {"split.test_fraction", "synthetic.speakers"},
        ),
        ({"augment": {"versions": 0}}, {"augment.versions"}, {"augment.speed", "augment.noise_db"}),
        ({"features": {"level_db": None}}, {"augment.gain_db"}, set()),
        ({"features": {"level_db": -23.0}}, set(), {"augment.gain_db"}),
        ({"data": {"on_bad": "drop"}}, {"data.max_bad_share"}, set()),
        ({"data": {"on_bad": "stop"}}, set(), {"data.max_bad_share"}),
        ({"features": {"functionals": "egemaps"}}, {"features.sr"}, {"features.n_mfcc"}),
        ({"data": {"corpora": ["a", "b"]}}, {"train.balance_corpora"}, {"train.max_epochs"}),
        ({"data": {"corpora": ["a"]}}, set(), {"train.balance_corpora"}),
    ],
)
def test_a_parameter_is_logged_where_another_makes_it_matter(
    values: dict[str, Any], read_now: set[str], unread_now: set[str]
) -> None:
    keys = read(**{"model": {"name": "lda"}, **values})
    assert read_now <= keys
    assert not unread_now & keys
