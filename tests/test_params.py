from pathlib import Path

import pytest
import yaml

from ser.errors import ParamsError
from ser.params import Params, load_params, parse_params

SHIPPED = Path(__file__).parents[1] / "params.yaml"


def leaves(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_params_yaml_shows_every_parameter_that_there_is():
    """Who opens params.yaml sees all that can be set, with the defaults of the code."""
    shipped = yaml.safe_load(SHIPPED.read_text())
    default = Params().model_dump(mode="json")
    assert sorted(leaves(shipped)) == sorted(leaves(default))
    assert load_params(SHIPPED) == Params()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sead": 1}, r"sead is not a parameter; known here are seed, .*Did you mean seed\?"),
        ({"split": {"protocl": "holdout"}}, r"split\.protocl .*Did you mean protocol\?"),
        ({"model": {"svc": {"gama": 1}}}, r"model\.svc\.gama .*Did you mean gamma\?"),
        ({"zzz": 1}, r"zzz is not a parameter.*Remove it\."),
        ({"split": {"fold": 0}}, r"split\.fold is 0"),
        ({"split": {"protocol": "random"}}, r"split\.protocol is 'random'.*'holdout'"),
        ({"model": {"name": "gpt"}}, r"model\.name is 'gpt'"),
        ({"data": {"corpora": []}}, r"data\.corpora"),
        ({"seed": "x"}, r"seed is 'x'"),
        ({"train": None}, r"train is None"),
        ({"seed": -1}, r"seed is -1"),
        ({1: 2}, r"params\.yaml: 1"),
        ({"data": {"corpora": ["ravdess", "ravdess"]}}, r"data\.corpora .*named once"),
        ({"features": {"f0_min": 600}}, r"features .*f0_min must lie below f0_max"),
        ({"features": {"n_fft": 256}}, r"features .*n_fft must hold two periods"),
        ({"features": {"n_mfcc": 80}}, r"features .*n_mfcc must not exceed n_mels"),
        ({"features": {"n_contrast": 7}}, r"features .*n_contrast octaves"),
        ({"model": {"mlp": {"hidden": [0]}}}, r"model\.mlp\.hidden"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_remedy(values, message):
    with pytest.raises(ParamsError, match=message) as caught:
        parse_params(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [1", "line 1 is not YAML"), ("", "holds no sections"), ("- 1", "holds no sections")],
)
def test_a_file_that_is_not_parameters_is_refused(tmp_path, content, message):
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(ParamsError, match=message):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="run from the project's root"):
        load_params(tmp_path / "params.yaml")
