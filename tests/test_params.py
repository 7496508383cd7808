from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from ser.errors import ParamsError
from ser.params import MOVED, Params, load_params, parse_params
from ser.params.overrides import from_environment, set_value
from ser.strict_yaml import load_yaml

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


def test_a_former_name_of_a_protocol_is_taken_with_a_hint(capsys):
    params = parse_params({"split": {"protocol": "iemocap-loso"}})
    assert params.split.protocol == "iemocap-leave-one-session-out"
    assert "iemocap-loso is now called iemocap-leave-one-session-out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sead": 1}, r"sead is not a parameter; known here are seed, .*Did you mean seed\?"),
        ({"split": {"protocl": "holdout"}}, r"split\.protocl .*Did you mean protocol\?"),
        ({"model": {"svc": {"gama": 1}}}, r"model\.svc\.gama .*Did you mean gamma\?"),
        ({"zzz": 1}, r"zzz is not a parameter.*Remove it\."),
        ({"split": {"fold": 0}}, r"split\.fold is 0"),
        ({"split": {"protocol": "random"}}, r"split\.protocol is 'random'.*one of holdout, "),
        ({"split": {"protocol": "holdot"}}, r"is 'holdot'; .*\. Did you mean holdout\?$"),
        ({"model": {"name": "gpt"}}, r"model\.name is 'gpt'; expected one of .*\. Correct it\.$"),
        ({"model": {"stack": {"members": ["cnn"]}}}, r"members\.0 is 'cnn'; expected one of lda, "),
        ({"model": {"ensemble": {"members": ["stack"]}}}, r"members\.0 is 'stack'; expected one "),
        ({"data": {"corpora": []}}, r"data\.corpora"),
        ({"seed": "x"}, r"seed is 'x'"),
        ({"train": None}, r"train is empty; expected a section"),
        ({"alter": {"versions": 1}}, r"params\.yaml: alter is now called augment\. Rename it\.$"),
        (
            {"data": {"corpora": "synthetic"}},
            r"data\.corpora is 'synthetic'; expected a list, such as \[synthetic\]\. Correct it",
        ),
        (
            {"data": {"exclude": None}},
            r": data\.exclude is empty; expected a list, such as \[a, b\]",
        ),
        ({"data": {"exclude": [1]}}, r": data\.exclude\.0 is 1; input should be a valid string"),
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


def test_dvc_changes_one_line_of_params_yaml_for_one_parameter(tmp_path):
    """By the road of `dvc exp run --set-param`: what it would write otherwise, stands so."""
    path = tmp_path / "params.yaml"
    for override, line in {
        "model.name=lda": "  name: lda                   # or one of the sections below",
        "encoder.name=x": "  name: x                     # its name there",
        "seed=8": "seed: 8",
        "data.corpora=[ravdess]": "  - ravdess",
        "augment.noise_db=null": "  noise_db:                   # below the speech; null: no noise",
    }.items():
        path.write_text(SHIPPED.read_text())
        apply_overrides(path, [override])
        before, after = SHIPPED.read_text().splitlines(), path.read_text().splitlines()
        changed = [new for new in after if new not in before]
        if override != "augment.noise_db=null":
            assert len(changed) == 1, override
            assert changed[0].startswith(line)
            assert len(before) == len(after)
        assert line in path.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\ndata: {}\nseed: 2\n", "the key 'seed' stands twice, in lines 1 and 3"),
        ("model:\n  name: lda\n  name: svc\n", "the key 'name' stands twice, in lines 2 and 3"),
        ('labels:\n  calm: fear\n  "calm": anger\n', "'calm' stands twice, in lines 2 and 3"),
        ("data: {corpora: [a], corpora: [b]}", "'corpora' stands twice, in lines 1 and 1"),
        ("- a\n- b: 1\n  b: 2\n", "'b' stands twice, in lines 2 and 3"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_lines(tmp_path, text, words):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=words) as caught:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_merged_mapping_may_be_overridden_and_yaml_stays_what_it_is():
    text = "deep: {of: {all: {<<: &b {x: 1, y: 2}, x: 3}}}\nc: {<<: *b, y: 4}\nd: [*b, *b]\n"
    assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml("") is None
    assert load_yaml("&a [*a]")[0][0] is not None


@pytest.mark.parametrize("key", list(MOVED))
def test_a_parameter_that_moved_names_its_new_place(key):
    values: object = 1
    for part in reversed(key.split(".")):
        values = {part: values}
    with pytest.raises(ParamsError, match=f"{key} is now called {MOVED[key]}"):
        parse_params(values)


def under(environment: dict[str, str]) -> Params:
    """What the environment sets, and defaults."""
    values: dict[str, object] = {}
    for name, value in from_environment(environment, "serve"):
        set_value(values, name, value)
    return parse_params(values)


def test_a_variable_sets_what_its_name_says_and_a_token_or_an_empty_one_sets_nothing():
    environment = {
        "SER_SERVE__PORT": "8100",
        "SER_SERVE__LIMITS__MAX_SECONDS": "60",
        "SER_SERVE__ALLOWED_HOSTS": "[a.example.org, b.example.org]",
        "SER_SERVE__WORKERS": "",
        "SER_SERVE_TOKEN": "8101",
        "SER_TRAIN__MAX_EPOCHS": "3",
    }
    serve = under(environment).serve
    assert (serve.port, serve.limits.max_seconds, serve.workers) == (8100, 60.0, None)
    assert serve.allowed_hosts == ("a.example.org", "b.example.org")
    assert under(environment).train == Params().train


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("SER_SERVE__PROT", "80", "serve.prot is not a parameter; .* Did you mean port"),
        ("SER_SERVE__PORT", "many", "serve.port is 'many'; "),
        ("SER_SERVE__PORT", "[80", r"SER_SERVE__PORT: '\[80' is no YAML value"),
        ("SER_SERVE__LIMITS", "80", "serve.limits is "),
    ],
)
def test_a_variable_that_is_wrong_is_one_line(variable, text, message):
    with pytest.raises(ParamsError, match=message) as caught:
        under({variable: text})
    assert "\n" not in str(caught.value)
