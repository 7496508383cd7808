"""openSMILE as a feature set: its numbers, unchanged, under its names."""

import sys

import numpy as np
import pytest

from ser.core.features import opensmile as smile
from ser.core.features.extract import extract, functional_names
from ser.errors import ParamsError
from ser.params import FeatureParams
from support.signals import SR, noise, voice

opensmile = pytest.importorskip("opensmile", reason="the extra `egemaps` is not installed")


@pytest.mark.parametrize(("name", "size"), [("egemaps", 88), ("compare", 6373)])
def test_functionals_are_those_of_opensmile(name, size):
    y = voice(seconds=1.0)
    params = FeatureParams(functionals=name, trim_db=None, level_db=None)
    theirs = opensmile.Smile(
        feature_set=getattr(opensmile.FeatureSet, smile.SETS[name]),
        feature_level=opensmile.FeatureLevel.Functionals,
    ).process_signal(y, SR)
    ours = extract(y, params=params).functionals
    assert len(ours) == size
    assert tuple(ours.index) == tuple(theirs.columns) == functional_names(params)
    np.testing.assert_array_equal(ours.to_numpy(), theirs.to_numpy(np.float32)[0])


def test_an_unvoiced_recording_has_finite_functionals():
    for name in smile.SETS:
        values = smile.smile_functionals(noise(seconds=0.3), sr=SR, name=name)
        assert np.isfinite(values).all()


def test_without_opensmile_the_error_names_the_extra(monkeypatch):
    smile._smile.cache_clear()
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ParamsError, match=r"ser-platform\[egemaps\]"):
        smile.smile_functionals(voice(), sr=SR, name="egemaps")
    smile._smile.cache_clear()
