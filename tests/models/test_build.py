import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from ser.errors import BundleError
from ser.models.build import build_model, model_from_files
from ser.params import MODELS, ModelParams, Section, TrainParams
from ser.params.models import Entry


# An adapted encoder is loaded when the model is made: tests/models/hub has one.
@pytest.mark.parametrize("name", sorted({*MODELS} - {"lora"}))
def test_the_name_chooses_the_model(name):
    model = build_model(ModelParams(name=name), TrainParams(), classes=("neutral", "anger"))
    assert model.classes == ("neutral", "anger")
    expected = {
        "byol_s": {"log_mel"},
        "cnn": {"log_mel"},
        "ensemble": {"log_mel", "functionals"},
        "layers": {"layers"},
        "transfer": {"log_mel", "functionals"},
    }
    assert model.kinds == expected.get(name, {"functionals"})


def test_an_unknown_name_or_option_is_refused():
    with pytest.raises(ValidationError):
        ModelParams(name="transformer")
    with pytest.raises(ValidationError):
        ModelParams(cnn={"chanels": 3})
    with pytest.raises(BundleError, match="'transformer'"):
        model_from_files("transformer", {})


def test_options_reach_the_model():
    params = ModelParams(name="random_forest", random_forest={"trees": 3})
    assert build_model(params, TrainParams(), classes=("anger",)).options.trees == 3


def test_a_stack_takes_every_member_without_torch_and_no_other(monkeypatch):
    monkeypatch.setitem(MODELS, "nearest_mean", Entry(Section, "somewhere:NearestMean"))
    params = ModelParams(stack={"members": ["nearest_mean", "lda"]})
    assert params.stack.members == ("nearest_mean", "lda")
    for name in ("cnn", "layers", "byol_s", "lora", "stack"):
        with pytest.raises(ValidationError, match="expected one of lda"):
            ModelParams(stack={"members": [name]})


NO_TORCH = """
import sys
sys.path.insert(0, {folder!r})
import ser.models.build
from test_classical import examples, fitted
files = fitted("svc").to_files()
from ser.models.voices import posteriors
posteriors(ser.models.build.model_from_files("svc", files), examples().inputs)
assert not {{"torch", "lightning"}} & set(sys.modules)
"""


def test_classical_models_never_load_torch():
    script = NO_TORCH.format(folder=str(Path(__file__).parent / "classical"))
    subprocess.run([sys.executable, "-c", script], check=True)


def test_networks_are_served_without_lightning():
    script = "import sys, ser.models.networks.model; assert 'lightning' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
