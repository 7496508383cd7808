"""What a flow run may be asked for beside params.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from flows.request import request_of, values_of
from ser.errors import ParamsError
from ser.params import load_params

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def test_values_that_params_yaml_has_already_are_no_overrides(root: Path) -> None:
    assert not request_of(root).leaves_checkout
    assert request_of(root, model="ensemble", overrides={"seed": 7}).values == {}
    assert request_of(root, model="svc", overrides={"seed": 7}).values == {"model.name": "svc"}


def test_a_dry_run_leaves_the_checkout_as_it_is(root: Path) -> None:
    assert request_of(root, dry_run=True).leaves_checkout


def test_nested_values_and_dotted_names_are_the_same(root: Path) -> None:
    nested = request_of(root, overrides={"train": {"max_epochs": 3}, "model": {"name": "cnn"}})

    assert nested == request_of(root, model="cnn", overrides={"train.max_epochs": 3})
    assert nested == request_of(root, overrides=values_of(["train.max_epochs=3", "model.name=cnn"]))


def test_what_is_asked_for_stands_in_params_yaml_and_nothing_else_changes(root: Path) -> None:
    before = yaml.safe_load((root / "params.yaml").read_text())

    request_of(root, model="svc", overrides={"split.fold": 2}).write(root)

    before["model"]["name"], before["split"]["fold"] = "svc", 2
    assert yaml.safe_load((root / "params.yaml").read_text()) == before
    assert load_params(root / "params.yaml").model.name == "svc"
    assert "# holdout, grouped-kfold" in (root / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"overrides": {"model.nam": "svc"}}, r"model\.nam is not a parameter.*Did you mean name"),
        ({"overrides": {"seed.x": 1}}, r"seed\.x: seed holds no keys"),
        ({"overrides": {"train": 3}}, "train is a section"),
        ({"overrides": {"train.max_epochs": "many"}}, r"train\.max_epochs is 'many'"),
        ({"model": "svc", "overrides": {"model.name": "lda"}}, "svc.*lda.*one of them"),
    ],
)
def test_what_does_not_fit_is_one_line(root: Path, asked: dict[str, object], words: str) -> None:
    with pytest.raises(ParamsError, match=words) as caught:
        request_of(root, **asked)  # type: ignore[arg-type]

    assert "\n" not in str(caught.value)


def test_a_word_of_the_command_line_without_a_value_is_one_line() -> None:
    with pytest.raises(ParamsError, match="expected KEY=VALUE"):
        values_of(["model.name"])
